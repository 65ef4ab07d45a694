#include "search/session.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "search/keep.h"
#include "search/study_place.h"
#include "search/trial_record.h"

namespace retort::search {
Session::Session(const SearchSettings& search_settings, const data::Dataset& data,
                 const RunOptions& run_options)
    : settings(search_settings),
      dataset(data),
      options(run_options),
      workers(options.workers > 0 ? options.workers : available_cores()),
      folder(options.folder, until(options.stop, options.storage)),
      memory(options.memory_bytes),
      pipeline(settings.pipeline) {
  set_work_time(settings.clock, workers);
  start_ = Clock::now();
}

Context Session::context(const PipelineSettings& stages, std::stop_token stop) {
  return {.dataset = dataset,
          .split = split,
          .split_record = data::record_of(settings.split, split),
          .settings = stages,
          .teacher = teacher.logits ? &*teacher.logits : nullptr,
          .curriculum = curriculum,
          .backend = options.backend,
          .memory = &memory,
          .progress = options.progress,
          .stop = std::move(stop)};
}

std::vector<uint32_t> Session::test_indices() const {
  if (!split.test.empty()) return split.test;
  std::vector<uint32_t> all(dataset.test.count());
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

namespace {

std::vector<StoredProposal> stored_trials(const study::Storage& storage, Effort effort, bool finished) {
  std::vector<StoredProposal> proposals;
  for (const study::TrialRecord& record :
       storage.trials({.finished = finished, .results = false, .stages = study::Stages::None})) {
    StoredProposal proposal = proposal_of(record);
    if (proposal.effort == effort) proposals.push_back(std::move(proposal));
  }
  return proposals;
}

}  // namespace

std::vector<StoredProposal> Session::unfinished(Effort effort) {
  return stored_trials(folder.storage(), effort, false);
}

std::vector<StoredProposal> Session::added(Effort effort) {
  return stored_trials(folder.storage(), effort, true);
}

void Session::add_trials(Trials trials, int boundary, const std::vector<StoredProposal>& proposals) {
  std::vector<study::NewTrial> added;
  for (const StoredProposal& proposal : proposals) added.push_back(to_new_trial(proposal, settings));
  if (!keep([&] { return folder.storage_of(trials).add_trials(boundary, added); }))
    throw FolderError(
        "another search has added trials to this study meanwhile: run one at a time, the same command goes "
        "on");
}

void Session::finish(const TrialResult& result, const std::string& message) {
  const std::lock_guard lock(mutex);
  study.trials.insert(std::ranges::upper_bound(study.trials, result.number, {}, &TrialResult::number),
                      result);
  const std::vector<int> before = std::exchange(study.top, rank_trials(study.trials, settings.top));
  leave_in_storage(result.number);
  for (const int number : before) leave_in_storage(number);
  study.seconds = seconds_spent();
  options.progress.message(message);
  announce();
}

void Session::leave_in_storage(int number) {
  const auto trial = std::ranges::lower_bound(study.trials, number, {}, &TrialResult::number);
  if (trial == study.trials.end() || trial->number != number || shows_epochs(study, *trial)) return;
  for (StageResult& stage : trial->stages) {
    stage.history.epochs = {};
    stage.layers = {};
  }
}

Session::Clock::time_point Session::deadline() const {
  if (!settings.seconds) return {};
  const double left = std::max(*settings.seconds - earlier_seconds, 0.0);
  return start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left));
}

double Session::seconds_left() const {
  return std::chrono::duration<double>(deadline() - Clock::now()).count();
}

double Session::seconds_spent() const {
  return earlier_seconds + seconds_since(start_);
}

void Session::note_seconds() {
  const std::lock_guard lock(seconds_mutex_);
  if (!is_over_) folder.put_document(kSecondsKey, seconds_spent());
}

void Session::store_seconds() {
  const std::lock_guard lock(seconds_mutex_);
  is_over_ = true;
  study.seconds = seconds_spent();
  folder.put_document(kSecondsKey, study.seconds);
}

void Session::tell_time_left(double seconds) const {
  if (options.time_left) options.time_left(seconds);
}

void Session::announce() const {
  if (options.changed) options.changed(study);
}

}  // namespace retort::search
