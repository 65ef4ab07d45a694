#include "search/live.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "search/run_status.h"
#include "search/study_folder.h"
#include "search/study_place.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using Seconds = std::chrono::duration<double>;

constexpr double kSilentSeconds = 30;  // a run beats every two
constexpr size_t kMostTrials = 64;
constexpr int kMostSteps = 100'000;   // of a curve: what a database says beyond is no epoch
constexpr double kShareOfTime = 0.1;  // that reading a whole study may take

// When a file was last written and how long it is; empty where there is none.
struct Stamp {
  std::string text;
  // Written so lately that the next write may have the same time: a file system's clock ticks in milliseconds.
  bool is_fresh = false;
};
Stamp stamp_of(const fs::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto written =
      std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  return {.text = fmt::format("{}:{}:{}", status.st_ino, status.st_size, written.count()),
          .is_fresh =
              std::chrono::system_clock::now().time_since_epoch() - written < std::chrono::milliseconds(100)};
}

// What StudyResult follows from, in short.
std::string changes_of(const study::Storage& storage, const std::map<study::TrialState, int>& counts) {
  std::string text;
  for (const auto& [state, count] : counts)
    if (study::is_finished(state)) text += fmt::format("{} {}\n", study::to_string(state), count);
  for (const std::string_view key : {kDescriptionKey, kImagesKey, kPlanKey, kExplorationKey,
                                     kTeacherEpochsKey, kTeacherKey, kFinalistsKey})
    text += storage.document(key).value_or("") + '\n';
  return text;
}

LiveTrial live_trial(const study::Storage& storage, const study::Lease& lease) {
  const study::TrialRecord record = storage.trial(lease.trial);
  const StoredProposal stored = proposal_of(record);
  LiveTrial trial{.number = lease.trial,
                  .config = stored.proposal.config,
                  .effort = stored.effort,
                  .worker = std::string(study::display_of(lease.worker)),
                  .attempt = lease.attempt,
                  .silent_seconds = lease.silent_seconds,
                  .lease_seconds = lease.seconds};
  for (const study::IntermediateValue& value : storage.details(lease.trial).intermediate_values) {
    if (value.step < 1 || value.step > kMostSteps) continue;
    trial.accuracies.resize(std::max(trial.accuracies.size(), static_cast<size_t>(value.step)), kUnknown);
    trial.accuracies[static_cast<size_t>(value.step) - 1] = value.value;
  }
  size_t epochs = 0;
  for (const study::StageRecord& stage : record.stages) {
    const Json result = parse_json(stage.result);
    if (!result.contains("history")) continue;  // not one of training
    epochs += result.at("history").at("epochs").size();
    trial.stages.emplace_back(stage.name, epochs);
  }
  return trial;
}

RunState state_named(std::string_view name) {
  return name == "running"    ? RunState::Running
         : name == "stopping" ? RunState::Stopping
         : name == "done"     ? RunState::Done
         : name == "stopped"  ? RunState::Stopped
         : name == "failed"   ? RunState::Failed
                              : RunState::None;
}

// The file of a SQLite place; empty for a server's.
fs::path file_of(const study::Place& place) {
  if (place.url.starts_with("postgres")) return {};
  return place.url.starts_with("sqlite:") ? place.url.substr(7) : place.url;
}

}  // namespace

StudyWatch::StudyWatch(fs::path folder, const study::Place& place)
    : folder_(std::move(folder)), place_(place_of(folder_, place)) {}

StudyWatch::~StudyWatch() = default;

bool StudyWatch::may_have_changed() {
  const Clock::time_point now = Clock::now();
  const fs::path file = file_of(place_);
  if (file.empty()) {
    if (now < next_look_) return false;
    next_look_ = now + std::chrono::seconds(2);
    return true;
  }
  const Stamp database = stamp_of(file);
  const Stamp log = stamp_of(file.string() + "-wal");
  std::string stamp = database.text + "|" + log.text;
  if (stamp == stamp_ && (!study_is_old_ || now < next_study_)) return false;
  stamp_ = database.is_fresh || log.is_fresh ? "look again" : std::move(stamp);
  return true;
}

