// Names of the notebook's layers; private to this room.
#pragma once

#include <optional>
#include <string_view>

#include "graph/notebook.h"

namespace retort::graph {

std::string_view layer_name(LayerKind kind);

// Throws Error(Usage) for an unknown name, a missing number or one that the layer does not take.
Layer make_layer(std::string_view name, std::optional<int> value);

}  // namespace retort::graph
