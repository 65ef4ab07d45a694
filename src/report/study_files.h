// What a report shows from a study's folder beside the study itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cost/cost.h"
#include "search/analysis.h"
#include "search/results.h"

namespace retort::report {

struct StudyFiles {
  std::filesystem::path folder;  // as a command names it
  // Of the models that a report shows in detail (top_trials, kMostDetailed of them): those whose file is there.
  struct Model {
    int trial = 0;
    cost::Cost cost;
  };
  std::vector<Model> models;
  std::optional<search::Analysis> analysis;  // of the exported model
  std::vector<std::string> problems;         // one sentence for each file that is damaged
};

// Costs a few milliseconds. What is missing or damaged is left out.
StudyFiles load_study_files(const search::StudyResult& study, const std::filesystem::path& folder);

// Where the search's models shall run.
cost::Target target_of(const search::StudyResult& study);

}  // namespace retort::report
