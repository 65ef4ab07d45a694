// A search that Python waits for.
#pragma once

#include <nanobind/nanobind.h>

#include "cli/search_command.h"
#include "data/dataset.h"
#include "search/results.h"

namespace retort::python {

// Runs it on threads of its own, without the interpreter's lock. The calling thread looks for signals ten times a second
// and calls `progress` (unless it is None) with a text of JSON: {"phase":…,"phases":[[name, figures],…],"complete":…,
// "best":…,"images_per_second":…,"seconds_left":…,"tasks":[…],"messages":[…]}. An exception of either stops the search
// in order and is then thrown on: KeyboardInterrupt, as a rule.
search::StudyResult search_and_wait(const cli::SearchCommand& command, const data::Dataset& dataset,
                                    nanobind::object progress);

}  // namespace retort::python
