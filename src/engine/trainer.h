// Epochs over a data set: batches, schedule, early stopping, curriculum, checkpoints. Knows nothing of
// devices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/views.h"
#include "engine/network.h"
#include "engine/schedule.h"

namespace retort::engine {

// Logits of a teacher for every image of Dataset::train (row i: image i), row-major count × classes. With
// several views, rows are [view][image]; row() counts views as `views` does.
struct TeacherLogits {
  int classes = 0;
  size_t images = 0;
  std::vector<int> views = {0};  // their numbers (data/views.h)
  std::vector<float> values;
  [[nodiscard]] std::span<const float> row(size_t image, int view = 0) const {
    return {values.data() + (static_cast<size_t>(view) * images + image) * static_cast<size_t>(classes),
            static_cast<size_t>(classes)};
  }
  // Asks for a row's memory ahead of reading it: rows are read at random, and there are many more than caches hold.
  void fetch(size_t image, int view) const {
    const auto wanted = row(image, view);
    __builtin_prefetch(wanted.data());
    __builtin_prefetch(&wanted.back());
  }
};

enum class MonitorKind { None, ValidationLoss };

struct TrainOptions {
  int epochs = 5;
  int batch_size = 32;
  Schedule schedule;
  Objective objective;
  MonitorKind early_stopping = MonitorKind::None;
  int patience = 2;  // epochs without improvement before stopping
  // Validations of the stage: after the first epoch, after the last, and evenly between; none: after every epoch, which
  // early stopping needs.
  std::optional<int> validations;
  data::ViewOptions views;  // augmentation; default: the image itself
  // Number of images usable at fraction t ∈ [0, 1] of the stage, when `order` is a curriculum; empty: all of
  // them.
  std::function<size_t(double)> pacing;
};

struct EpochResult {
  int epoch = 0;  // from 1
  double train_loss = 0;
  double train_accuracy = 0;
  double validation_loss = 0;      // NaN without a validation set, and where it was not validated
  double validation_accuracy = 0;  // likewise
  double seconds = 0;
  bool operator==(const EpochResult&) const = default;
};

struct History {
  std::vector<EpochResult> epochs;
  int64_t steps = 0;
  double seconds = 0;  // of training and validation, summed over resumed runs
};

// Everything that training needs to go on to the same numbers as if it had not been cut. Stored by
// checkpoint.h.
struct Checkpoint {
  graph::Parameters parameters;
  OptimizerState optimizer;
  History history;
  Rng::State rng;
  int64_t step = 0;  // of the stage
  double best_monitor = 0;
  int epochs_without_gain = 0;
  graph::Parameters masks;  // empty specs when there are none
};

struct TrainCallbacks {
  // Before optimiser step `step` of `total` (pruning updates masks here).
  std::function<void(Network&, int64_t step, int64_t total)> before_step;
  // After each epoch, with everything needed to resume.
  std::function<void(const Checkpoint&)> after_epoch;
  ProgressSink* progress = nullptr;
  std::string task;  // name for progress
};

// What is trained on: Dataset::train's images by index. `train` is shuffled anew each epoch unless pacing is
// set, in which case the usable prefix of `train` (easy first) is drawn from at random.
struct TrainData {
  const data::Dataset& dataset;
  std::span<const uint32_t> train;
  std::span<const uint32_t> validation;
  const TeacherLogits* teacher = nullptr;  // needed when objective.alpha < 1
};

// A number of training is not finite: the sentence names the step and the layer. The same training does it again.
class Divergence : public Error {
 public:
  explicit Divergence(const std::string& message) : Error(ErrorCode::Failure, message) {}
};

// Whether the checkpoint is of a training on so many images in such batches, by its steps.
bool is_of_training(const Checkpoint& checkpoint, size_t images, int batch_size);

// Trains in place and returns the history. Each epoch's order, views and dropout come from rng.fork("epoch",
// n), so a resumed run draws what the uncut one would have. Throws Error(Interrupted) when stopped (after
// storing nothing beyond the last after_epoch), Divergence at the step whose loss, gradients or weights are not finite,
// or after which a validation image's logits are not.
History train(Network& network, const TrainData& data, const TrainOptions& options, const Rng& rng,
              const TrainCallbacks& callbacks, std::stop_token stop, const Checkpoint* resume = nullptr);

struct Evaluation {
  double loss = 0;  // cross-entropy
  double accuracy = 0;
  int64_t images = 0;
  int64_t not_finite =
      0;  // of the images: their logits are not all numbers, and what the others say tells little
};
Evaluation evaluate(Network& network, const data::ImageSet& images, std::span<const uint32_t> indices);

// Logits for images by index, in that order.
std::vector<float> predict(Network& network, const data::ImageSet& images, std::span<const uint32_t> indices);

}  // namespace retort::engine
