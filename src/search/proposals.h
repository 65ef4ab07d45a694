// What a search will try. Private to this room.
#pragma once

#include <vector>

#include "base/progress.h"
#include "data/dataset.h"
#include "search/settings.h"
#include "search/study_folder.h"

namespace retort::search {

// The structures of the search's space with their costs, those above the limits too, in the sampler's order.
// A timed search gets all, to choose among; else the first ones that fit, as many as are wanted. Throws
// Error(Infeasible) when none fits, with the nearest miss.
std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress);

}  // namespace retort::search
