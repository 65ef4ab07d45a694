// What follows from the finalists' runs. Private to this room.
#pragma once

#include <vector>

#include "search/results.h"

namespace retort::search {

// A trial's own run.
FinalistRun run_of(const TrialResult& trial);

// Fills the means, the spreads and best_run from the runs. Runs without an accuracy (they failed) do not
// count.
void summarise(Finalist& finalist);

// Those with most runs first (one run alone may be a lucky one), of these the best mean validation accuracy;
// equals stay in their order. The first one's file is exported.
void rank(std::vector<Finalist>& finalists);

}  // namespace retort::search
