// What makes a QuantGraph one that we can run, cost and write: the one place that says which int8 networks
// are supported.
#pragma once

#include <string_view>

#include "int8/quant_graph.h"

namespace retort::int8 {

// Checks every index, shape, type, scale and attribute, the order of execution, and that TensorFlow Lite
// Micro would accept the graph. Throws Error(Usage): "<name>: operator 3 (CONV_2D): …" or "<name>: tensor 5
// ('x'): …". Everything below `check` in this room assumes a graph that has passed.
void check(const QuantGraph& graph, std::string_view name);

}  // namespace retort::int8
