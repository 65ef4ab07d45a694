// How a timed search that explores divides its time, by arithmetic alone. What a longer time is spent on grows by
// roots of it: more structures, each with more epochs, and larger ones. Private to this room.
#pragma once

#include <cstddef>
#include <vector>

#include "search/plan.h"
#include "search/settings.h"

namespace retort::search {

// Of what is tried and of how long each is trained: the square root of the time, 1 up to twelve minutes on two
// cores.
double growth(double core_seconds);

// Before anything is explored.
struct Shares {
  double exploring_seconds = 0;   // of the wall
  double heat_seconds = 0;        // after them
  double most_epoch_seconds = 0;  // of a structure: slower ones are not explored
};
Shares plan_shares(const SearchSettings& settings, double available, int workers);

// Of a structure while it is explored, from the median of the first generation's seconds of an epoch: as many as leave
// time for enough structures, at most twice the settings'. `core_seconds`: of the exploration; `grown`: growth() of the
// whole search.
int plan_explore_epochs(const Exploration& exploration, double epoch_seconds, double core_seconds,
                        double grown);

// The first rung of heats. Of two halves of a time rather the fewer structures: each has more epochs than while it
// was explored.
struct HeatPlan {
  int heats = 0;
  int epochs = 0;  // of each, at most: all have equal seconds
};
// `epoch_seconds`: of those that would enter, the best first; at least one. `seconds`: of the wall for all rungs.
HeatPlan plan_heats(const std::vector<double>& epoch_seconds, const Exploration& exploration, double seconds,
                    int workers);

// The candidates and the best one's other seeds are runs of equal length, whatever an epoch takes: what learns most
// in that time is the best, be it by many epochs or by many weights. Beside them smaller structures of the front
// have a part of the time, a small one of a short time.
struct Runs {
  double most = 1;                  // times the settings' epochs, that a run has at most
  size_t candidates = 0;            // of the best, from the first on
  double seconds = 0;               // of each
  double smaller_seconds = 0;       // of each
  double confirmation_seconds = 0;  // the other seeds' runs
};
// Candidates that a search trains however short its time is, where it explored so many.
inline constexpr int kFewestCandidates = 2;
// With time for the settings' epochs of as many candidates as they say, more of both; with less as many candidates as
// have all these epochs, but the fewest in any case. `best`: seconds of an epoch of each, the most promising first.
// `smaller`: how many smaller ones there are.
Runs plan_runs(const std::vector<double>& best, size_t smaller, const SearchSettings& settings,
               double available, int workers);

}  // namespace retort::search
