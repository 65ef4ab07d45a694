#include "search/front_bands.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>

namespace retort::search {

std::vector<int> front_below(const std::vector<TrialResult>& trials, const TrialResult& first) {
  constexpr int kMostBands = 5;
  std::map<int, int> best;  // trial of each band, from 2: a half to a quarter
  for (const int number : rank_trials(trials, static_cast<int>(trials.size()))) {
    const auto trial = std::ranges::lower_bound(trials, number, {}, &TrialResult::number);
    const int64_t flash = trial->footprint.flash_bytes();
    if (flash <= 0) continue;
    const auto band =
        static_cast<int>(std::bit_width(static_cast<uint64_t>(first.footprint.flash_bytes() / flash)));
    if (band >= 2 && band < 2 + kMostBands) best.emplace(band, number);
  }
  std::vector<int> numbers;
  for (const auto& [band, number] : best) numbers.push_back(number);
  return numbers;
}

}  // namespace retort::search
