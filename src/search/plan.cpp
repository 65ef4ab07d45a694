#include "search/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "base/rng.h"
#include "base/units.h"
#include "base/work_clock.h"
#include "graph/parameters.h"

namespace retort::search {
namespace {

// Share of a timed search that its teacher may take.
constexpr double kTeacherShare = 0.25;
// And the share that its least training, one epoch, may take.
constexpr double kMostTeacherShare = 0.5;
// Of the settings' epochs. A search that chooses how long it trains all else finds better networks without a teacher that knows
// less: two epochs of one took a quarter of four minutes and half a point of accuracy (docs/search.md).
constexpr double kLeastTeacher = 0.25;
// Share that the teacher's answers may take.
constexpr double kLogitsShare = 0.05;
// Structures are dropped until the rest can have this share of the settings' epochs.
constexpr double kLeastFactor = 0.35;
// Export, int8 evaluation, storing, and what the measurement of a few steps misses.
constexpr double kOverhead = 1.06;
// Export, int8 evaluation and the slower epochs of quantisation-aware training, for a structure whose epochs
// were measured by training it.
constexpr double kKnownOverhead = 1.025;
// A machine that turns out slower leaves every candidate at least this share of its epochs.
constexpr double kLeastShare = 0.8;

}  // namespace

data::ViewOptions affordable_views(const data::ViewOptions& allowed, double view_seconds,
                                   double total_seconds) {
  const int least = allowed.mirror == data::Mirror::Horizontal ? 2 : 1;
  const double paid = std::clamp(kLogitsShare * total_seconds / std::max(view_seconds, 1e-9), 1.0,
                                 static_cast<double>(data::kViewCount));
  data::ViewOptions views = allowed;
  views.most = std::min(allowed.most, std::max(least, static_cast<int>(paid)));
  return views;
}

Speed measure_speed(const graph::Graph& graph, const engine::Backend& backend,
                    const engine::CompileOptions& options, const data::Dataset& dataset, double seconds) {
  const auto network = backend.compile(graph, options);
  network->set_parameters(graph::initialize(graph, Rng(1)));
  const data::ImageSet& images = dataset.train;
  const size_t count = std::min(images.count(), static_cast<size_t>(options.batch_size));
  engine::Batch batch;
  batch.images = std::span(images.pixels).first(count * images.shape.bytes());
  batch.labels = std::span(images.labels).first(count);
  Rng rng(1);
  const engine::Objective objective;
  Speed speed;
  // The first steps also create what is created once; the fastest later one is free of other programs'
  // disturbance, the mean is what training meets: their middle.
  for (int i = 0; i < 2; ++i) {
    const ThreadClock::time_point start = ThreadClock::now();
    network->train_step(batch, objective, 1e-3F, rng);
    const double step = seconds_since(start);
    if (step < seconds) continue;
    speed.train_image = step / static_cast<double>(count);
    speed.predict_image = kPredictShare * speed.train_image;
    return speed;
  }
  double total = 0;
  int steps = 0;
  double fastest = std::numeric_limits<double>::infinity();
  while (steps < 3 || (total < seconds * 0.8 && steps < 1000)) {
    const ThreadClock::time_point start = ThreadClock::now();
    network->train_step(batch, objective, 1e-3F, rng);
    const double step = seconds_since(start);
    fastest = std::min(fastest, step);
    total += step;
    ++steps;
  }
  speed.train_image = (fastest + total / steps) / 2 / static_cast<double>(count);
  std::vector<float> logits(count * static_cast<size_t>(graph.classes()));
  network->predict(batch.images, logits);
  const ThreadClock::time_point start = ThreadClock::now();
  network->predict(batch.images, logits);
  speed.predict_image = seconds_since(start) / static_cast<double>(count);
  return speed;
}

Measured measure_spread(const std::vector<double>& macs, double seconds, int workers,
                        const std::function<double(size_t)>& measure) {
  const size_t count = macs.size();
  const ProcessClock::time_point start = ProcessClock::now();
  struct Point {
    double epoch_seconds = 0;
    double wall_seconds = 0;
  };
  std::vector<size_t> order(count);  // by size
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return macs[i]; });
  std::map<size_t, Point> points;  // by place in that order
  const auto size = [&](size_t place) { return std::max(macs[order[place]], 1.0); };
  const auto predict = [&](size_t place) {
    const auto above = points.lower_bound(place);
    if (above != points.end() && above->first == place) return above->second.epoch_seconds;
    if (above == points.begin() || above == points.end()) {
      const auto& [nearest, point] = above == points.end() ? *std::prev(above) : *above;
      return point.epoch_seconds * size(place) / size(nearest);
    }
    const auto& [low, from] = *std::prev(above);
    const auto& [high, to] = *above;
    const double span = std::log(size(high) / size(low));
    const double t = span > 0 ? std::log(size(place) / size(low)) / span : 0.5;
    return std::exp((1 - t) * std::log(from.epoch_seconds) + t * std::log(to.epoch_seconds));
  };
  // As long as the next smaller one took, or longer in proportion.
  const auto wall = [&](size_t place) {
    const Point& smaller = std::prev(points.upper_bound(place))->second;
    return smaller.wall_seconds * std::max(predict(place) / smaller.epoch_seconds, 1.0);
  };
  std::mutex mutex;
  const auto try_one = [&](size_t place) {
    const ThreadClock::time_point begun = ThreadClock::now();
    const double epoch = measure(order[place]);
    if (!(epoch > 0)) return;
    const std::lock_guard lock(mutex);
    points[place] = {.epoch_seconds = epoch, .wall_seconds = seconds_since(begun)};
  };
  if (count > 0) try_one(0);
  // Halves and halves again what lies between; what was too costly may turn out not to be.
  for (size_t before = 0; !points.empty() && before < points.size();) {
    before = points.size();
    std::vector<size_t> places;
    for (size_t parts = 1; parts < 2 * count; parts *= 2)
      for (size_t part = 1; part <= parts; part += 2)
        if (const size_t place = part * (count - 1) / parts;
            !points.contains(place) && std::ranges::find(places, place) == places.end())
          places.push_back(place);
    parallel_for(places.size(), 1, workers, [&](size_t i) {
      {
        const std::lock_guard lock(mutex);
        if (seconds_since(start) + wall(places[i]) > seconds) return;
      }
      try_one(places[i]);
    });
  }
  Measured result{.epoch_seconds = std::vector<double>(count, 0), .measured = points.size()};
  if (!points.empty())
    for (size_t place = 0; place < count; ++place) result.epoch_seconds[order[place]] = predict(place);
  return result;
}

