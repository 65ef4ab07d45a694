// How a timed search divides its time, from measured speeds.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/work_clock.h"
#include "data/dataset.h"
#include "engine/network.h"
#include "engine/work.h"
#include "graph/graph.h"
#include "search/settings.h"

namespace retort::search {

// Of a training step's time: forward, without backward to inputs and to weights.
inline constexpr double kPredictShare = 1.0 / 3;

// Seconds of a network on its threads.
struct Speed {
  double train_image = 0;  // one image forward, backward, and its share of the optimiser's step
  double predict_image = 0;
  // One epoch of a stage of so many, with its share of the stage's validations.
  [[nodiscard]] double epoch(const data::Split& split, int epochs) const {
    const double validations = std::min(1.0, static_cast<double>(kStageValidations) / epochs);
    return train_image * static_cast<double>(split.train.size()) +
           validations * predict_image * static_cast<double>(split.validation.size());
  }
};

// Times a few training steps and one prediction; takes about `seconds`, or one step when that is more.
Speed measure_speed(const graph::Graph& graph, const engine::Backend& backend,
                    const engine::CompileOptions& options, const data::Dataset& dataset, double seconds);

// The views of `allowed` whose teacher's answers a timed search of `total_seconds` pays for, when those to
// one view of every image take `view_seconds`: as many as a small share of the time gives, but the image and,
// where allowed, its mirror image in any case.
data::ViewOptions affordable_views(const data::ViewOptions& allowed, double view_seconds,
                                   double total_seconds);

// What networks of these sizes take, by measuring a spread of them: the cheapest first, then those that lie
// furthest from the measured ones, as far as one can be expected to be measured before `seconds` are over.
// The others follow from their multiply-accumulates: between two measured ones on a logarithmic scale, beyond
// them in proportion. measure(i) gives the seconds of an epoch of network i, 0 when it was stopped, and is
// called on up to `workers` threads.
struct Measured {
  std::vector<double> epoch_seconds;
  size_t measured = 0;
};
Measured measure_spread(const std::vector<double>& macs, double seconds, int workers,
                        const std::function<double(size_t)>& measure);

// How long an epoch of a network takes by its work, on one thread of this machine.
struct SpeedModel {
  double seconds_a_mac = 0;
  double seconds_an_activation = 0;
  [[nodiscard]] double epoch_seconds(const engine::Work& work) const {
    return seconds_a_mac * work.macs + seconds_an_activation * work.activations;
  }
};
struct MeasuredWork {
  engine::Work work;
  double epoch_seconds = 0;
};
// Least squares of the relative errors, no coefficient below 0.
SpeedModel fit_speed(const std::vector<MeasuredWork>& measured);

struct StageEpochs {
  int quick = 1;
  int distill = 1;
  int prune = 1;
  int qat = 1;
  int channels = 0;
  [[nodiscard]] int total() const { return quick + channels + distill + prune + qat; }
  bool operator==(const StageEpochs&) const = default;
};

// By the stages' names.
std::map<std::string, int, std::less<>> by_stage(const StageEpochs& epochs);

// The settings' epochs times `factor`, rounded, each at least 1; 0 of a stage that the pipeline lacks.
StageEpochs scaled_epochs(const PipelineSettings& settings, double factor);
// Those below which a timed search rather does without a structure of a list.
StageEpochs fewest_epochs(const PipelineSettings& settings);

// Rounds that `workers` need for jobs of equal length.
int rounds(int jobs, int workers);
// The most epochs, up to the settings' times `most`, that a structure has in so many seconds; at least one a stage.
StageEpochs epochs_within(const PipelineSettings& settings, double epoch_seconds, double seconds,
                          double most = 1);

// Epochs of a teacher: as many as a share of the time gives, at least 1. Beyond what the settings say the square root
// of that where more time is spent on everything (`grows`), else none. 0 when one epoch alone takes more than half of
// the time, and where the search `grows` when there is room for less than a quarter of the settings' epochs: then it goes
// without.
int plan_teacher_epochs(const TeacherSettings& teacher, double epoch_seconds, double total_seconds,
                        bool grows);
// The sentence that says why these are 0, with its figures.
std::string why_no_teacher(const TeacherSettings& teacher, double epoch_seconds, double total_seconds);

// What a candidate takes, with what comes beside its epochs.
double candidate_seconds(double epoch_seconds, const StageEpochs& epochs);

// Seconds until the last of these jobs ends when `workers` take them, the longest first.
double makespan(std::vector<double> jobs, int workers);

struct CandidatePlan {
  std::vector<size_t> chosen;    // indices into the costs, longest first
  std::vector<size_t> left_out;  // those that a longer time would have room for, cheapest first
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

// Keeps a timed search to its deadline when the machine turns out slower than measured: candidates are left
// out, the costliest first, rather than trained much less than the others; stages that begin are shortened a
// little. Nothing is ever trained more than planned. Safe from several threads.
class Pacer {
 public:
  using Clock = ProcessClock;

  // `reserve`: seconds before the deadline that are not for candidates.
  Pacer(Clock::time_point deadline, double reserve, int workers)
      : deadline_(deadline), reserve_(reserve), workers_(workers) {}

  // A candidate that is still to run, with the stages it has before it.
  // An epoch of the stage `channels` takes `relative_wide_epoch` times as long as those of the others.
  void add(const std::string& candidate, double epoch_seconds,
           std::map<std::string, int, std::less<>> stage_epochs, double relative_wide_epoch = 1);
  // Whether there is time for this candidate, which is about to begin, and all that are cheaper. One that
  // there is no time for is taken away, unless it is the only one and none has come to its end.
  bool has_room(const std::string& candidate);
  // Epochs for a stage that begins now: at most `epochs`.
  int begin(const std::string& candidate, std::string_view stage, int epochs);
  // What it really took.
  void end(const std::string& candidate, std::string_view stage, int epochs, double seconds);
  // It is complete; export, evaluation and storing took so many seconds beside its stages.
  void finish(const std::string& candidate, double overhead_seconds);
  // No more of this one.
  void remove(const std::string& candidate);

  // Until the last candidate ends, by what stages took so far; nothing before the first has ended. The
  // epochs' seconds that add() was given may be in any unit for this.
  [[nodiscard]] std::optional<double> seconds_needed() const;

 private:
  struct Job {
    double epoch_seconds = 0;
    double relative_wide_epoch = 1;
    [[nodiscard]] double seconds(std::string_view stage) const {  // of an epoch
      return epoch_seconds * (stage == "channels" ? relative_wide_epoch : 1);
    }
    std::map<std::string, int, std::less<>> epochs;  // of the stages that are not finished
    std::string running;                             // the stage, or empty
    Clock::time_point begun;
    bool started = false;
  };
  [[nodiscard]] double remaining(const Job& job) const;
  [[nodiscard]] double left() const;

  mutable std::mutex mutex_;
  Clock::time_point deadline_;
  double reserve_;
  int workers_;
  std::map<std::string, Job, std::less<>> jobs_;
  double predicted_ = 0;  // of everything that has ended
  double measured_ = 0;
  int finished_ = 0;
  double finished_epochs_ = 0;  // seconds of an epoch of each that is complete, summed
  double overhead_ = 0;         // of the same
};

}  // namespace retort::search
