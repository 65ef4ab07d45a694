// What makes a QuantGraph one that we can run, cost and write: the one place that says which int8 networks
// are supported.
#pragma once

#include <string_view>
#include <vector>

#include "int8/problem.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

// Tensors and operators that have a problem already, which is why the graph does not hold what the file says
// of them. Both as long as the graph's lists, or empty: none.
struct Unreadable {
  std::vector<bool> tensors;
  std::vector<bool> operators;
};

// Checks every index, shape, type, scale and attribute, the order of execution, and that TensorFlow Lite
// Micro would accept the graph: tensors in order, then operators. What reads or writes a tensor that has a
// problem itself is not looked at. Throws Error(Usage) for what makes a list of problems meaningless: indices
// of tensors that there are not, and more tensors or operators than we ever read.
std::vector<Problem> find_problems(const QuantGraph& graph, std::string_view name,
                                   const Unreadable& unreadable = {});

// Throws Error(Usage) with the first problem: "<name>: operator 3 (CONV_2D): …" or "<name>: tensor 5 ('x')
// …". Everything below `check` in this room assumes a graph that has passed.
void check(const QuantGraph& graph, std::string_view name);
[[noreturn]] void throw_first(const std::vector<Problem>& problems, std::string_view name);

}  // namespace retort::int8
