// Words of generated C that several of its parts need. Private to this room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::deploy {

// "MODEL" of "model": the prefix of macros.
std::string macro_prefix(std::string name);

// "1 x 8 x 8 x 3".
std::string shape_text(const std::vector<int>& dims);

std::string_view c_type(const int8::Tensor& tensor);

// "\"…\"" as a C compiler reads it back.
std::string c_string(std::string_view text);

// The most negative int32 has no literal in C.
std::string c_number(int32_t value);

}  // namespace retort::deploy
