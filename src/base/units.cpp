#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

#include "base/error.h"

namespace retort {
namespace {

struct Quantity {
  double value = 0;
  std::string unit;  // lower case
};

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

// Takes "12.5 kb" off the front of the text: a plain decimal number (no sign, exponent, inf), then letters.
std::optional<Quantity> take_quantity(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  size_t digits = 0;
  while (digits < text.size() &&
         (std::isdigit(static_cast<uint8_t>(text[digits])) != 0 || text[digits] == '.'))
    ++digits;
  Quantity quantity;
  const char* begin = text.data();
  const char* end = begin + digits;
  const auto [stop, error] = std::from_chars(begin, end, quantity.value, std::chars_format::fixed);
  if (error != std::errc{} || stop != end) return std::nullopt;
  text.remove_prefix(digits);
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && std::isalpha(static_cast<uint8_t>(text.front())) != 0) {
    quantity.unit += static_cast<char>(std::tolower(static_cast<uint8_t>(text.front())));
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return quantity;
}

// A number with one of the prefixes "", k, m, g, t, for multiples of `base`. Without a prefix it is whole: of single things there
// are no parts.
std::optional<int64_t> parse_multiple(std::string_view text, double base,
                                      std::string_view (*strip)(std::string_view)) {
  const auto quantity = take_quantity(text);
  if (!quantity || !text.empty()) return std::nullopt;
  const std::string_view prefix = strip(quantity->unit);
  double factor = 1;
  if (!prefix.empty()) {
    const size_t power = std::string_view("kmgt").find(prefix);
    if (prefix.size() != 1 || power == std::string_view::npos) return std::nullopt;
    factor = std::pow(base, static_cast<double>(power + 1));
  } else if (std::trunc(quantity->value) != quantity->value) {
    return std::nullopt;
  }
  const double value = std::round(quantity->value * factor);
  if (!(value < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::string_view strip_byte_suffix(std::string_view unit) {
  if (unit == "bytes" || unit == "byte") return "";
  if (unit.size() == 3 && unit.ends_with("ib")) return unit.substr(0, 1);
  if (unit.ends_with("b")) unit.remove_suffix(1);
  return unit;
}

std::string_view strip_nothing(std::string_view unit) {
  return unit;
}

// "11.1 K": one decimal, with the prefix that keeps the rounded number below `base`.
std::string format_multiple(int64_t value, double base, std::string_view suffix) {
  constexpr std::array<std::string_view, 6> kPrefixes = {"K", "M", "G", "T", "P", "E"};
  const double shown_limit = base - 0.05;
  double scaled = static_cast<double>(value) / base;
  size_t prefix = 0;
  while (std::abs(scaled) >= shown_limit && prefix + 1 < kPrefixes.size()) {
    scaled /= base;
    ++prefix;
  }
  return fmt::format("{:.1f} {}{}", scaled, kPrefixes[prefix], suffix);
}

}  // namespace

int64_t parse_bytes(std::string_view text) {
  const auto value = parse_multiple(text, 1024, strip_byte_suffix);
  if (!value) throw_usage("\"{}\" is not a size in bytes: write it like 64K, 1.5M or 65536", text);
  return *value;
}

int64_t parse_count(std::string_view text) {
  const auto value = parse_multiple(text, 1000, strip_nothing);
  if (!value) throw_usage("\"{}\" is not a count: write it like 2M, 384K or 1500", text);
  return *value;
}

double parse_duration(std::string_view text) {
  double seconds = 0;
  std::string_view rest = text;
  double previous_factor = INFINITY;  // units go from large to small, each once
  do {
    const auto quantity = take_quantity(rest);
    double factor = 0;
    if (quantity) {
      if (quantity->unit == "d") factor = 86400;
      if (quantity->unit == "h") factor = 3600;
      if (quantity->unit == "m" || quantity->unit == "min") factor = 60;
      if (quantity->unit == "s") factor = 1;
      if (quantity->unit == "ms") factor = 1e-3;
      if (quantity->unit.empty() && std::isinf(previous_factor)) factor = 1;
    }
    if (factor == 0 || factor >= previous_factor || (quantity->unit.empty() && !rest.empty()))
      throw_usage("\"{}\" is not a duration: write it like 30m, 8h, 1h30m, 90s or 100ms", text);
    previous_factor = factor;
    seconds += quantity->value * factor;
  } while (!rest.empty());
  return seconds;
}

std::string format_bytes(int64_t bytes) {
  if (bytes > -1024 && bytes < 1024) return fmt::format("{} B", bytes);
  return format_multiple(bytes, 1024, "B");
}

std::string format_count(int64_t count) {
  if (count > -1000 && count < 1000) return fmt::format("{}", count);
  return format_multiple(count, 1000, "");
}

std::string format_integer(int64_t value) {
  const std::string digits = fmt::format("{}", value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool after_digit = i > 0 && digits[i - 1] != '-';
    if (after_digit && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string format_counted(int64_t count, std::string_view noun, std::string_view plural) {
  const std::string number = format_integer(count);
  if (count == 1) return fmt::format("{} {}", number, noun);
  return plural.empty() ? fmt::format("{} {}s", number, noun) : fmt::format("{} {}", number, plural);
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0) return fmt::format("-{}", format_duration(-seconds));
  if (seconds < 0.9995 && seconds > 0) return fmt::format("{:.0f}ms", seconds * 1000);
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  if (seconds < 3599.5) {
    const int64_t whole = std::llround(seconds);
    return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  }
  const double minutes = std::round(seconds / 60);
  return fmt::format("{:.0f}h {:02.0f}m", std::floor(minutes / 60), std::fmod(minutes, 60));
}

}  // namespace retort
