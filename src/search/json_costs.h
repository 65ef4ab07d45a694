// A time that is known only for a board, in JSON; studies from before there were boards have none. Private to
// this room.
#pragma once

#include <optional>

#include "base/json.h"
#include "cost/latency.h"

namespace retort::search {

inline Json latency_to_json(const std::optional<cost::Latency>& latency) {
  return latency ? Json(*latency) : Json();
}

// Of an object's "latency".
inline std::optional<cost::Latency> latency_from_json(const Json& in) {
  const auto found = in.find("latency");
  if (found == in.end() || found->is_null()) return std::nullopt;
  return found->get<cost::Latency>();
}

}  // namespace retort::search
