#include "search/exploration_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retort::search {
namespace {

constexpr double kHeatShare = 0.55;  // of exploration's time

// A structure whose epochs are so long that the time for a run of the whole pipeline has fewer of them than this
// share of the settings' is not explored: equal seconds would not do it justice.
constexpr double kFewestShare = 0.12;
// So many of the costliest have room in an exploration.
constexpr double kCostliest = 1.5;  // times the first generation
// Structures that are explored before each has more than one epoch.
constexpr double kWanted = 100;
constexpr double kMostTimesExplored = 2;  // times the settings' epochs

constexpr double kFewestHeats = 0.5;  // of the settings'
constexpr double kMostHeats = 6;

// Of the time for runs: in a short one the best has hardly enough, in hours half as many epochs more gain it little.
constexpr double kSmallerShare = 0.15;  // grows with the time
constexpr double kMostSmallerShare = 0.35;
constexpr double kMostTimesEpochs = 8;  // times the settings'

// Of each run when only the fewest candidates are trained.
double seconds_of_fewest_runs(const SearchSettings& settings, double available, int workers) {
  return available / (rounds(std::min(settings.exploration.candidates, kFewestCandidates), workers) +
                      rounds(settings.finalist_seeds - 1, workers));
}

}  // namespace

double growth(double core_seconds) {
  constexpr double kUsual = 12.0 * 60 * 2;
  return std::sqrt(std::max(core_seconds / kUsual, 1.0));
}

Shares plan_shares(const SearchSettings& settings, double available, int workers) {
  const Exploration& exploration = settings.exploration;
  const double grown = growth(available * workers);
  const double share = exploration.share * (exploration.heats > 0 ? 1 - kHeatShare : 1);
  const double run_seconds = seconds_of_fewest_runs(settings, (1 - exploration.share) * available, workers);
  const double fewest_epochs_share = std::min(kFewestShare * grown, 1.0);
  return {.exploring_seconds = share * available,
          .heat_seconds = (exploration.share - share) * available,
          .most_epoch_seconds = std::min(
              share * available * workers / (kCostliest * exploration.first * grown),
              run_seconds / candidate_seconds(1, scaled_epochs(settings.pipeline, fewest_epochs_share)))};
}

int plan_explore_epochs(const Exploration& exploration, double epoch_seconds, double core_seconds,
                        double grown) {
  const double wanted = std::max(kWanted * grown, kCostliest * exploration.first);
  const double epochs = std::floor(core_seconds / (wanted * std::max(epoch_seconds, 1e-9)));
  return static_cast<int>(std::clamp(epochs, 1.0, exploration.epochs * std::min(grown, kMostTimesExplored)));
}

HeatPlan plan_heats(const std::vector<double>& epoch_seconds, const Exploration& exploration, double seconds,
                    int workers) {
  const size_t usual = std::min(epoch_seconds.size(), static_cast<size_t>(exploration.heats));
  const double mean = std::accumulate(epoch_seconds.begin(),
                                      epoch_seconds.begin() + static_cast<std::ptrdiff_t>(usual), 0.0) /
                      static_cast<double>(std::max<size_t>(usual, 1));
  // Each rung has half as many with twice the epochs.
  const double needed =
      exploration.rungs * exploration.heats *
      candidate_seconds(mean, {.quick = 0, .distill = exploration.heat_epochs, .prune = 0, .qat = 0});
  const double grown =
      std::clamp(std::sqrt(seconds * workers / std::max(needed, 1e-9)), kFewestHeats, kMostHeats);
  int heats = std::max(static_cast<int>(std::lround(exploration.heats * grown)), 1);
  heats = std::min(heats, static_cast<int>(epoch_seconds.size()));
  // No worker waits for others, in the second rung neither.
  if (const int step = 2 * workers; heats > step) heats -= heats % step;
  // Quick ones may have more than the mean one.
  return {.heats = heats,
          .epochs = static_cast<int>(std::lround(2 * exploration.heat_epochs * std::max(grown, 1.0)))};
}

Runs plan_runs(const std::vector<double>& best, size_t smaller, const SearchSettings& settings,
               double available, int workers) {
  const int confirmation = rounds(settings.finalist_seeds - 1, workers);
  const double smaller_share = std::min(kSmallerShare * growth(available * workers), kMostSmallerShare);
  const double for_best = smaller == 0 ? available : (1 - smaller_share) * available;
  const auto first = [&](size_t count) {
    return std::vector(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count));
  };
  // Whether so many of the best have all of the settings' epochs times `most`.
  const auto room = [&](size_t count, double most) {
    const double seconds = for_best / std::max(rounds(static_cast<int>(count), workers) + confirmation, 1);
    const StageEpochs all = scaled_epochs(settings.pipeline, most);
    return std::ranges::all_of(first(count), [&](double epoch) {
      return epochs_within(settings.pipeline, epoch, seconds, most) == all;
    });
  };
  const size_t usual = std::min(best.size(), static_cast<size_t>(settings.exploration.candidates));
  Runs runs{.candidates = usual};
  if (room(usual, 1)) {
    double longer = 1;  // so many times the epochs would have room
    while (longer < 1000 && room(usual, 1.1 * longer)) longer *= 1.1;
    runs.most = std::min(std::pow(longer, 2.0 / 3), kMostTimesEpochs);
    while (runs.candidates < best.size() && room(runs.candidates + 1, runs.most)) ++runs.candidates;
  } else {
    while (runs.candidates > kFewestCandidates && !room(runs.candidates, 1)) --runs.candidates;
  }
  // What another candidate has no room in are more epochs for these.
  constexpr double kStep = 1.01;
  while (kStep * runs.most < kMostTimesEpochs && room(runs.candidates, kStep * runs.most)) runs.most *= kStep;
  const int turns = rounds(static_cast<int>(runs.candidates), workers) + confirmation;
  const StageEpochs all = scaled_epochs(settings.pipeline, runs.most);
  double longest = 0;  // of those with all their epochs
  for (const double epoch : first(runs.candidates))
    longest = std::max(longest, candidate_seconds(epoch, all));
  runs.seconds = std::min(for_best / std::max(turns, 1), longest);
  runs.confirmation_seconds = confirmation * runs.seconds;
  if (smaller > 0)
    runs.smaller_seconds = (available - turns * runs.seconds) / rounds(static_cast<int>(smaller), workers);
  return runs;
}

}  // namespace retort::search
