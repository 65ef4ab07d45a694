// Limits for JSON from outside.
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

}  // namespace retort
