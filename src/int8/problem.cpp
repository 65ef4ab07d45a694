#include "int8/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace retort::int8 {

namespace {

// The code point that begins at text[i], and its length; length 0: no UTF-8.
struct Letter {
  uint32_t code = 0;
  size_t bytes = 0;
};
Letter letter_at(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) -> uint32_t { return static_cast<unsigned char>(text[k]); };
  const uint32_t lead = byte(i);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xC2 || lead > 0xF4 || i + bytes > text.size()) return {};
  uint32_t code = lead & (0x7FU >> bytes);
  for (size_t k = i + 1; k < i + bytes; ++k) {
    if ((byte(k) & 0xC0U) != 0x80U) return {};
    code = code << 6U | (byte(k) & 0x3FU);
  }
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return code < kSmallest.at(bytes) || code > 0x10FFFF || surrogate ? Letter{} : Letter{code, bytes};
}

}  // namespace

std::string printable(std::string_view name) {
  constexpr int kMaximumLetters = 100;
  std::string text;
  int letters = 0;
  for (size_t i = 0; i < name.size(); ++letters) {
    if (letters == kMaximumLetters) return text + "…";
    const Letter letter = letter_at(name, i);
    const bool control = letter.code < 0x20 || (letter.code >= 0x7F && letter.code < 0xA0);
    if (letter.bytes == 0 || control)
      text += '?';
    else
      text += name.substr(i, letter.bytes);
    i += std::max<size_t>(letter.bytes, 1);
  }
  return text;
}

std::string tensor_subject(size_t index, std::string_view name) {
  return fmt::format("tensor {} ('{}')", index, printable(name));
}

std::string operator_subject(size_t index, std::string_view name) {
  return fmt::format("operator {} ({})", index, printable(name));
}

std::string sentence(const Problem& problem) {
  return fmt::format("{}{}{}{}{}", problem.subject,
                     problem.place == Problem::Place::Operator ? ": "
                     : problem.place == Problem::Place::Tensor ? " "
                                                               : "",
                     problem.why, problem.remedy.empty() ? "" : "; ", problem.remedy);
}

}  // namespace retort::int8
