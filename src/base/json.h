// JSON: what is included in place of the library's header, so that whole numbers are whole everywhere; limits for what
// comes from outside, and text of our own.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json_fwd.h"

namespace retort {

template <typename T, typename SFINAE>
struct JsonSerializer : nlohmann::adl_serializer<T, SFINAE> {};

// get<int>() and its like give whole numbers in the type's range and throw Json::exception for anything else. The library's
// own take a fraction, what they make of 1e30 is undefined, and -1 becomes a huge count.
template <std::integral T>
  requires(!std::same_as<T, bool>)
struct JsonSerializer<T, void> {
  template <typename AnyJson>
  static void from_json(const AnyJson& value, T& number) {
    const auto take = [&number](auto stored) {
      number = static_cast<T>(stored);
      return std::in_range<T>(stored);
    };
    if (value.is_number_unsigned()
            ? take(*value.template get_ptr<const typename AnyJson::number_unsigned_t*>())
        : value.is_number_integer()
            ? take(*value.template get_ptr<const typename AnyJson::number_integer_t*>())
            : false)
      return;
    throw AnyJson::other_error::create(
        599, std::string("a whole number that fits is expected, not another ") + value.type_name(), nullptr);
  }
  template <typename AnyJson>
  static void to_json(AnyJson& value, T number) {
    nlohmann::to_json(value, number);
  }
};

// A callback for Json::parse that throws Error(Usage) "`what` is nested more than `levels` levels
// deep". Parsing itself needs no stack, but copying and printing a value go as deep as it is.
inline Json::parser_callback_t limit_json_depth(std::string what, int levels) {
  return [what = std::move(what), levels](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
    if (depth > levels) throw_usage("{} is nested more than {} levels deep", what, levels);
    return true;
  };
}

// How deep the brackets of a text lie in each other; those within strings do not count.
inline int json_depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"')
      in_string = !in_string;
    else if (in_string)
      i += c == '\\' ? 1 : 0;
    else if (c == '[' || c == '{')
      deepest = std::max(deepest, ++depth);
    else if (c == ']' || c == '}')
      --depth;
  }
  return deepest;
}

// What a study, or a file beside it, holds. Throws Json::exception for what is no JSON, and for what is nested
// deeper than anything that we write: printing and copying a value take stack for each level.
inline constexpr int kMostJsonLevels = 64;
inline Json parse_json(std::string_view text) {
  if (json_depth(text) > kMostJsonLevels)
    throw Json::other_error::create(
        599, fmt::format("it is nested more than {} levels deep", kMostJsonLevels), nullptr);
  return Json::parse(text);
}

// The object that a text is; an empty one for a text that is none, or that parse_json() refuses.
inline Json parse_json_object(std::string_view text) {
  try {
    Json json = parse_json(text);
    return json.is_object() ? std::move(json) : Json::object();
  } catch (const Json::exception&) {
    return Json::object();
  }
}

// The text of a value: `indent` spaces a level, or one line. All JSON that is written goes through here:
// names of files may be any bytes, JSON is UTF-8, and dump() alone throws; what is not UTF-8 becomes U+FFFD.
template <typename AnyJson>
std::string dump_json(const AnyJson& json, int indent = -1) {
  return json.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace retort
