// A whole search: teacher, candidates, finalists, the best model; in a folder that a later run resumes.
//
// Files: study.db (the truth) or, where that is elsewhere, storage.json (study_place.h), teacher/ (weights.retort, logits.npy: of a foreign one too, so that a later
// run does not need its file), trials/<number>/ (model.tflite, weights.retort, result.json, stages.json;
// seed-<n>/ for a finalist's other seeds), best/ (model.tflite, model.json),
// analysis.json (analysis.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "base/progress.h"
#include "data/dataset.h"
#include "deploy/exporter.h"
#include "engine/network.h"
#include "search/results.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::search {

// How a search runs; what it finds does not depend on it (but for time limits and the teacher's threads).
struct RunOptions {
  std::filesystem::path folder;
  study::Place storage{};     // without a URL: the folder's study.db
  double lease_seconds = 60;  // how long a worker may be silent before another takes its candidate
  int workers = 0;            // candidates at a time; 0: one a core
  int teacher_threads = 0;    // 0: all cores
  std::optional<int64_t>
      memory_bytes{};     // of the whole process; none: a share of what is available as it begins
  std::string command{};  // as given, for the report
  const engine::Backend& backend = engine::backend();
  ProgressSink& progress = silent_progress();
  std::stop_token stop{};
  // After each change of what was found, from one thread at a time.
  std::function<void(const StudyResult&)> changed{};
  // Once, with what was found, when it is stopped.
  std::function<void(const StudyResult&)> stopped{};
  // Seconds until the search ends as far as can be told: the time limit, else from what stages took so far.
  // Must be safe to call from several threads.
  std::function<void(double)> time_left{};
};

// Runs or resumes. Everything finished is stored before it is announced: candidates by their printed block
// through progress.message. Errors: Usage when the folder holds a search with other settings or data (the
// sentence says which), Infeasible when nothing fits the limits (with the nearest miss), Interrupted when
// stopped, Failure when the folder is in use by another process, damaged or can't be written.
StudyResult run_search(const SearchSettings& settings, const data::Dataset& dataset,
                       const RunOptions& options);

// From here on a trial that ends its process by a signal of its own making (SIGSEGV, SIGABRT, …) leaves a mark in its
// folder: the next search or worker there counts it as the trial's crash. `then` is called once the mark is left: it
// may do what a signal's handler may, such as starting the program anew; when it returns the process ends by the signal.
// Installs handlers of the whole process's.
void leave_crash_marks(void (*then)() = nullptr);

// What a search was begun with, so that it can go on, from any folder, without being told again: the settings as they are stored
// (a teacher's file or data that have moved since are not found), the data, the command; and how it was run last. Without a URL
// of the folder's study.db. Error(Usage) when there is none, or one of an earlier version.
struct StoredSearch {
  SearchSettings settings;
  std::string data_spec;
  std::string command;
  int workers = 0;
  int teacher_threads = 0;
  std::optional<int64_t> memory_bytes;
};
StoredSearch stored_search(const std::filesystem::path& folder, const study::Place& storage = {});

// What a folder holds, finished or not; changes nothing. Error(Usage) when it holds no search. `storage` as above.
StudyResult load_study(const std::filesystem::path& folder, const study::Place& storage = {});

// What a finished trial came to. Its stages have their epochs and layers only where the record has its stages:
// those are not stored twice.
TrialResult stored_result(const study::TrialRecord& record);

// What a microcontroller's programmer needs to know of a trial's model, as JSON: accuracies, sizes, input and
// output, classes, configuration, seeds, the data's hash. Of a finalist that of its best run.
std::string model_card(const StudyResult& study, const std::filesystem::path& folder, int trial);

// model.tflite, model.json and c/, the model as C code, in the folder `to`. `images` become golden inputs.
void write_model(const StudyResult& study, const std::filesystem::path& folder, int trial,
                 const std::filesystem::path& to, const std::vector<deploy::ExampleImage>& images);

}  // namespace retort::search
