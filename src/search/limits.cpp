#include "search/limits.h"

#include <algorithm>

namespace retort::search {

std::vector<CostAndLimit> limited_costs(const TrialResult& costs, const Limits& limits) {
  std::vector<CostAndLimit> out;
  const auto add = [&out](LimitedCost cost, int64_t value, const std::optional<int64_t>& limit) {
    if (limit) out.push_back({cost, static_cast<double>(value), static_cast<double>(*limit)});
  };
  add(LimitedCost::Flash, costs.footprint.flash_bytes(), limits.flash_bytes);
  add(LimitedCost::Ram, costs.footprint.ram_bytes(), limits.ram_bytes);
  add(LimitedCost::Macs, costs.macs, limits.macs);
  if (limits.latency_seconds && costs.latency)
    out.push_back({LimitedCost::Latency, costs.latency->milliseconds, *limits.latency_seconds * 1e3});
  return out;
}

bool is_within(const TrialResult& costs, const Limits& limits) {
  return std::ranges::none_of(limited_costs(costs, limits), &CostAndLimit::is_above);
}

}  // namespace retort::search
