// The part of a search's report that tells of its exploration.
#pragma once

#include <string>

#include "search/results.h"

namespace retort::report {

// HTML: how the best and the front grew, what mattered, how well early signs ranked. Empty for a search that
// has explored nothing.
std::string exploration_section(const search::StudyResult& study);

}  // namespace retort::report
