// What each kind of operator must be. Private to the checks of this room.
#pragma once

#include <cstddef>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::int8 {

// Throws the first Problem of operator `index`, all of whose tensors have passed `check_tensor`. `available`: the
// tensors that have a value when its turn comes.
void check_operator(const QuantGraph& graph, size_t index, const std::vector<bool>& available);

}  // namespace retort::int8
