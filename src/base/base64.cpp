#include "base/base64.h"

#include "base/error.h"

namespace retort {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t b = 0; b < 3; ++b) bits = bits << 8 | (i + b < bytes.size() ? bytes[i + b] : 0U);
    for (size_t d = 0; d < 4; ++d) text += i + d <= bytes.size() ? kDigits[bits >> (18 - 6 * d) & 63] : '=';
  }
  return text;
}

std::vector<uint8_t> from_base64(std::string_view text) {
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i + 4 <= text.size(); i += 4) {
    uint32_t bits = 0;
    size_t digits = 0;
    while (digits < 4 && text[i + digits] != '=') {
      const size_t value = kDigits.find(text[i + digits]);
      if (value == std::string_view::npos) break;
      bits |= static_cast<uint32_t>(value) << (18 - 6 * digits++);
    }
    for (size_t b = 0; b + 1 < digits; ++b) bytes.push_back(static_cast<uint8_t>(bits >> (16 - 8 * b)));
  }
  // Whatever was passed over does not come back.
  if (to_base64(bytes) != text) throw_failure("not base64: '{}'", text.substr(0, 32));
  return bytes;
}

}  // namespace retort
