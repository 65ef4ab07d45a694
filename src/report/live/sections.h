// The parts of the live page that a report has not: what is going on. HTML, bounded however large the study.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "search/live.h"
#include "search/results.h"

namespace retort::report {

enum class Control { ReadOnly, Allowed };

// What a live page is about.
struct LiveFacts {
  std::string folder;                                  // its name, for people
  std::shared_ptr<const search::StudyResult> study{};  // null: none yet
  search::LiveRun run{};
  std::string problem{};             // why nothing is seen, or nothing new
  std::string notice{};              // of what was started from here: one sentence
  std::vector<std::string> files{};  // of the study's folder that are there: the report, the best model
  Control control = Control::ReadOnly;
};

// Whether the search runs, how far it is, and the buttons that stop and resume it, where they are allowed.
std::string status_section(const LiveFacts& facts);
// What the search is at, the trials that run with their curves, their workers and heartbeats.
std::string now_section(const LiveFacts& facts);
// Links to its files.
std::string files_section(const LiveFacts& facts);

}  // namespace retort::report
