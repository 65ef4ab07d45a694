// What follows from the finalists' runs. Private to this room.
#pragma once

#include <vector>

#include "search/results.h"

namespace retort::search {

// Fills test_mean, test_spread and best_run from the runs. Runs without an accuracy (they failed) do not
// count.
void summarise(Finalist& finalist);

// The trial whose file is exported: best mean validation accuracy among the finalists with most runs, of
// equals the first. −1 without finalists.
int choose_best(const std::vector<Finalist>& finalists);

}  // namespace retort::search
