// A study as it is while a search runs: for pages that show it. Works beside a search in this process or another one,
// before there is a study and after its end, and only reads, but for request_stop().
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "search/results.h"
#include "study/storage.h"

namespace retort::search {

enum class RunState {
  None,  // no search has said anything yet
  Running,
  Stopping,  // it was asked to, and ends what it must
  Silent,    // it said that it runs, and then nothing: killed, or its machine is asleep
  Done,
  Stopped,
  Failed,
};

// Something that the search is at: loading, the teacher, a candidate's stage.
struct LiveTask {
  std::string name;
  double done = 0;
  double total = 0;  // not positive: unknown
  std::string note;
};

struct LiveTrial {
  int number = 0;
  std::string config;
  Effort effort = Effort::Full;
  std::string worker;
  int attempt = 1;
  double silent_seconds = 0;  // since its worker's last heartbeat; infinite where its clock is gone
  double lease_seconds = 0;
  std::vector<double> accuracies;  // validation, in float, of each epoch so far; unknown ones are NaN
  // Where the stages that are finished ended: "quick" after 3 epochs.
  std::vector<std::pair<std::string, size_t>> stages;
};

struct LiveRun {
  RunState state = RunState::None;
  std::string id;    // of the run
  std::string host;  // the machine that the search runs on, and its process there
  int process = 0;
  double silent_seconds = 0;  // since it last said something
  std::optional<double> seconds_left;
  std::vector<LiveTask> tasks;
  std::vector<LiveTrial> trials;  // those that run, by number, some hundred at most
  std::map<study::TrialState, int> counts;
};

// Not for use by several threads at once.
class StudyWatch {
 public:
  // Without a URL the folder's study.db. Opens nothing.
  StudyWatch(std::filesystem::path folder, const study::Place& place);
  ~StudyWatch();
  StudyWatch(const StudyWatch&) = delete;
  StudyWatch& operator=(const StudyWatch&) = delete;

  // Reads what may have changed since the last look; false when nothing has. A large study is read whole no more often
  // than a tenth of the time. What cannot be read becomes problem().
  bool look();

  // Why it cannot be read: one sentence. Empty when all is well, also where there is no study yet.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  // Null until there is a study.
  [[nodiscard]] const std::shared_ptr<const StudyResult>& study() const { return study_; }
  [[nodiscard]] const LiveRun& run() const { return run_; }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool may_have_changed();
  void read();
  void read_run(const study::Storage& storage);
  void judge_run();

  std::filesystem::path folder_;
  study::Place place_;
  std::string problem_;

  std::shared_ptr<const StudyResult> study_;
  std::string changes_;  // that it has taken in
  bool study_is_old_ = true;
  Clock::time_point next_study_;  // not to be read before

  LiveRun run_;
  RunState said_ = RunState::None;
  int beat_ = 0;
  Clock::time_point heard_at_;

  std::string stamp_;                        // of a study.db, as it was last read
  std::unique_ptr<study::Storage> storage_;  // of a server
  Clock::time_point next_look_;              // at a server
};

// Asks the run of that id to stop in order. Error(Usage) when there is no study.
void request_stop(const std::filesystem::path& folder, const study::Place& place, const std::string& run_id);

}  // namespace retort::search
