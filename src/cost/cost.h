// What a network costs on a microcontroller. This is the only place that knows what a byte of flash or RAM
// is: search asks it before training, and every report asks it after.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "cost/arena.h"
#include "cost/footprint.h"
#include "cost/latency.h"
#include "cost/target.h"
#include "graph/graph.h"
#include "int8/lower.h"
#include "int8/quant_graph.h"

namespace retort::cost {

// Of a convolution or a pool.
struct WindowSize {
  int height = 0;
  int width = 0;
  int stride_height = 1;
  int stride_width = 1;
};

struct LayerCost {
  std::string operator_name;                  // "CONV_2D", …
  std::vector<std::vector<int>> inputs_dims;  // of the tensors that are computed; the batch of 1 included
  std::vector<int> output_dims;
  std::optional<WindowSize> window;
  int64_t parameters = 0;
  int64_t macs = 0;
  int64_t weight_bytes = 0;  // of the constants that it is the first to read
  int64_t output_bytes = 0;
  int64_t live_bytes = 0;  // of the arena's buffers that hold something while it runs
  int output_buffer = -1;  // index into Cost::head; −1: its output takes no memory
};

constexpr int kBeforeTheFirst = -1;  // operator

// A buffer of the arena's head and its life.
struct HeadBuffer {
  enum class Kind { Input, Activation, Output, Scratch };
  Kind kind = Kind::Activation;
  std::string name;  // of the tensor; of scratch, its operator's
  int tensor = -1;   // −1: scratch
  int64_t bytes = 0;
  int64_t offset = 0;
  int first_used = kBeforeTheFirst;  // operators, both ends inclusive
  int last_used = kBeforeTheFirst;
};
std::string_view to_string(HeadBuffer::Kind kind);  // "input", …

struct Cost {
  std::vector<LayerCost> layers;  // one an operator, in execution order
  int64_t parameters = 0;         // weights and biases in the file; batch norms have been folded
  int64_t macs = 0;               // for one image, padding included
  int64_t weight_bytes = 0;       // of all constants
  int64_t flash_bytes = 0;        // the .tflite file
  std::vector<HeadBuffer> head;   // the same on every target
  // The most that the operators' outputs take at once, without the input and scratch: what published searches such as
  // μNAS (Liberis et al., arXiv 2010.14246) count as RAM, whatever a runtime takes beside.
  int64_t activation_bytes = 0;
  Arena cortex_m4;
  Arena host;
  Runtime runtime = Runtime::C;    // the target's
  Footprint footprint;             // with it
  std::optional<Latency> latency;  // on the target's board
};

struct CostOptions {
  int8::Ends ends = int8::Ends::Int8;
  std::vector<std::string> classes;  // travel in the file
  Target target = {};
};

// A graph's cost before or after training: the file has the same size either way. Batch norms are folded, as
// export does; takes well below a millisecond, as a search asks it of every candidate. Throws Error(Usage) for
// a graph that can't be quantised or is too large for a file.
Cost analyze(const graph::Graph& graph, const CostOptions& options);

// A file's cost. flash_bytes is the size that our writer gives; for a file from elsewhere pass its own size.
Cost analyze(const int8::QuantGraph& graph);
Cost analyze(const int8::QuantGraph& graph, int64_t flash_bytes, const Target& target = {});

// {"operators":["CONV_2D",…],"parameters":n,"macs":n,"weight_bytes":n,"flash_bytes":n,"activation_bytes":n,
//  "arena_bytes":{"cortex-m4":n,"host":n},"arena":{"cortex-m4":{"head":n,"tail":n,"smallest":n},"host":{…}},
//  "runtime":"c","footprint":{…},"latency":{…} or null,
//  "layers":[{"operator":…,"inputs":[[1,32,32,1]],"output":[1,32,32,16],"kernel":[3,3],"stride":[1,1],
//    "parameters":n,"macs":n,"weight_bytes":n,"output_bytes":n,"live_bytes":n,"arena_buffer":n},…],
//  "arena_buffers":[{"kind":"input","name":…,"tensor":n,"bytes":n,"offset":n,"first_used":-1,"last_used":0},…]}
// Operators count from 0, and −1 is before the first. A "kernel" has who has a window; scratch has no "tensor".
void to_json(Json& json, const Cost& cost);

}  // namespace retort::cost
