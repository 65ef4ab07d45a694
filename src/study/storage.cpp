#include "study/storage.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"

namespace retort::study {
namespace {

constexpr std::array<std::pair<TrialState, std::string_view>, 6> kStates = {
    {{TrialState::Waiting, "WAITING"},
     {TrialState::Running, "RUNNING"},
     {TrialState::Complete, "COMPLETE"},
     {TrialState::Skipped, "SKIPPED"},
     {TrialState::Infeasible, "INFEASIBLE"},
     {TrialState::Failed, "FAILED"}}};

class MemoryStorage final : public Storage {
 public:
  void put_document(std::string_view key, std::string_view json) override {
    const std::lock_guard lock(mutex_);
    documents_.insert_or_assign(std::string(key), std::string(json));
  }

  [[nodiscard]] std::optional<std::string> document(std::string_view key) const override {
    const std::lock_guard lock(mutex_);
    const auto found = documents_.find(key);
    return found == documents_.end() ? std::nullopt : std::optional(found->second);
  }

  int add_trials(const std::vector<std::string>& proposals) override {
    const std::lock_guard lock(mutex_);
    const int first = static_cast<int>(trials_.size());
    for (const std::string& proposal : proposals) {
      TrialRecord trial;
      trial.number = static_cast<int>(trials_.size());
      trial.proposal = proposal;
      trials_.push_back(std::move(trial));
    }
    return first;
  }

  std::optional<TrialRecord> claim() override {
    const std::lock_guard lock(mutex_);
    const auto waiting = std::ranges::find(trials_, TrialState::Waiting, &TrialRecord::state);
    if (waiting == trials_.end()) return std::nullopt;
    waiting->state = TrialState::Running;
    return *waiting;
  }

  int release_running() override {
    const std::lock_guard lock(mutex_);
    int released = 0;
    for (TrialRecord& trial : trials_)
      if (trial.state == TrialState::Running) {
        trial.state = TrialState::Waiting;
        ++released;
      }
    return released;
  }

  void put_stage(int trial, const StageRecord& stage) override {
    const std::lock_guard lock(mutex_);
    std::vector<StageRecord>& stages = running(trial).stages;
    const auto same = std::ranges::find(stages, stage.name, &StageRecord::name);
    if (same == stages.end())
      stages.push_back(stage);
    else
      same->result = stage.result;
  }

  void finish(int trial, TrialState state, std::string_view result) override {
    const std::lock_guard lock(mutex_);
    TrialRecord& record = running(trial);
    record.state = state;
    record.result = result;
  }

  [[nodiscard]] std::vector<TrialRecord> trials() const override {
    const std::lock_guard lock(mutex_);
    return trials_;
  }

 private:
  TrialRecord& running(int trial) {
    if (trial < 0 || static_cast<size_t>(trial) >= trials_.size() ||
        trials_[static_cast<size_t>(trial)].state != TrialState::Running)
      throw_failure("trial {} of the study is not running", trial);
    return trials_[static_cast<size_t>(trial)];
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> documents_;
  std::vector<TrialRecord> trials_;
};

}  // namespace

std::string_view to_string(TrialState state) {
  return std::ranges::find(kStates, state, &std::pair<TrialState, std::string_view>::first)->second;
}

TrialState parse_trial_state(std::string_view name) {
  const auto found = std::ranges::find(kStates, name, &std::pair<TrialState, std::string_view>::second);
  if (found == kStates.end()) throw_failure("unknown state of a trial '{}'", name);
  return found->first;
}

std::unique_ptr<Storage> make_memory_storage() {
  return std::make_unique<MemoryStorage>();
}

}  // namespace retort::study
