// What a model costs, and the models that no other beats in accuracy and one cost. Private to this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "search/results.h"

namespace retort::report {

// With the runtime; in studies from before there were runtimes of the file and the arena alone.
int64_t flash_bytes(const search::TrialResult& trial);
int64_t ram_bytes(const search::TrialResult& trial);

// Both, and with a board the time on it: heads and cells of a table.
bool has_latency(const search::StudyResult& study);  // a trial has
std::string cost_heads(bool with_latency);
std::string cost_cells(const search::TrialResult& trial, bool with_latency);

struct Objective {
  std::string name;  // "flash"
  std::string axis;
  double (*value)(const search::TrialResult& trial);  // NaN where it is not known
};

// Flash, RAM, multiply-accumulates, and where the search has a board the time of an inference: those that a
// complete trial has.
std::vector<Objective> objectives(const search::StudyResult& study);

// The complete trials whose cost is known, by number.
std::vector<const search::TrialResult*> with_cost(const search::StudyResult& study,
                                                  const Objective& objective);

// Of these the ones that no other beats: each is more accurate than all that cost no more. Cheapest first. Takes
// n log n steps, for a study may have 100,000.
std::vector<const search::TrialResult*> front_of(std::vector<const search::TrialResult*> trials,
                                                 const Objective& objective);

}  // namespace retort::report
