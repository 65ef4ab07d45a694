// A worker of a search that runs elsewhere: it takes candidates from the study until there are none.
//
// The search that began the study (run_search with RunOptions::storage) prepares the teacher, publishes what
// candidates need, trains some itself and gathers the results; each worker trains on its own copy of the data,
// known by its content hash, and hands its files back as artefacts. What is found does not depend on how many
// there are.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "base/progress.h"
#include "data/dataset.h"
#include "engine/network.h"
#include "study/storage.h"

namespace retort::search {

struct WorkerOptions {
  study::Place storage;
  // For unfinished candidates; a worker that is started again with the same one goes on with them.
  std::filesystem::path folder;
  int workers = 0;                        // candidates at a time; 0: one a core
  std::optional<int64_t> memory_bytes{};  // as RunOptions'
  double lease_seconds = 60;
  double patience_seconds = 300;  // how long it waits for a search that is not there or not ready
  const engine::Backend& backend = engine::backend();
  ProgressSink& progress = silent_progress();
  std::stop_token stop{};
};

struct WorkerResult {
  int complete = 0;
  int skipped = 0;
  int failed = 0;
};

// The data that the study is about, as it was given there.
std::string data_spec(const WorkerOptions& options);

// Throws Error(Usage) when the data is not the study's; Error(Interrupted) when stopped.
WorkerResult run_worker(const data::Dataset& dataset, const WorkerOptions& options);

}  // namespace retort::search