bool StudyWatch::look() {
  const RunState before = run_.state;
  const std::string problem_before = problem_;
  bool changed = false;
  if (may_have_changed()) {
    try {
      read();
      problem_.clear();
      changed = true;
    } catch (const Error& error) {
      problem_ = error.what();
      storage_.reset();
    } catch (const Json::exception& error) {
      problem_ = fmt::format("{}: the study is damaged: {}", folder_.string(), error.what());
      storage_.reset();
    } catch (const std::exception& error) {
      problem_ = fmt::format("{}: {}", folder_.string(), error.what());
      storage_.reset();
    }
  }
  judge_run();
  return changed || run_.state != before || problem_ != problem_before;
}

void StudyWatch::read() {
  const fs::path file = file_of(place_);
  if (!file.empty() && !fs::exists(file)) {  // not yet, or no more
    study_.reset();
    study_is_old_ = false;
    run_ = {};
    said_ = RunState::None;
    return;
  }
  std::unique_ptr<study::Storage> opened;
  if (!storage_) opened = study::open_storage(place_, study::Access::Read);
  const study::Storage& storage = storage_ ? *storage_ : *opened;
  run_.counts = storage.counts();
  read_run(storage);
  run_.trials.clear();
  const std::vector<study::Lease> leases = storage.leases();
  for (size_t i = 0; i < std::min(leases.size(), kMostTrials); ++i)
    run_.trials.push_back(live_trial(storage, leases[i]));

  std::string changes = changes_of(storage, run_.counts);
  study_is_old_ = !study_ || changes != changes_;
  const Clock::time_point start = Clock::now();
  if (!storage.document(kDescriptionKey)) {
    study_.reset();
    study_is_old_ = false;
  } else if (study_is_old_ && start >= next_study_) {
    study_ = std::make_shared<const StudyResult>(collect(storage));
    changes_ = std::move(changes);
    study_is_old_ = false;
    const Clock::time_point end = Clock::now();
    next_study_ = end + (end - start) * static_cast<int>(1 / kShareOfTime);
  }
  // A server's connection stays; of a file none may be open when a search ends, or its log would stay beside it.
  if (file.empty() && opened) storage_ = std::move(opened);
}

void StudyWatch::read_run(const study::Storage& storage) {
  const auto text = storage.document(kRunKey);
  const Json run = text ? parse_json(*text) : Json();
  if (!run.is_object()) return;
  const int beat = run.at("beat");
  const bool is_new = run.at("id") != run_.id;
  if (is_new || beat != beat_) {
    const double now = Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
    // What was said before the first look is as old as the clocks say; after that only news counts.
    const double age = is_new ? std::max(now - run.at("at").get<double>(), 0.0) : 0;
    heard_at_ = Clock::now() - std::chrono::duration_cast<Clock::duration>(Seconds(std::min(age, 1e6)));
  }
  beat_ = beat;
  run_.id = run.at("id");
  run_.host = run.at("host");
  run_.process = run.at("process");
  said_ = state_named(run.at("state").get<std::string>());
  run_.seconds_left.reset();
  if (run.contains("seconds_left")) run_.seconds_left = run.at("seconds_left");
  run_.tasks.clear();
  for (const Json& task : run.at("tasks"))
    run_.tasks.push_back({.name = task.at("name"),
                          .done = task.at("done"),
                          .total = task.at("total"),
                          .note = task.at("note")});
}

void StudyWatch::judge_run() {
  run_.silent_seconds = said_ == RunState::None ? 0 : Seconds(Clock::now() - heard_at_).count();
  const bool lives = said_ == RunState::Running || said_ == RunState::Stopping;
  run_.state = lives && run_.silent_seconds > kSilentSeconds ? RunState::Silent : said_;
  if (run_.state != RunState::Running && run_.state != RunState::Stopping) {
    run_.tasks.clear();
    run_.seconds_left.reset();
  }
}

void request_stop(const fs::path& folder, const study::Place& place, const std::string& run_id) {
  const study::Place where = place_of(folder, place);
  if (const fs::path file = file_of(where); !file.empty() && !fs::exists(file))
    throw_usage("{}: holds no study yet", folder.string());
  study::open_storage(where, study::Access::Write)
      ->put_document(kRequestKey, dump_json(Json{{"stop", run_id}}));
}

}  // namespace retort::search
