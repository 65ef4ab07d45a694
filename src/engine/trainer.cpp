#include "engine/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/work_clock.h"
#include "engine/divergence.h"

namespace retort::engine {
namespace {

int64_t steps_per_epoch(size_t images, int batch_size) {
  const size_t batch = std::min(static_cast<size_t>(batch_size), images);
  return static_cast<int64_t>((images + batch - 1) / batch);
}

void check_shape(const Network& network, const data::ImageSet& images) {
  const graph::Shape input = network.graph().input_shape();
  const data::ImageShape& shape = images.shape;
  if (shape.bytes() != static_cast<size_t>(input.size()) || shape.channels != input.channels)
    throw_usage("the images are {}×{}×{}, the network takes {}×{}×{}", shape.height, shape.width,
                shape.channels, input.height, input.width, input.channels);
}

void check(const Network& network, const TrainData& data, const TrainOptions& options) {
  check_shape(network, data.dataset.train);
  if (data.train.empty()) throw_usage("there are no images to train on");
  if (options.epochs < 1) throw_usage("{} epochs: at least 1 is needed", options.epochs);
  if (options.batch_size < 1) throw_usage("batch size {}: at least 1 is needed", options.batch_size);
  if (options.early_stopping == MonitorKind::ValidationLoss && data.validation.empty())
    throw_usage("early stopping on the validation loss needs validation images");
  if (options.validations && *options.validations < 1)
    throw_usage("{} validations: at least 1 is needed", *options.validations);
  if (options.validations && options.early_stopping != MonitorKind::None)
    throw_usage("early stopping validates after every epoch, not {} times", *options.validations);
  if (options.objective.alpha == 1) return;
  if (data.teacher == nullptr) throw_usage("alpha {} needs a teacher's logits", options.objective.alpha);
  const TeacherLogits& teacher = *data.teacher;
  const std::vector<int> views = data::view_numbers(options.views);
  if (teacher.images != data.dataset.train.count() || teacher.classes != network.graph().classes() ||
      teacher.views.size() != views.size())
    throw_usage("the teacher's logits are for {} images, {} classes and {} views; needed are {}, {} and {}",
                teacher.images, teacher.classes, teacher.views.size(), data.dataset.train.count(),
                network.graph().classes(), views.size());
  if (teacher.views != views) throw_usage("the teacher's logits are for other views than those of training");
}

// The order of an epoch's images: a shuffled deck of the usable ones, shuffled anew when it runs out.
class Deck {
 public:
  Deck(std::span<const uint32_t> images, Rng rng) : images_(images), rng_(rng) {}

  // The first `count` images may be drawn from now on. New ones go to random places in what is left of the
  // deck.
  void admit(size_t count) {
    for (; usable_ < std::min(count, images_.size()); ++usable_) {
      deck_.push_back(images_[usable_]);
      std::swap(deck_.back(), deck_[rng_.below(static_cast<uint32_t>(deck_.size()))]);
    }
  }
  uint32_t draw() {
    if (deck_.empty()) {
      deck_.assign(images_.begin(), images_.begin() + static_cast<std::ptrdiff_t>(usable_));
      rng_.shuffle(std::span(deck_));
    }
    const uint32_t image = deck_.back();
    deck_.pop_back();
    return image;
  }

 private:
  std::span<const uint32_t> images_;
  Rng rng_;
  size_t usable_ = 0;
  std::vector<uint32_t> deck_;
};

// Memory for one batch.
class BatchBuffer {
 public:
  BatchBuffer(const TrainData& data, const TrainOptions& options, size_t batch_size)
      : images_(data.dataset.train),
        teacher_(options.objective.alpha < 1 ? data.teacher : nullptr),
        views_(data::view_numbers(options.views)),
        pixels_(batch_size * images_.shape.bytes()),
        labels_(batch_size),
        logits_(teacher_ == nullptr ? 0 : batch_size * static_cast<size_t>(teacher_->classes)) {}

