// What the phases of one run of a search share: what they work with, and what they have found. Private to
// this room.
#pragma once

#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/work_clock.h"
#include "data/dataset.h"
#include "search/memory_budget.h"
#include "search/pipeline.h"
#include "search/results.h"
#include "search/search.h"
#include "search/settings.h"
#include "search/study_folder.h"
#include "search/teacher.h"

namespace retort::search {

class Session {
 public:
  using Clock = ProcessClock;

  // Takes the folder's lock; the clock begins, which counts what the settings say.
  Session(const SearchSettings& search_settings, const data::Dataset& data, const RunOptions& run_options);

  const SearchSettings& settings;
  const data::Dataset& dataset;
  const RunOptions& options;
  const int workers;
  StudyFolder folder;
  MemoryBudget memory;

  // Filled in as the run gets there; read-only while workers run.
  double earlier_seconds = 0;  // of the runs before this one
  data::Split split;
  PipelineSettings pipeline;  // the settings', with a timed search's epochs
  size_t planned = 0;         // candidates below this number are for this run, the others for a longer time
  Teacher teacher;
  std::vector<uint32_t> curriculum;

  mutable std::mutex mutex;  // for the study, while workers run
  StudyResult study;

  [[nodiscard]] Context context(const PipelineSettings& stages, std::stop_token stop);
  // Of the data's own test set, else of the part that was set aside.
  [[nodiscard]] std::vector<uint32_t> test_indices() const;

  // Whether some are stored, finished or not.
  // All of them. What another machine finished a moment ago is not in the study yet, but in the storage.
  [[nodiscard]] std::vector<StoredProposal> added(Effort effort);
  // The stored ones that wait or run.
  [[nodiscard]] std::vector<StoredProposal> unfinished(Effort effort);
  // Adds them to the trials of this study, of which there were `boundary` when they were decided on; Error(Failure) when
  // somebody else has added some since.
  void add_trials(Trials trials, int boundary, const std::vector<StoredProposal>& proposals);
  // Takes what a trial came to, as it is stored, into the study, and then announces it with this message.
  void finish(const TrialResult& result, const std::string& message);

  // Of a timed search; without a limit the clock's epoch.
  [[nodiscard]] Clock::time_point deadline() const;
  [[nodiscard]] double seconds_left() const;
  // What the search has taken so far, over resumed runs.
  [[nodiscard]] double seconds_spent() const;
  // Stores that, from any thread, so that whoever goes on where this run is killed knows of it.
  void note_seconds();
  // The last word on it, for the study too: note_seconds() changes nothing after this.
  void store_seconds();
  void tell_time_left(double seconds) const;
  void announce() const;

 private:
  // Drops what of a trial's stages nobody is shown, as load_study() leaves it there: memory would grow by all epochs.
  void leave_in_storage(int number);

  Clock::time_point start_;
  std::mutex seconds_mutex_;
  bool is_over_ = false;  // the last word is said
};

}  // namespace retort::search
