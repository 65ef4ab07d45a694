#include "engine/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "base/error.h"
#include "engine/backend.h"
#include "small_data.h"

namespace retort::engine {
namespace {

using graph::Parameters;

std::unique_ptr<Network> small_network(const graph::Graph& graph = small_graph(), uint64_t seed = 1) {
  auto network = backend("reference").compile(graph, {.batch_size = 32});
  network->set_parameters(graph::initialize(graph, Rng(seed)));
  return network;
}

TeacherLogits random_teacher(const data::Dataset& dataset, int views, uint64_t seed) {
  TeacherLogits teacher;
  teacher.classes = static_cast<int>(dataset.classes.size());
  teacher.images = dataset.train.count();
  teacher.views.resize(static_cast<size_t>(views));
  std::iota(teacher.views.begin(), teacher.views.end(), 0);
  Rng rng(seed);
  teacher.values.resize(teacher.images * dataset.classes.size() * static_cast<size_t>(views));
  for (float& value : teacher.values) value = 2 * rng.normal();
  return teacher;
}

void expect_same(const Parameters& a, const Parameters& b) {
  ASSERT_EQ(a.specs(), b.specs());
  EXPECT_TRUE(std::equal(a.values().begin(), a.values().end(), b.values().begin()));
}

void expect_same(const History& a, const History& b) {
  ASSERT_EQ(a.epochs.size(), b.epochs.size());
  EXPECT_EQ(a.steps, b.steps);
  for (size_t i = 0; i < a.epochs.size(); ++i) {
    EXPECT_EQ(a.epochs[i].epoch, b.epochs[i].epoch);
    EXPECT_EQ(a.epochs[i].train_loss, b.epochs[i].train_loss);
    EXPECT_EQ(a.epochs[i].train_accuracy, b.epochs[i].train_accuracy);
    EXPECT_EQ(a.epochs[i].validation_loss, b.epochs[i].validation_loss);
    EXPECT_EQ(a.epochs[i].validation_accuracy, b.epochs[i].validation_accuracy);
  }
}

template <typename Function>
std::string error_of(const Function& function, ErrorCode code) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

class Training : public testing::Test {
 protected:
  History run(Network& network, const TrainOptions& options, const TrainCallbacks& callbacks = {},
              const Checkpoint* resume = nullptr, std::stop_token stop = {}) {
    return train(network, {dataset, training, validation, teacher ? &*teacher : nullptr}, options, Rng(77),
                 callbacks, std::move(stop), resume);
  }