  void put(size_t slot, uint32_t image, Rng& view_rng) {
    const size_t bytes = images_.shape.bytes();
    const int view =
        views_.size() == 1 ? 0 : static_cast<int>(view_rng.below(static_cast<uint32_t>(views_.size())));
    if (teacher_ != nullptr) teacher_->fetch(image, view);
    data::write_view(images_.image(image), images_.shape, views_[static_cast<size_t>(view)],
                     std::span(pixels_).subspan(slot * bytes, bytes));
    labels_[slot] = images_.labels[image];
    if (teacher_ == nullptr) return;
    const auto row = teacher_->row(image, view);
    std::copy(row.begin(), row.end(), logits_.begin() + static_cast<std::ptrdiff_t>(slot * row.size()));
  }
  [[nodiscard]] Batch batch(size_t count) const {
    const size_t classes = logits_.size() / labels_.size();
    return {std::span(pixels_).first(count * images_.shape.bytes()), std::span(labels_).first(count),
            std::span(logits_).first(count * classes)};
  }

 private:
  const data::ImageSet& images_;
  const TeacherLogits* teacher_;
  std::vector<int> views_;
  std::vector<uint8_t> pixels_;
  std::vector<uint16_t> labels_;
  std::vector<float> logits_;
};

// Tells the sink a few times a second, since a step may take less than drawing a progress bar.
class Reporter {
 public:
  Reporter(const TrainCallbacks& callbacks, int64_t total) : callbacks_(callbacks), total_(total) {}

  // After each step, with the images that were in it.
  template <typename Note>
  void at(int64_t steps, size_t images, const Note& note) {
    if (callbacks_.progress == nullptr) return;
    images_ += static_cast<int64_t>(images);
    // The end is told when the last validation is known.
    if (steps == total_ || (last_ != Clock::time_point{} && seconds_since(last_) < 0.2)) return;
    last_ = Clock::now();
    now(steps, note());
  }
  void now(int64_t steps, std::string_view note) {
    if (callbacks_.progress == nullptr) return;
    callbacks_.progress->trained(std::exchange(images_, 0));
    callbacks_.progress->update(callbacks_.task, static_cast<double>(steps), static_cast<double>(total_),
                                note);
  }

 private:
  using Clock = std::chrono::steady_clock;  // people wait for it
  const TrainCallbacks& callbacks_;
  int64_t total_;
  int64_t images_ = 0;  // that the sink has not been told of
  Clock::time_point last_{};
};

class Run {
 public:
  Run(Network& network, const TrainData& data, const TrainOptions& options, const Rng& rng,
      const TrainCallbacks& callbacks, std::stop_token stop)
      : network_(network),
        data_(data),
        options_(options),
        callbacks_(callbacks),
        stop_(std::move(stop)),
        rng_(rng),
        batch_size_(std::min(static_cast<size_t>(options.batch_size), data.train.size())),
        steps_per_epoch_(steps_per_epoch(data.train.size(), options.batch_size)),
        total_steps_(steps_per_epoch_ * options.epochs),
        buffer_(data, options, batch_size_),
        reporter_(callbacks, total_steps_) {}

  void resume(const Checkpoint& checkpoint) {
    if (!is_of_training(checkpoint, data_.train.size(), options_.batch_size))
      throw_usage(
          "the checkpoint is at step {} after {} epochs; with {} steps an epoch it belongs to other training",
          checkpoint.step, checkpoint.history.epochs.size(), steps_per_epoch_);
    if (!checkpoint.masks.specs().empty()) network_.set_masks(checkpoint.masks);
    network_.set_parameters(checkpoint.parameters);
    network_.set_optimizer_state(checkpoint.optimizer);
    history_ = checkpoint.history;
    rng_ = Rng(checkpoint.rng);
    step_ = checkpoint.step;
    best_monitor_ = checkpoint.best_monitor;
    epochs_without_gain_ = checkpoint.epochs_without_gain;
  }

  History run() {
    while (static_cast<int>(history_.epochs.size()) < options_.epochs && !out_of_patience()) {
      const ThreadClock::time_point start = ThreadClock::now();
      EpochResult result = train_epoch(static_cast<int>(history_.epochs.size()) + 1);
      validate(result);
      result.seconds = seconds_since(start);
      history_.epochs.push_back(result);
      history_.steps = step_;
      history_.seconds += result.seconds;
      if (out_of_patience() || step_ == total_steps_)
        reporter_.now(step_, note(result.epoch, result.train_loss));
      if (callbacks_.after_epoch) callbacks_.after_epoch(checkpoint());
    }
    return history_;
  }

 private:
  [[nodiscard]] bool out_of_patience() const {
    return options_.early_stopping != MonitorKind::None && epochs_without_gain_ > 0 &&
           epochs_without_gain_ >= options_.patience;
  }

