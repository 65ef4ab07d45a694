// The constants of generated C code: what each operator's kernel is told of its layer. Private to this room.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "cost/c_plan.h"
#include "int8/quant_graph.h"

namespace retort::deploy {

struct CLayers {
  std::string numbers;            // weights, biases, multipliers, tables
  std::string structs;            // that describe the layers and point to their numbers
  std::set<std::string> kernels;  // the files of deploy/runtime that the operators need
  int64_t weight_bytes = 0;       // of the numbers
};
// In the order in which the operators run. Throws Error(Usage) for dimensions that C code has no room for.
CLayers describe_layers(const int8::QuantGraph& graph, const std::string& name, const cost::CPlan& plan);

// What those of operator `index` are called.
std::string layer_name(const std::string& name, size_t index);
std::string table_name(const std::string& name, size_t index);

// Whether its kernel is a table of all bytes: RELU, RELU6, and QUANTIZE from int8.
bool is_look_up(const int8::QuantGraph& graph, const int8::Operator& op);

bool is_pool(const int8::Operator& op);
struct PoolWindow {
  int8::WindowOp window;
  int filter_height = 0;
  int filter_width = 0;
};
PoolWindow pool_window(const int8::Operator& op);  // of one that is a pool

}  // namespace retort::deploy
