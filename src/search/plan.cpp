#include "search/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/rng.h"
#include "graph/parameters.h"

namespace retort::search {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Share of a timed search that its teacher may take.
constexpr double kTeacherShare = 0.25;
// Structures are dropped until the rest can have this share of the settings' epochs.
constexpr double kLeastFactor = 0.35;
// Export, int8 evaluation, storing, and what the measurement of a few steps misses.
constexpr double kOverhead = 1.06;
// A machine that turns out faster lengthens a stage by this much at most.
constexpr double kLongest = 1.25;

}  // namespace

Speed measure_speed(const graph::Graph& graph, const engine::Backend& backend, int batch_size, int threads,
                    const data::Dataset& dataset, double seconds) {
  const auto network =
      backend.compile(graph, {.batch_size = batch_size, .threads = threads, .optimizer = {}});
  network->set_parameters(graph::initialize(graph, Rng(1)));
  const data::ImageSet& images = dataset.train;
  const size_t count = std::min(images.count(), static_cast<size_t>(batch_size));
  engine::Batch batch;
  batch.images = std::span(images.pixels).first(count * images.shape.bytes());
  batch.labels = std::span(images.labels).first(count);
  Rng rng(1);
  const engine::Objective objective;
  // The first steps also create what is created once; the fastest later one is free of other programs'
  // disturbance, the mean is what training meets: their middle.
  for (int i = 0; i < 2; ++i) network->train_step(batch, objective, 1e-3F, rng);
  Speed speed;
  double total = 0;
  int steps = 0;
  double fastest = std::numeric_limits<double>::infinity();
  while (steps < 3 || (total < seconds * 0.8 && steps < 1000)) {
    const Clock::time_point start = Clock::now();
    network->train_step(batch, objective, 1e-3F, rng);
    const double step = seconds_since(start);
    fastest = std::min(fastest, step);
    total += step;
    ++steps;
  }
  speed.train_image = (fastest + total / steps) / 2 / static_cast<double>(count);
  std::vector<float> logits(count * static_cast<size_t>(graph.classes()));
  network->predict(batch.images, logits);
  const Clock::time_point start = Clock::now();
  network->predict(batch.images, logits);
  speed.predict_image = seconds_since(start) / static_cast<double>(count);
  return speed;
}

std::map<std::string, int, std::less<>> by_stage(const StageEpochs& epochs) {
  return {{"quick", epochs.quick},
          {"distill", epochs.distill},
          {"prune", epochs.prune},
          {"quantize", epochs.qat}};
}

StageEpochs scaled_epochs(const PipelineSettings& settings, double factor) {
  const auto scaled = [&](std::string_view stage, int epochs) {
    if (std::ranges::find(settings.stages, stage) == settings.stages.end()) return 0;
    return std::max(static_cast<int>(std::lround(epochs * factor)), 1);
  };
  return {.quick = scaled("quick", settings.quick_epochs),
          .distill = scaled("distill", settings.distill_epochs),
          .prune = scaled("prune", settings.prune_epochs),
          .qat = scaled("quantize", settings.qat_epochs)};
}

int plan_teacher_epochs(const TeacherSettings& teacher, double epoch_seconds, double total_seconds) {
  if (epoch_seconds > 0.5 * total_seconds) return 0;
  const double epochs = std::floor(kTeacherShare * total_seconds / std::max(epoch_seconds, 1e-9));
  return static_cast<int>(std::clamp(epochs, 1.0, static_cast<double>(teacher.epochs)));
}

double makespan(std::vector<double> jobs, int workers) {
  std::ranges::sort(jobs, std::greater<>());
  std::vector<double> busy(static_cast<size_t>(std::max(workers, 1)), 0);
  for (const double job : jobs) *std::ranges::min_element(busy) += job;
  return *std::ranges::max_element(busy);
}