  [[nodiscard]] size_t usable() const {
    if (!options_.pacing) return data_.train.size();
    const double t = static_cast<double>(step_) / static_cast<double>(total_steps_);
    return std::max<size_t>(options_.pacing(t), 1);
  }

  EpochResult train_epoch(int epoch) {
    const Rng stream = rng_.fork("epoch", static_cast<uint64_t>(epoch));
    Deck deck(data_.train, stream.fork("order"));
    Rng view_rng = stream.fork("views");
    Rng dropout_rng = stream.fork("dropout");
    double loss = 0;
    int64_t correct = 0;
    for (size_t done = 0; done < data_.train.size();) {
      if (stop_.stop_requested()) throw Error(ErrorCode::Interrupted, "training was interrupted");
      const size_t count = std::min(batch_size_, data_.train.size() - done);
      deck.admit(usable());
      for (size_t slot = 0; slot < count; ++slot) buffer_.put(slot, deck.draw(), view_rng);

      if (callbacks_.before_step) callbacks_.before_step(network_, step_, total_steps_);
      const Batch batch = buffer_.batch(count);
      const Rng before = dropout_rng;
      const StepResult result = network_.compute_gradients(batch, options_.objective, dropout_rng);
      if (!std::isfinite(result.loss))
        diverged(step_ + 1, describe_bad_loss(network_, batch, options_.objective, before, result.loss));
      // The loss alone does not tell: oneDNN's ReLU makes 0 of what is no number, and pools pass it over, so that a
      // network whose weights overflowed would go on with what is left of it.
      if (!network_.apply_gradients(options_.schedule.rate(step_, total_steps_)))
        diverged(step_ + 1, describe_bad_update(network_));

      ++step_;
      done += count;
      loss += result.loss * static_cast<double>(count);
      correct += result.correct;
      reporter_.at(step_, count, [&] { return note(epoch, loss / static_cast<double>(done)); });
    }
    const double images = static_cast<double>(data_.train.size());
    EpochResult result;
    result.epoch = epoch;
    result.train_loss = loss / images;
    result.train_accuracy = static_cast<double>(correct) / images;
    return result;
  }

  [[noreturn]] void diverged(int64_t step, std::string_view what) const {
    throw Divergence(fmt::format("step {} of {}: {}; a lower learning rate than {} may help", step,
                                 total_steps_, what, options_.schedule.peak));
  }

  // "epoch 3/5, loss 0.412, validation 71.3% after epoch 2"; without the last words where epochs are equal.
  [[nodiscard]] std::string note(int epoch, double loss) const {
    std::string text = fmt::format("epoch {}/{}, loss {:.3f}", epoch, options_.epochs, loss);
    const auto validated =
        std::find_if(history_.epochs.rbegin(), history_.epochs.rend(),
                     [](const EpochResult& result) { return std::isfinite(result.validation_accuracy); });
    if (validated == history_.epochs.rend()) return text;
    text += fmt::format(", validation {:.1f}%", 100 * validated->validation_accuracy);
    if (validated->epoch != epoch) text += fmt::format(" after epoch {}", validated->epoch);
    return text;
  }

  [[nodiscard]] bool is_validated(int epoch) const {
    if (data_.validation.empty()) return false;
    const int64_t epochs = options_.epochs;
    const int64_t count = std::min<int64_t>(options_.validations.value_or(options_.epochs), epochs);
    if (epoch == epochs) return true;
    if (count == 1) return false;
    const auto before = [&](int64_t at) { return (at - 1) * (count - 1) / (epochs - 1); };
    return epoch == 1 || before(epoch) > before(epoch - 1);
  }

  void validate(EpochResult& result) {
    result.validation_loss = result.validation_accuracy = std::numeric_limits<double>::quiet_NaN();
    if (!is_validated(result.epoch)) return;
    const Evaluation evaluation = evaluate(network_, data_.dataset.train, data_.validation);
    // Batch norm computes otherwise here than in a step: by what it gathered.
    if (evaluation.not_finite > 0)
      diverged(step_, fmt::format("the output for {} of {} validation images is not finite",
                                  evaluation.not_finite, evaluation.images));
    result.validation_loss = evaluation.loss;
    result.validation_accuracy = evaluation.accuracy;
    if (evaluation.loss < best_monitor_) {
      best_monitor_ = evaluation.loss;
      epochs_without_gain_ = 0;
    } else {
      ++epochs_without_gain_;
    }
  }