  data::Dataset dataset = small_dataset();
  std::vector<uint32_t> training = range_of_indices(0, 90);
  std::vector<uint32_t> validation = range_of_indices(90, 120);
  std::optional<TeacherLogits> teacher;
};

TEST_F(Training, Learns) {
  const auto network = small_network();
  TrainOptions options;
  options.epochs = 20;
  options.schedule = {ScheduleKind::OneCycle, 0.02F};
  const History history = run(*network, options);
  ASSERT_EQ(history.epochs.size(), 20);
  EXPECT_EQ(history.steps, 20 * 3);  // 90 images in batches of 32, 32 and 26
  EXPECT_LT(history.epochs.back().train_loss, 0.5 * history.epochs.front().train_loss);
  EXPECT_GT(evaluate(*network, dataset.train, validation).accuracy, 0.8);
  EXPECT_EQ(evaluate(*network, dataset.train, validation).loss, history.epochs.back().validation_loss);
}

// With a learning rate of 0 the reported numbers are those of the initial network, averaged over images, the
// last, smaller batch included.
TEST_F(Training, LossIsTheMeanOverImages) {
  graph::Graph graph({6, 6, 1, false});
  graph.add(graph::Flatten{});
  graph::Dense dense;
  dense.units = 4;
  graph.add(dense);
  const auto network = small_network(graph);
  TrainOptions options;
  options.epochs = 1;
  options.schedule.peak = 0;
  const History history = run(*network, options);
  const Evaluation evaluation = evaluate(*network, dataset.train, training);
  EXPECT_NEAR(history.epochs[0].train_loss, evaluation.loss, 1e-6);
  EXPECT_EQ(history.epochs[0].train_accuracy, evaluation.accuracy);
  EXPECT_EQ(evaluation.images, 90);
}

TEST_F(Training, EveryImageIsSeenOnceAnEpochInANewOrder) {
  // Each image is told by its first two bytes.
  for (size_t i = 0; i < dataset.train.count(); ++i) dataset.train.pixels[i * 36] = static_cast<uint8_t>(i);
  class Spy final : public Network {
   public:
    explicit Spy(std::unique_ptr<Network> inner) : inner_(std::move(inner)) {}
    const graph::Graph& graph() const override { return inner_->graph(); }
    void set_parameters(const Parameters& values) override { inner_->set_parameters(values); }
    Parameters parameters() const override { return inner_->parameters(); }
    void set_masks(const Parameters& masks) override { inner_->set_masks(masks); }
    Parameters masks() const override { return inner_->masks(); }
    void set_optimizer_state(const OptimizerState& state) override { inner_->set_optimizer_state(state); }
    OptimizerState optimizer_state() const override { return inner_->optimizer_state(); }
    StepResult compute_gradients(const Batch& batch, const Objective& objective, Rng& rng) override {
      for (size_t i = 0; i < batch.labels.size(); ++i) seen.push_back(batch.images[i * 36]);
      return inner_->compute_gradients(batch, objective, rng);
    }
    Parameters gradients() const override { return inner_->gradients(); }
    bool apply_gradients(float rate) override { return inner_->apply_gradients(rate); }
    int first_output_not_finite(const Batch& batch, const Objective& objective, Rng rng) override {
      return inner_->first_output_not_finite(batch, objective, rng);
    }
    void predict(std::span<const uint8_t> images, std::span<float> logits) override {
      inner_->predict(images, logits);
    }
    int64_t memory_bytes() const override { return inner_->memory_bytes(); }
    std::vector<std::string> describe_plan() const override { return inner_->describe_plan(); }
    std::vector<int> seen;

   private:
    std::unique_ptr<Network> inner_;
  };

  Spy spy(small_network());
  TrainOptions options;
  options.epochs = 2;
  run(spy, options);
  ASSERT_EQ(spy.seen.size(), 180);
  const std::vector<int> first(spy.seen.begin(), spy.seen.begin() + 90);
  const std::vector<int> second(spy.seen.begin() + 90, spy.seen.end());
  EXPECT_EQ(std::set<int>(first.begin(), first.end()).size(), 90);
  EXPECT_EQ(std::set<int>(second.begin(), second.end()).size(), 90);
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));

  // Paced: only the usable prefix, in the order given, and all of it.
  spy.seen.clear();
  std::reverse(training.begin(), training.end());
  options.epochs = 4;
  options.pacing = [](double t) {
    return static_cast<size_t>(std::lround(30 + 60 * std::min(1.0, t / 0.5)));
  };
  run(spy, options);
  ASSERT_EQ(spy.seen.size(), 360);
  for (size_t i = 0; i < 32; ++i) EXPECT_GE(spy.seen[i], 60);
  std::set<int> usable_at_first(spy.seen.begin(), spy.seen.begin() + 32);
  EXPECT_GE(usable_at_first.size(), 30);
  for (size_t epoch = 2; epoch < 4; ++epoch) {
    const auto begin = spy.seen.begin() + static_cast<std::ptrdiff_t>(epoch * 90);
    EXPECT_EQ(std::set<int>(begin, begin + 90).size(), 90) << "all are usable in the second half";
  }
}

