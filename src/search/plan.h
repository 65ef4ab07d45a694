// How a timed search divides its time, from measured speeds.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "engine/network.h"
#include "graph/graph.h"
#include "search/settings.h"

namespace retort::search {

// Seconds of a network on its threads.
struct Speed {
  double train_image = 0;  // one image forward, backward, and its share of the optimiser's step
  double predict_image = 0;
  // One epoch with its validation.
  [[nodiscard]] double epoch(const data::Split& split) const {
    return train_image * static_cast<double>(split.train.size()) +
           predict_image * static_cast<double>(split.validation.size());
  }
};

// Times a few training steps and one prediction; takes about `seconds`.
Speed measure_speed(const graph::Graph& graph, const engine::Backend& backend, int batch_size, int threads,
                    const data::Dataset& dataset, double seconds);

struct StageEpochs {
  int quick = 1;
  int distill = 1;
  int prune = 1;
  int qat = 1;
  [[nodiscard]] int total() const { return quick + distill + prune + qat; }
  bool operator==(const StageEpochs&) const = default;
};

// By the stages' names.
std::map<std::string, int, std::less<>> by_stage(const StageEpochs& epochs);

// The settings' epochs times `factor`, rounded, each at least 1; 0 of a stage that the pipeline lacks.
StageEpochs scaled_epochs(const PipelineSettings& settings, double factor);

// Epochs of a teacher within `share` of the time: at least 1, at most what the settings say. 0 when one epoch
// alone takes more than half of the time: then the search goes without.
int plan_teacher_epochs(const TeacherSettings& teacher, double epoch_seconds, double total_seconds);

// Seconds until the last of these jobs ends when `workers` take them, the longest first.
double makespan(std::vector<double> jobs, int workers);

struct CandidatePlan {
  std::vector<size_t> chosen;  // indices into the costs, longest first
  StageEpochs epochs;
  double seconds = 0;               // predicted, confirmation included
  double confirmation_seconds = 0;  // set aside for the seeds of one finalist
};

// Chooses structures and epochs for `available` seconds. `epoch_seconds`: of each structure. Most epochs
// first: the costliest structures are dropped until the rest can have about a third of the settings' epochs;
// what time is left over goes to more epochs for all. Time for the seeds of one finalist, of the costliest
// kind, is set aside.
CandidatePlan plan_candidates(const std::vector<double>& epoch_seconds, const SearchSettings& settings,
                              double available, int workers);

// Keeps a timed search to its deadline: shortens the stages that are about to begin when the machine turns
// out slower than measured, lengthens them a little when it is faster. Safe from several threads.
class Pacer {
 public:
  using Clock = std::chrono::steady_clock;

  // `reserve`: seconds before the deadline that are not for candidates.
  Pacer(Clock::time_point deadline, double reserve, int workers)
      : deadline_(deadline), reserve_(reserve), workers_(workers) {}

  // A candidate that is still to run, with the stages it has before it.
  void add(const std::string& candidate, double epoch_seconds,
           std::map<std::string, int, std::less<>> stage_epochs);
  // Epochs for a stage that begins now.
  int begin(const std::string& candidate, std::string_view stage, int epochs);
  // What it really took.
  void end(const std::string& candidate, std::string_view stage, int epochs, double seconds);
  // No more of this one.
  void remove(const std::string& candidate);

  // Until the last candidate ends, by what stages took so far; nothing before the first has ended. The
  // epochs' seconds that add() was given may be in any unit for this.
  [[nodiscard]] std::optional<double> seconds_needed() const;

 private:
  struct Job {
    double epoch_seconds = 0;
    std::map<std::string, int, std::less<>> epochs;  // of the stages that are not finished
    std::string running;                             // the stage, or empty
    Clock::time_point begun;
  };
  [[nodiscard]] double remaining(const Job& job) const;

  mutable std::mutex mutex_;
  Clock::time_point deadline_;
  double reserve_;
  int workers_;
  std::map<std::string, Job, std::less<>> jobs_;
  double predicted_ = 0;  // of everything that has ended
  double measured_ = 0;
};

}  // namespace retort::search
