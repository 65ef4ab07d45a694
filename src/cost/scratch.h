// Scratch memory of the reference kernels; private to this room.
#pragma once

#include <cstdint>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::cost {

// Bytes of each scratch buffer that the operator's kernel asks for, in order.
std::vector<int64_t> scratch_requests(const int8::QuantGraph& graph, const int8::Operator& op);

}  // namespace retort::cost