CandidatePlan plan_candidates(const std::vector<double>& epoch_seconds, const SearchSettings& settings,
                              double available, int workers) {
  CandidatePlan plan;
  plan.chosen.resize(epoch_seconds.size());
  std::iota(plan.chosen.begin(), plan.chosen.end(), size_t{0});
  std::ranges::stable_sort(plan.chosen,
                           [&](size_t a, size_t b) { return epoch_seconds[a] > epoch_seconds[b]; });

  const auto candidates = [&](const StageEpochs& epochs) {
    std::vector<double> jobs;
    for (const size_t index : plan.chosen) jobs.push_back(epoch_seconds[index] * epochs.total() * kOverhead);
    return makespan(jobs, workers);
  };
  const auto confirmation = [&](const StageEpochs& epochs) {
    const double longest =
        plan.chosen.empty() ? 0 : epoch_seconds[plan.chosen.front()] * epochs.total() * kOverhead;
    return makespan(std::vector<double>(static_cast<size_t>(settings.finalist_seeds - 1), longest), workers);
  };
  const auto predict = [&](const StageEpochs& epochs) { return candidates(epochs) + confirmation(epochs); };
  while (plan.chosen.size() > 1 && predict(scaled_epochs(settings.pipeline, kLeastFactor)) > available)
    plan.chosen.erase(plan.chosen.begin());
  // At most `trials`, spread evenly over the costs that are left.
  if (settings.trials && plan.chosen.size() > static_cast<size_t>(*settings.trials)) {
    const auto count = static_cast<size_t>(*settings.trials);
    std::vector<size_t> spread;
    for (size_t i = 0; i < count; ++i)
      spread.push_back(plan.chosen[count == 1 ? 0 : i * (plan.chosen.size() - 1) / (count - 1)]);
    plan.chosen = spread;
  }
  constexpr int kSteps = 100;
  plan.epochs = scaled_epochs(settings.pipeline, 0);
  for (int step = kSteps; step > 0; --step) {
    const StageEpochs epochs = scaled_epochs(settings.pipeline, static_cast<double>(step) / kSteps);
    if (predict(epochs) > available) continue;
    plan.epochs = epochs;
    break;
  }
  plan.confirmation_seconds = confirmation(plan.epochs);
  plan.seconds = predict(plan.epochs);
  return plan;
}

void Pacer::add(const std::string& candidate, double epoch_seconds,
                std::map<std::string, int, std::less<>> stage_epochs) {
  const std::lock_guard lock(mutex_);
  jobs_[candidate] = {
      .epoch_seconds = epoch_seconds, .epochs = std::move(stage_epochs), .running = {}, .begun = {}};
}

int Pacer::begin(const std::string& candidate, std::string_view stage, int epochs) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(candidate);
  if (found == jobs_.end()) return epochs;
  Job& job = found->second;
  job.running.clear();
  std::vector<double> needed;
  for (const auto& [name, other] : jobs_) needed.push_back(remaining(other));
  const double left = std::chrono::duration<double>(deadline_ - Clock::now()).count() - reserve_;
  const double scale = std::clamp(left / std::max(makespan(needed, workers_), 1e-9), 0.0, kLongest);
  // This candidate alone must not outlast the deadline either: what its later stages need at least is kept.
  const double correction = predicted_ > 0 ? measured_ / predicted_ : 1;
  const double one_epoch = job.epoch_seconds * correction;
  int later = 0;
  for (const auto& [name, planned] : job.epochs)
    if (name != stage) ++later;
  // In double: a network that is (almost) free of cost would have more epochs than an int holds.
  const double most = std::max(std::floor(left / std::max(one_epoch, 1e-9)) - later, 1.0);
  const auto chosen = static_cast<int>(std::clamp(std::round(epochs * scale), 1.0, most));
  job.epochs[std::string(stage)] = chosen;
  job.running = stage;
  job.begun = Clock::now();
  return chosen;
}

void Pacer::end(const std::string& candidate, std::string_view stage, int epochs, double seconds) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(candidate);
  if (found == jobs_.end()) return;
  Job& job = found->second;
  predicted_ += job.epoch_seconds * epochs;
  measured_ += seconds;
  if (const auto done = job.epochs.find(stage); done != job.epochs.end()) job.epochs.erase(done);
  job.running.clear();
}

void Pacer::remove(const std::string& candidate) {
  const std::lock_guard lock(mutex_);
  if (const auto found = jobs_.find(candidate); found != jobs_.end()) jobs_.erase(found);
}

std::optional<double> Pacer::seconds_needed() const {
  const std::lock_guard lock(mutex_);
  if (!(predicted_ > 0)) return std::nullopt;
  std::vector<double> needed;
  for (const auto& [name, job] : jobs_) needed.push_back(remaining(job));
  return makespan(std::move(needed), workers_);
}

double Pacer::remaining(const Job& job) const {
  const double correction = predicted_ > 0 ? measured_ / predicted_ : 1;
  double total = 0;
  for (const auto& [stage, epochs] : job.epochs) {
    double seconds = job.epoch_seconds * correction * epochs;
    if (stage == job.running) seconds = std::max(seconds - seconds_since(job.begun), 0.0);
    total += seconds;
  }
  return total;
}

}  // namespace retort::search
