// How long a network runs, before it is on a chip: instructions by a linear model of each kind of operator,
// fitted to counts on an emulated Cortex-M4, and from these time by the board's clock and the cycles that it
// takes for an instruction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "cost/boards.h"
#include "int8/quant_graph.h"

namespace retort::cost {

struct Latency {
  int64_t instructions = 0;   // a Cortex-M4's
  double milliseconds = 0;    // of one inference
  double error_fraction = 0;  // the true time is expected within milliseconds · (1 ± error_fraction)
};

Latency tflm_latency(const int8::QuantGraph& graph, const Board& board);
struct CWork;  // cost/c_work.h
Latency c_latency(const std::vector<CWork>& work, const Board& board);

std::string latency_text(const Latency& latency);  // "41.2 ms ± 20 %"

// {"instructions":n,"milliseconds":x,"error":x}
void to_json(Json& json, const Latency& latency);
void from_json(const Json& json, Latency& latency);

}  // namespace retort::cost
