#include "cli/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace retort::cli {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 1;
};

// The first code point of a text that is not empty; a stray byte counts as one by itself.
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t head = byte(0);
  size_t bytes = 1;
  if (head >= 0xF0 && head < 0xF8) bytes = 4;
  if (head >= 0xE0 && head < 0xF0) bytes = 3;
  if (head >= 0xC0 && head < 0xE0) bytes = 2;
  if (bytes == 1 || bytes > text.size()) return {head, 1};
  uint32_t value = head & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {head, 1};
    value = value << 6 | (byte(i) & 0x3FU);
  }
  return {value, bytes};
}

// Unicode's wide and combining blocks, coarsely: class names and file names are all that is ever written
// here.
int columns_of(uint32_t code) {
  if ((code >= 0x300 && code <= 0x36F) || (code >= 0x200B && code <= 0x200F) ||
      (code >= 0xFE00 && code <= 0xFE0F))
    return 0;
  if ((code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
      (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
      (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
      (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD))
    return 2;
  return 1;
}

}  // namespace

Charset charset_of_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* set = std::getenv(name);
    if (set == nullptr || *set == '\0') continue;
    std::string value = set;
    std::ranges::transform(value, value.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
    const bool utf8 = value.find("UTF-8") != std::string::npos || value.find("UTF8") != std::string::npos;
    return utf8 ? Charset::Utf8 : Charset::Ascii;
  }
  return Charset::Ascii;
}

int display_columns(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    columns += columns_of(point.value);
    text.remove_prefix(point.bytes);
  }
  return columns;
}

std::string fit_columns(std::string_view text, int columns, Charset charset) {
  if (columns <= 0) return "";
  if (display_columns(text) <= columns) return std::string(text);
  std::string fitted;
  int used = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    used += columns_of(point.value);
    if (used > columns - 1) break;
    fitted += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return fitted + (charset == Charset::Utf8 ? "…" : "~");
}

namespace {

// C1 controls too: to some terminals U+009B (in UTF-8 C2 9B) is the beginning of an escape sequence.
std::string replace_controls(std::string_view text, std::string_view kept) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const bool is_control = point.value < 0x20 || (point.value >= 0x7F && point.value < 0xA0);
    if (is_control && kept.find(text.front()) == std::string_view::npos)
      clean += ' ';
    else
      clean += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return clean;
}

}  // namespace

std::string without_controls(std::string_view text) {
  return replace_controls(text, "");
}

std::string lines_without_controls(std::string_view text) {
  return replace_controls(text, "\n\t");
}

}  // namespace retort::cli