TEST_F(Training, ResumesFromEveryEpochToTheSameNumbers) {
  const graph::Graph graph = small_graph();
  teacher = random_teacher(dataset, 18, 3);
  TrainOptions options;
  options.epochs = 5;
  options.batch_size = 16;
  options.schedule = {ScheduleKind::Cosine, 0.01F};
  options.objective = {0.3F, 2.0F, 0.0F};
  options.views = {data::Mirror::Horizontal, 1};
  options.pacing = [](double t) { return static_cast<size_t>(20 + 70 * t); };

  std::vector<Checkpoint> checkpoints;
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) { checkpoints.push_back(checkpoint); };
  const auto whole = small_network(graph);
  Parameters masks(graph);
  for (size_t i = 0; i < masks.values().size(); ++i) masks.values()[i] = i % 3 == 0 ? 0.0F : 1.0F;
  whole->set_masks(masks);
  const History history = run(*whole, options, callbacks);
  ASSERT_EQ(checkpoints.size(), 5);

  for (const Checkpoint& checkpoint : checkpoints) {
    // A stranger with other weights, no masks and another seed: everything must come from the checkpoint.
    const auto resumed = small_network(graph, 99);
    const History again =
        train(*resumed, {dataset, training, validation, &*teacher}, options, Rng(1234), {}, {}, &checkpoint);
    expect_same(history, again);
    expect_same(whole->parameters(), resumed->parameters());
    expect_same(whole->optimizer_state().first, resumed->optimizer_state().first);
    expect_same(whole->optimizer_state().second, resumed->optimizer_state().second);
    expect_same(whole->masks(), resumed->masks());
  }
}

TEST_F(Training, StopsInTheMiddleAndResumes) {
  TrainOptions options;
  options.epochs = 4;
  const auto whole = small_network();
  const History history = run(*whole, options);

  std::stop_source source;
  std::optional<Checkpoint> last;
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) { last = checkpoint; };
  callbacks.before_step = [&](Network&, int64_t step, int64_t total) {
    EXPECT_EQ(total, 12);
    if (step == 7) source.request_stop();  // in the third epoch
  };
  const auto cut = small_network();
  error_of([&] { run(*cut, options, callbacks, nullptr, source.get_token()); }, ErrorCode::Interrupted);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->step, 6);

  const auto resumed = small_network();
  expect_same(history, run(*resumed, options, {}, &*last));
  expect_same(whole->parameters(), resumed->parameters());
}

TEST_F(Training, StopsEarlyAfterPatienceEpochsWithoutGain) {
  // A rate so high that the validation loss soon rises.
  TrainOptions options;
  options.epochs = 60;
  options.schedule.peak = 0.3F;
  options.early_stopping = MonitorKind::ValidationLoss;
  for (const int patience : {1, 2, 4}) {
    options.patience = patience;
    const auto network = small_network();
    std::optional<Checkpoint> last;
    TrainCallbacks callbacks;
    callbacks.after_epoch = [&](const Checkpoint& checkpoint) { last = checkpoint; };
    const History history = run(*network, options, callbacks);
    ASSERT_LT(history.epochs.size(), 60);

    // The best is exactly `patience` epochs from the end, and no run of that length came before.
    const auto best =
        std::min_element(history.epochs.begin(), history.epochs.end(),
                         [](const auto& a, const auto& b) { return a.validation_loss < b.validation_loss; });
    EXPECT_EQ(history.epochs.end() - best - 1, patience);
    double lowest = INFINITY;
    int without = 0;
    for (auto epoch = history.epochs.begin(); epoch + 1 != history.epochs.end(); ++epoch) {
      without = epoch->validation_loss < lowest ? 0 : without + 1;
      lowest = std::min(lowest, epoch->validation_loss);
      EXPECT_LT(without, patience);
    }
    // Resumed, it knows that it has ended.
    EXPECT_EQ(run(*network, options, {}, &*last).epochs.size(), history.epochs.size());
  }
}

