// What generated C code does: the calls of NAME_invoke. Private to this room.
#pragma once

#include <string>

#include "cost/c_plan.h"
#include "int8/quant_graph.h"

namespace retort::deploy {

// The body of NAME_invoke, which calls the kernels for the layers that `describe_layers` writes.
std::string c_calls(const int8::QuantGraph& graph, const std::string& name, const cost::CPlan& plan);

}  // namespace retort::deploy
