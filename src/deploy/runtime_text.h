// The files of deploy/runtime, which exported packages are made of; private to this room.
#pragma once

#include <string_view>
#include <vector>

namespace retort::deploy {

struct RuntimeText {
  std::string_view name;  // "conv2d.c"
  std::string_view text;
};

const std::vector<RuntimeText>& runtime_texts();  // made by embed.cmake

// Of a name that exists.
std::string_view runtime_text(std::string_view name);

}  // namespace retort::deploy