TEST_F(Training, ValidatesAsOftenAsWantedTheFirstAndTheLastEpochAmongThem) {
  const auto whole = small_network();
  TrainOptions options;
  options.epochs = 11;
  const History every = run(*whole, options);
  for (const int validations : {1, 2, 3, 7, 10, 11, 50}) {
    options.validations = validations;
    const auto network = small_network();
    std::vector<Checkpoint> checkpoints;
    TrainCallbacks callbacks;
    callbacks.after_epoch = [&](const Checkpoint& checkpoint) { checkpoints.push_back(checkpoint); };
    const History history = run(*network, options, callbacks);
    expect_same(whole->parameters(), network->parameters());
    int count = 0;
    int gap = 0;
    for (size_t i = 0; i < 11; ++i, ++gap) {
      EXPECT_EQ(history.epochs[i].train_loss, every.epochs[i].train_loss);
      if (std::isnan(history.epochs[i].validation_loss)) continue;
      EXPECT_EQ(history.epochs[i].validation_loss, every.epochs[i].validation_loss);
      EXPECT_EQ(history.epochs[i].validation_accuracy, every.epochs[i].validation_accuracy);
      ++count;
      if (count > 1) {
        EXPECT_LE(gap, (10 + validations - 2) / (validations - 1));
      }
      gap = 0;
    }
    EXPECT_EQ(count, std::min(validations, 11));
    EXPECT_TRUE(std::isfinite(history.epochs.back().validation_loss));
    EXPECT_EQ(std::isfinite(history.epochs.front().validation_loss), validations > 1);
    // A run that was cut validates what the whole one does.
    const auto resumed = small_network();
    const History again = run(*resumed, options, {}, &checkpoints.at(4));
    expect_same(whole->parameters(), resumed->parameters());
    for (size_t i = 0; i < 11; ++i)
      EXPECT_EQ(std::isnan(again.epochs[i].validation_loss), std::isnan(history.epochs[i].validation_loss));
  }
  options.validations = 0;
  EXPECT_EQ(error_of([&] { run(*whole, options); }, ErrorCode::Usage), "0 validations: at least 1 is needed");
  options.validations = 3;
  options.early_stopping = MonitorKind::ValidationLoss;
  EXPECT_EQ(error_of([&] { run(*whole, options); }, ErrorCode::Usage),
            "early stopping validates after every epoch, not 3 times");
}

TEST_F(Training, WithoutValidationItsNumbersAreNaN) {
  validation.clear();
  TrainOptions options;
  options.epochs = 1;
  const auto network = small_network();
  const History history = run(*network, options);
  EXPECT_TRUE(std::isnan(history.epochs[0].validation_loss));
  EXPECT_TRUE(std::isnan(history.epochs[0].validation_accuracy));
  options.early_stopping = MonitorKind::ValidationLoss;
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage),
            "early stopping on the validation loss needs validation images");
}

// Nothing is learned at a rate of 0, so the first epoch stays the best, for a resumed run too.
TEST_F(Training, PatienceGoesOnWhereItWas) {
  graph::Graph graph({6, 6, 1, false});
  graph.add(graph::Flatten{});
  graph.add(graph::Dense{.units = 4});
  TrainOptions options;
  options.epochs = 9;
  options.schedule.peak = 0;
  options.early_stopping = MonitorKind::ValidationLoss;
  options.patience = 2;
  std::vector<Checkpoint> checkpoints;
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) { checkpoints.push_back(checkpoint); };
  EXPECT_EQ(run(*small_network(graph), options, callbacks).epochs.size(), 3U);
  ASSERT_EQ(checkpoints.size(), 3U);
  for (const Checkpoint& checkpoint : checkpoints)
    EXPECT_EQ(run(*small_network(graph, 2), options, {}, &checkpoint).epochs.size(), 3U);
}

// Each view has the teacher's row of its own: with α = 0 the gradient vanishes only if the rows belong
// together.
TEST_F(Training, EachViewComesWithItsTeacherRow) {
  const graph::Graph graph = [] {
    graph::Graph plain({6, 6, 1, false});
    plain.add(graph::Flatten{});
    graph::Dense dense;
    dense.units = 4;
    plain.add(dense);
    return plain;
  }();
  const auto network = small_network(graph);
  std::vector<uint8_t> image(36);
  std::vector<float> logits(4);
  // Without mirror images a view's number is not its row; and a teacher may answer for some of them only.
  for (const data::ViewOptions& views :
       {data::ViewOptions{data::Mirror::Horizontal, 2}, data::ViewOptions{data::Mirror::None, 2},
        data::ViewOptions{data::Mirror::None, 1, 5}}) {
    TeacherLogits own;
    own.classes = 4;
    own.images = dataset.train.count();
    own.views = data::view_numbers(views);
    for (const int view : data::view_numbers(views)) {
      for (size_t i = 0; i < own.images; ++i) {
        data::write_view(dataset.train.image(i), dataset.train.shape, view, image);
        network->predict(image, logits);
        own.values.insert(own.values.end(), logits.begin(), logits.end());
      }
    }
    teacher = own;
    TrainOptions options;
    options.epochs = 3;
    options.views = views;
    options.objective = {0.0F, 1.0F, 0.0F};
    options.schedule.peak = 0;
    const History history = run(*network, options);
    for (const EpochResult& epoch : history.epochs) EXPECT_NEAR(epoch.train_loss, 0, 1e-9);

    teacher->values[teacher->values.size() - 1] += 5;  // the last image's last view, drawn sooner or later
    const std::vector<uint32_t> all = std::exchange(training, {static_cast<uint32_t>(own.images - 1)});
    options.epochs = 400;
    const History wrong = run(*network, options);
    EXPECT_TRUE(std::any_of(wrong.epochs.begin(), wrong.epochs.end(),
                            [](const auto& epoch) { return epoch.train_loss > 1e-3; }));
    training = all;
  }
}

