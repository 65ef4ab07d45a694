// What a structure costs beside what is allowed.
#pragma once

#include <vector>

#include "search/results.h"
#include "search/settings.h"

namespace retort::search {

enum class LimitedCost { Flash, Ram, Macs, Latency };

// Bytes, multiply-accumulates or milliseconds.
struct CostAndLimit {
  LimitedCost cost = LimitedCost::Flash;
  double value = 0;
  double limit = 0;
  [[nodiscard]] bool is_above() const { return value > limit; }
};

// Those that have a limit, in the order of LimitedCost; latency only where it was estimated.
std::vector<CostAndLimit> limited_costs(const TrialResult& costs, const Limits& limits);

bool is_within(const TrialResult& costs, const Limits& limits);

}  // namespace retort::search
