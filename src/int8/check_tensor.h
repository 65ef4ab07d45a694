// What every tensor must be, wherever it stands. Private to the checks of this room.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "int8/problem.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

inline constexpr int kMaximumDimension = 1 << 20;

// "[1, 8, 8, 3]".
std::string shape_text(const std::vector<int>& dims);

template <typename... Args>
[[noreturn]] void tensor_error(const QuantGraph& graph, int index, fmt::format_string<Args...> format,
                               Args&&... args) {
  const auto i = static_cast<size_t>(index);
  throw Problem{Problem::Place::Tensor, index, tensor_subject(i, graph.tensors[i].name),
                fmt::format(format, std::forward<Args>(args)...), ""};
}

// The shape, data and scales of tensor `index`: throws its first Problem.
void check_tensor(const QuantGraph& graph, int index);
// What an int8 activation must have besides: one scale, and a zero point that int8 holds.
void check_grid(const QuantGraph& graph, int index);

}  // namespace retort::int8
