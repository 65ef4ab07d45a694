#include "deploy/c_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <limits>

namespace retort::deploy {

std::string macro_prefix(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string shape_text(const std::vector<int>& dims) {
  return fmt::format("{}", fmt::join(dims, " x "));
}

std::string_view c_type(const int8::Tensor& tensor) {
  return tensor.type == int8::Type::Float32 ? "float" : "int8_t";
}

std::string c_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (byte < 0x20 || byte >= 0x7f || c == '?')  // three digits end the escape; no trigraphs
      quoted += fmt::format("\\{:03o}", byte);
    else
      quoted += c;
  }
  return quoted + "\"";
}

std::string c_number(int32_t value) {
  return value == std::numeric_limits<int32_t>::min() ? "-2147483647 - 1" : std::to_string(value);
}

}  // namespace retort::deploy