TEST_F(Training, ErrorsSayWhatDoesNotFit) {
  const auto network = small_network();
  const TrainOptions good;
  TrainOptions options = good;
  options.epochs = 0;
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage), "0 epochs: at least 1 is needed");
  options = good;
  options.batch_size = 0;
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage),
            "batch size 0: at least 1 is needed");
  options = good;
  options.objective.alpha = 0.5F;
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage),
            "alpha 0.5 needs a teacher's logits");
  teacher = random_teacher(dataset, 2, 1);
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage),
            "the teacher's logits are for 120 images, 4 classes and 2 views; needed are 120, 4 and 1");
  options.views = {data::Mirror::None, 1, 2};
  EXPECT_EQ(error_of([&] { run(*network, options); }, ErrorCode::Usage),
            "the teacher's logits are for other views than those of training");
  training.clear();
  EXPECT_EQ(error_of([&] { run(*network, good); }, ErrorCode::Usage), "there are no images to train on");
  data::ImageSet other;
  other.shape = {5, 5, 3};
  EXPECT_EQ(error_of([&] { evaluate(*network, other, {}); }, ErrorCode::Usage),
            "the images are 5×5×3, the network takes 6×6×1");
}

TEST_F(Training, RefusesACheckpointOfOtherTraining) {
  const auto network = small_network();
  TrainOptions options;
  options.epochs = 2;
  std::optional<Checkpoint> last;
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) { last = checkpoint; };
  run(*network, options, callbacks);
  options.batch_size = 10;
  EXPECT_EQ(error_of([&] { run(*network, options, {}, &*last); }, ErrorCode::Usage),
            "the checkpoint is at step 6 after 2 epochs; with 9 steps an epoch it belongs to other training");
}

TEST_F(Training, ReportsProgressToTheEnd) {
  class Sink final : public ProgressSink {
   public:
    void update(std::string_view task, double done, double total, std::string_view note) override {
      EXPECT_EQ(task, "student");
      EXPECT_EQ(total, 6);
      last = done;
      words = note;
    }
    void message(std::string_view) override {}
    void trained(int64_t count) override { images += count; }
    double last = 0;
    std::string words;
    int64_t images = 0;
  } sink;
  TrainOptions options;
  options.epochs = 2;
  TrainCallbacks callbacks;
  callbacks.progress = &sink;
  callbacks.task = "student";
  const History history = run(*small_network(), options, callbacks);
  EXPECT_EQ(sink.last, 6);
  EXPECT_EQ(sink.images, 2 * 90);
  EXPECT_EQ(sink.words.find("epoch 2/2, loss "), 0);
  // The last words are about the last epoch, as the result is.
  EXPECT_TRUE(sink.words.ends_with(
      fmt::format(", validation {:.1f}%", 100 * history.epochs.back().validation_accuracy)))
      << sink.words;
}

TEST(Predict, GivesTheSameInChunksAndInAnyOrder) {
  const data::Dataset dataset = small_dataset(1100);
  const auto network = small_network();
  std::vector<uint32_t> indices = range_of_indices(0, 1100);
  Rng(3).shuffle(std::span(indices));
  const std::vector<float> logits = predict(*network, dataset.train, indices);
  ASSERT_EQ(logits.size(), 4400);
  std::vector<float> one(4);
  for (size_t i = 0; i < indices.size(); i += 97) {
    network->predict(dataset.train.image(indices[i]), one);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), logits.begin() + static_cast<std::ptrdiff_t>(4 * i)));
  }
  EXPECT_TRUE(predict(*network, dataset.train, {}).empty());
}

}  // namespace
}  // namespace retort::engine
