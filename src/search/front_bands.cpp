#include "search/front_bands.h"

#include <bit>
#include <map>

namespace retort::search {

std::vector<int> front_below(const std::vector<TrialResult>& trials, const TrialResult& first) {
  constexpr uint64_t kMostBands = 5;
  std::map<uint64_t, std::vector<TrialResult>> bands;
  for (const TrialResult& trial : trials) {
    if (trial.outcome != Outcome::Complete || trial.footprint.flash_bytes() <= 0) continue;
    const auto times = static_cast<uint64_t>(first.footprint.flash_bytes() / trial.footprint.flash_bytes());
    const auto band = static_cast<uint64_t>(std::bit_width(times));  // 2 of a half to a quarter
    if (band >= 2 && band < 2 + kMostBands) bands[band].push_back(trial);
  }
  std::vector<int> numbers;
  for (const auto& [band, structures] : bands) numbers.push_back(rank_trials(structures, 1).front());
  return numbers;
}

}  // namespace retort::search
