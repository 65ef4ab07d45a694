// The header of generated C code: NAME.h. Private to this room.
#pragma once

#include <cstdint>
#include <string>

#include "int8/quant_graph.h"

namespace retort::deploy {

std::string c_header(const int8::QuantGraph& graph, const std::string& name, int64_t arena_bytes);

// Whether the code has them: as many as the output has numbers.
bool has_class_names(const int8::QuantGraph& graph);

}  // namespace retort::deploy
