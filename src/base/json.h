// Limits for JSON from outside, and text of our own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"

namespace retort {

// A callback for nlohmann::json::parse that throws Error(Usage) "`what` is nested more than `levels` levels
// deep". Parsing itself needs no stack, but copying and printing a value go as deep as it is.
inline nlohmann::json::parser_callback_t limit_json_depth(std::string what, int levels) {
  return [what = std::move(what), levels](int depth, nlohmann::json::parse_event_t /*event*/,
                                          nlohmann::json& /*parsed*/) {
    if (depth > levels) throw_usage("{} is nested more than {} levels deep", what, levels);
    return true;
  };
}

// The text of a value: `indent` spaces a level, or one line. All JSON that is written goes through here:
// names of files may be any bytes, JSON is UTF-8, and dump() alone throws; what is not UTF-8 becomes U+FFFD.
template <typename Json>
std::string dump_json(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace retort
