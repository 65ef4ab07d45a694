// The front's smaller structures. Private to this room.
#pragma once

#include <vector>

#include "search/results.h"

namespace retort::search {

// Trial numbers: of the structures that take at most a half of the first one's flash (with the runtime) but more than a
// quarter, at most a quarter but more than an eighth and so on, the largest first, the most accurate of each. Of what
// was trained more rather one. Complete trials alone; five at most. `trials` by
// number.
std::vector<int> front_below(const std::vector<TrialResult>& trials, const TrialResult& first);

}  // namespace retort::search