  [[nodiscard]] Checkpoint checkpoint() const {
    return {network_.parameters(), network_.optimizer_state(), history_,        rng_.state(), step_,
            best_monitor_,         epochs_without_gain_,       network_.masks()};
  }

  Network& network_;
  const TrainData& data_;
  const TrainOptions& options_;
  const TrainCallbacks& callbacks_;
  std::stop_token stop_;
  Rng rng_;
  size_t batch_size_;
  int64_t steps_per_epoch_;
  int64_t total_steps_;
  BatchBuffer buffer_;
  Reporter reporter_;

  History history_;
  int64_t step_ = 0;
  double best_monitor_ = std::numeric_limits<double>::infinity();
  int epochs_without_gain_ = 0;
};

// Images are gathered and evaluated this many at a time.
constexpr size_t evaluation_chunk = 512;

// Calls body(indices, logits) for one chunk after the other.
template <typename Body>
void for_each_chunk(Network& network, const data::ImageSet& images, std::span<const uint32_t> indices,
                    const Body& body) {
  check_shape(network, images);
  const size_t bytes = images.shape.bytes();
  const auto classes = static_cast<size_t>(network.graph().classes());
  std::vector<uint8_t> pixels(std::min(indices.size(), evaluation_chunk) * bytes);
  std::vector<float> logits(std::min(indices.size(), evaluation_chunk) * classes);
  for (size_t begin = 0; begin < indices.size(); begin += evaluation_chunk) {
    const auto chunk = indices.subspan(begin, std::min(evaluation_chunk, indices.size() - begin));
    for (size_t i = 0; i < chunk.size(); ++i) {
      const auto image = images.image(chunk[i]);
      std::copy(image.begin(), image.end(), pixels.begin() + static_cast<std::ptrdiff_t>(i * bytes));
    }
    const auto rows = std::span(logits).first(chunk.size() * classes);
    network.predict(std::span(pixels).first(chunk.size() * bytes), rows);
    body(chunk, std::span<const float>(rows));
  }
}

}  // namespace

bool is_of_training(const Checkpoint& checkpoint, size_t images, int batch_size) {
  return checkpoint.step == std::ssize(checkpoint.history.epochs) * steps_per_epoch(images, batch_size);
}

History train(Network& network, const TrainData& data, const TrainOptions& options, const Rng& rng,
              const TrainCallbacks& callbacks, std::stop_token stop, const Checkpoint* resume) {
  check(network, data, options);
  Run run(network, data, options, rng, callbacks, std::move(stop));
  if (resume != nullptr) run.resume(*resume);
  return run.run();
}

Evaluation evaluate(Network& network, const data::ImageSet& images, std::span<const uint32_t> indices) {
  const auto classes = static_cast<size_t>(network.graph().classes());
  double loss = 0;
  int64_t correct = 0;
  int64_t not_finite = 0;
  for_each_chunk(
      network, images, indices, [&](std::span<const uint32_t> chunk, std::span<const float> logits) {
        for (size_t i = 0; i < chunk.size(); ++i) {
          const auto row = logits.subspan(i * classes, classes);
          const size_t label = images.labels[chunk[i]];
          if (label >= classes)
            throw_usage("image {} has label {}: the network has {} classes", chunk[i], label, classes);
          if (!std::ranges::all_of(row, [](float logit) { return std::isfinite(logit); })) ++not_finite;
          const auto best = std::max_element(row.begin(), row.end());
          double sum = 0;
          for (const float logit : row)
            sum += std::exp(static_cast<double>(logit) - static_cast<double>(*best));
          loss += std::log(sum) + static_cast<double>(*best) - static_cast<double>(row[label]);
          if (static_cast<size_t>(best - row.begin()) == label) ++correct;
        }
      });
  const double count = static_cast<double>(std::max<size_t>(indices.size(), 1));
  return {loss / count, static_cast<double>(correct) / count, static_cast<int64_t>(indices.size()),
          not_finite};
}

std::vector<float> predict(Network& network, const data::ImageSet& images,
                           std::span<const uint32_t> indices) {
  std::vector<float> all;
  all.reserve(indices.size() * static_cast<size_t>(network.graph().classes()));
  for_each_chunk(network, images, indices, [&](std::span<const uint32_t>, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

}  // namespace retort::engine