std::map<std::string, int, std::less<>> by_stage(const StageEpochs& epochs) {
  return {{"quick", epochs.quick},
          {"channels", epochs.channels},
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
          .qat = scaled("quantize", settings.qat_epochs),
          .channels = scaled("channels", settings.channels_epochs)};
}

StageEpochs fewest_epochs(const PipelineSettings& settings) {
  return scaled_epochs(settings, kLeastFactor);
}

int rounds(int jobs, int workers) {
  return (jobs + workers - 1) / std::max(workers, 1);
}

StageEpochs epochs_within(const PipelineSettings& settings, double epoch_seconds, double seconds,
                          double most) {
  constexpr int kSteps = 1000;
  for (int step = kSteps; step > 0; --step) {
    const StageEpochs epochs = scaled_epochs(settings, most * step / kSteps);
    if (kKnownOverhead * epoch_seconds * epochs.total() <= seconds) return epochs;
  }
  return scaled_epochs(settings, 0);
}

SpeedModel fit_speed(const std::vector<MeasuredWork>& measured) {
  // The normal equations of Σ (1 − (a · macs + b · activations) / seconds)².
  double mm = 0;
  double ma = 0;
  double aa = 0;
  double m = 0;
  double a = 0;
  for (const MeasuredWork& each : measured) {
    if (!(each.epoch_seconds > 0)) continue;
    const double macs = each.work.macs / each.epoch_seconds;
    const double activations = each.work.activations / each.epoch_seconds;
    mm += macs * macs;
    ma += macs * activations;
    aa += activations * activations;
    m += macs;
    a += activations;
  }
  const double determinant = mm * aa - ma * ma;
  if (determinant > 1e-9 * mm * aa) {
    const SpeedModel both{.seconds_a_mac = (m * aa - a * ma) / determinant,
                          .seconds_an_activation = (a * mm - m * ma) / determinant};
    if (both.seconds_a_mac >= 0 && both.seconds_an_activation >= 0) return both;
  }
  // One of them explains it all: the one that leaves less, 1 − m²/mm or 1 − a²/aa.
  const bool by_macs = mm > 0 && (aa <= 0 || m * m / mm >= a * a / aa);
  return {.seconds_a_mac = by_macs ? m / mm : 0, .seconds_an_activation = by_macs || aa <= 0 ? 0 : a / aa};
}

int plan_teacher_epochs(const TeacherSettings& teacher, double epoch_seconds, double total_seconds,
                        bool grows) {
  if (epoch_seconds > kMostTeacherShare * total_seconds) return 0;
  const auto usual = static_cast<double>(teacher.epochs);
  double epochs = std::floor(kTeacherShare * total_seconds / std::max(epoch_seconds, 1e-9));
  if (grows && epochs < kLeastTeacher * usual) return 0;
  if (epochs > usual) epochs = grows ? std::floor(std::sqrt(usual * epochs)) : usual;
  return static_cast<int>(std::clamp(epochs, 1.0, static_cast<double>(kMostEpochs)));
}

