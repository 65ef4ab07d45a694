// What makes a QuantGraph one that we can run, cost and write: the one place that says which int8 networks
// are supported.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::int8 {

// One thing that keeps a network from being supported.
struct Problem {
  enum class Place { File, Tensor, Operator };
  Place place = Place::File;
  int index = -1;       // of the tensor or operator
  std::string subject;  // "tensor 5 ('x')", "operator 3 (CONV_2D)"; empty for the file
  std::string why;      // "has 2 scales; an int8 activation needs exactly one"
  std::string remedy;   // what to do instead, where there is something: "quantise the network to int8"
  bool operator==(const Problem&) const = default;
};
// A name from a file, fit for a terminal and for XML: "?" for control characters and for what is no UTF-8, and
// not more than 100 letters, for merged layers have names of many hundreds.
std::string printable(std::string_view name);
std::string tensor_subject(size_t index, std::string_view name);
std::string operator_subject(size_t index, std::string_view name);
// "tensor 5 ('x') has …; quantise …".
std::string sentence(const Problem& problem);

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
