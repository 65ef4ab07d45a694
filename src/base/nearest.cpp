#include "base/nearest.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace retort {

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates) {
  // Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
  const auto distance = [&](std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
        cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
          cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
    return cost[a.size()][b.size()];
  };
  std::optional<std::string> best;
  size_t best_distance = std::max<size_t>(1, text.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(text.substr(0, 100), candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string known_names(std::string_view name, const std::vector<std::string>& known) {
  if (const auto near = nearest(name, known)) return fmt::format("did you mean {}?", *near);
  return fmt::format("known are {}", fmt::join(known, ", "));
}

}  // namespace retort