std::string why_no_teacher(const TeacherSettings& teacher, double epoch_seconds, double total_seconds) {
  const auto share = [&](double of_time) {
    return fmt::format("{:.0f}% of {}", of_time * 100, format_duration(total_seconds));
  };
  const std::string epoch =
      fmt::format("No teacher: an epoch of it takes {}", format_duration(epoch_seconds));
  if (epoch_seconds > kMostTeacherShare * total_seconds)
    return fmt::format("{}, more than {}.", epoch, share(kMostTeacherShare));
  return fmt::format(
      "{}, so that {} has room for {:.0f}, and fewer than {:.0f} ({:.0f}% of --teacher-epochs {}) teach too "
      "little.",
      epoch, share(kTeacherShare), std::floor(kTeacherShare * total_seconds / epoch_seconds),
      std::ceil(kLeastTeacher * teacher.epochs), kLeastTeacher * 100, teacher.epochs);
}

double candidate_seconds(double epoch_seconds, const StageEpochs& epochs) {
  return epoch_seconds * epochs.total() * kOverhead;
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
    for (const size_t index : plan.chosen) jobs.push_back(candidate_seconds(epoch_seconds[index], epochs));
    return makespan(jobs, workers);
  };
  const auto confirmation = [&](const StageEpochs& epochs) {
    const double longest =
        plan.chosen.empty() ? 0 : candidate_seconds(epoch_seconds[plan.chosen.front()], epochs);
    return makespan(std::vector<double>(static_cast<size_t>(settings.finalist_seeds - 1), longest), workers);
  };
  const auto predict = [&](const StageEpochs& epochs) { return candidates(epochs) + confirmation(epochs); };
  while (plan.chosen.size() > 1 && predict(fewest_epochs(settings.pipeline)) > available) {
    plan.left_out.insert(plan.left_out.begin(), plan.chosen.front());
    plan.chosen.erase(plan.chosen.begin());
  }
  // At most `trials`, spread evenly over the costs that are left.
  if (settings.trials && plan.chosen.size() > static_cast<size_t>(*settings.trials)) {
    const auto count = static_cast<size_t>(*settings.trials);
    std::vector<size_t> spread;
    for (size_t i = 0; i < count; ++i)
      spread.push_back(plan.chosen[count == 1 ? 0 : i * (plan.chosen.size() - 1) / (count - 1)]);
    plan.chosen = spread;
  }
  const size_t wanted =
      std::min(epoch_seconds.size(), static_cast<size_t>(settings.trials.value_or(INT_MAX)));
  plan.left_out.resize(std::min(plan.left_out.size(), wanted - plan.chosen.size()));
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
                std::map<std::string, int, std::less<>> stage_epochs, double relative_wide_epoch) {
  const std::lock_guard lock(mutex_);
  jobs_[candidate] = {.epoch_seconds = epoch_seconds,
                      .relative_wide_epoch = relative_wide_epoch,
                      .epochs = std::move(stage_epochs),
                      .running = {},
                      .begun = {}};
}

bool Pacer::has_room(const std::string& candidate) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(candidate);
  if (found == jobs_.end()) return true;
  found->second.started = true;
  if (jobs_.size() == 1 && finished_ == 0) return true;
  std::vector<double> needed;
  for (const auto& [name, job] : jobs_)
    if (job.started || job.epoch_seconds <= found->second.epoch_seconds) needed.push_back(remaining(job));
  if (kLeastShare * makespan(std::move(needed), workers_) <= left()) return true;
  jobs_.erase(found);
  return false;
}

int Pacer::begin(const std::string& candidate, std::string_view stage, int epochs) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(candidate);
  if (found == jobs_.end()) return epochs;
  Job& job = found->second;
  job.running.clear();
  std::vector<double> needed;
  for (const auto& [name, other] : jobs_) needed.push_back(remaining(other));
  const double scale = std::clamp(left() / std::max(makespan(needed, workers_), 1e-9), kLeastShare, 1.0);
  const int chosen = std::max(static_cast<int>(std::ceil(epochs * scale - 1e-9)), 1);
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
  predicted_ += job.seconds(stage) * epochs;
  measured_ += seconds;
  if (const auto done = job.epochs.find(stage); done != job.epochs.end()) job.epochs.erase(done);
  job.running.clear();
}

void Pacer::finish(const std::string& candidate, double overhead_seconds) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(candidate);
  if (found == jobs_.end()) return;
  ++finished_;
  finished_epochs_ += found->second.epoch_seconds;
  overhead_ += overhead_seconds;
  jobs_.erase(found);
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

double Pacer::left() const {
  return std::chrono::duration<double>(deadline_ - Clock::now()).count() - reserve_;
}

double Pacer::remaining(const Job& job) const {
  const double correction = predicted_ > 0 ? measured_ / predicted_ : 1;
  // Export and evaluation grow with the network about as its epochs do.
  double total = finished_epochs_ > 0 ? job.epoch_seconds * overhead_ / finished_epochs_ : 0;
  for (const auto& [stage, epochs] : job.epochs) {
    double seconds = job.seconds(stage) * correction * epochs;
    if (stage == job.running) seconds = std::max(seconds - seconds_since(job.begun), 0.0);
    total += seconds;
  }
  return total;
}

}  // namespace retort::search
