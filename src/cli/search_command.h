// A search as its options describe it: the command line's and the Python module's are the same.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/json_fwd.h"
#include "base/progress.h"
#include "cli/options.h"
#include "cli/target.h"
#include "data/dataset.h"
#include "search/search.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::cli {

inline constexpr const char* kDefaultPreset = "quick";

struct SearchCommand {
  std::filesystem::path folder;
  search::SearchSettings settings = search::preset(kDefaultPreset);
  TargetOptions target;
  study::Place storage;
  double lease_seconds = 60;
  int workers = 0;
  std::optional<int64_t> memory_bytes;
  int teacher_threads = 0;
  std::string command_line;
};

// Everything that shapes a search and how it runs, but for its folder, its data and how it speaks. They set the
// fields of `command`, which must outlive `app`.
void add_search_options(CLI::App& app, SearchCommand& command);

// After `app` was parsed: what follows from several options together. Throws Error(Usage) for values that make no
// sense and for options that would be without effect.
void settle(const CLI::App& app, SearchCommand& command);

// What listens to a search.
struct SearchListeners {
  ProgressSink& progress;
  std::stop_token stop{};
  std::function<void(const search::StudyResult&)> changed{};  // from one thread at a time
  std::function<void(double)> time_left{};
};

// Runs or resumes it, and keeps report.html, trials.csv and study.json in its folder up to date, also when it is
// stopped early. Throws what search::run_search does.
search::StudyResult run_search(const SearchCommand& command, const data::Dataset& dataset,
                               const SearchListeners& listeners);

// Throws Error(Failure) where no candidate was completed.
void require_model(const search::StudyResult& study, const std::filesystem::path& folder);

// What a search ends with on a terminal.
std::string summary(const search::StudyResult& study, const cost::Target& target,
                    const std::filesystem::path& folder);
// What --json prints: best, top, trials by outcome, teacher, report, seconds.
Json result_json(const search::StudyResult& study, const cost::Target& target,
                 const std::filesystem::path& folder);

}  // namespace retort::cli
