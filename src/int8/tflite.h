// TensorFlow Lite files: FlatBuffers of schema version 3 that TensorFlow Lite, LiteRT and TensorFlow Lite
// Micro read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "int8/check.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

// The file for a graph. The same graph always gives the same bytes. Constant data is aligned to 16 bytes from
// the file's start; class names travel as a metadata buffer, "retort.classes", a JSON array.
std::vector<uint8_t> write_tflite(const QuantGraph& graph);

// What a sound file says, whether we support it or not. Every index has been checked.
struct TfliteContents {
  struct Tensor {
    std::string name;
    std::string type;  // "int8", "float16", …
    std::vector<int> dims;
    size_t data_bytes = 0;  // 0: computed when the network runs
  };
  struct Operator {
    std::string name;         // "CONV_2D", "UNIDIRECTIONAL_SEQUENCE_LSTM", the name of a custom operator
    std::vector<int> inputs;  // tensors; −1: absent
    std::vector<int> outputs;
  };
  std::vector<Tensor> tensors;
  std::vector<Operator> operators;  // of the first subgraph, in execution order
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::vector<Problem> problems;    // why we do not support it
  std::optional<QuantGraph> graph;  // when there are none
};

// A larger file is refused, best by read_file before it is read. Offsets in FlatBuffers reach twice as far.
inline constexpr uint64_t kMostTfliteBytes = uint64_t{1} << 30;

// Looks at a file of ours or anyone's. `name` (the file's) begins each error. Throws Error(Usage) on anything
// that is damaged; never trusts an index or a size.
TfliteContents open_tflite(std::span<const uint8_t> bytes, std::string_view name);

// Reads a file that is made of QuantGraph's operators. Throws Error(Usage) with the first problem on anything
// that is not supported, too.
QuantGraph read_tflite(std::span<const uint8_t> bytes, std::string_view name);

}  // namespace retort::int8
