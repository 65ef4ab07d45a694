// A trial whose numbers cease to be finite begins that stage anew with a lower rate, once; the same on any number of
// workers and after any cut.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "engine/checkpoint.h"
#include "essence.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "search/pipeline.h"
#include "search/search.h"
#include "search/study_folder.h"
#include "stops_at.h"
#include "synthetic.h"
#include "wrapped_network.h"

namespace retort::search {
namespace {

constexpr int kBad = 1;
constexpr float kRate = 4e-3F;

SearchSettings three() {
  SearchSettings settings = three_structures(2);
  settings.pipeline.schedule = {.kind = engine::ScheduleKind::Constant, .peak = kRate};
  settings.pipeline.distill_epochs = 3;
  return settings;
}

// Overflows at its 35th step, in the third epoch of distillation alone, when that has the full rate.
class Steep final : public WrappedNetwork {
 public:
  using WrappedNetwork::WrappedNetwork;
  bool apply_gradients(float rate) override {
    const bool finite = WrappedNetwork::apply_gradients(rate);
    // Resumed networks go on to count.
    if (rate < kRate / 2 || optimizer_state().steps != 35) return finite;
    graph::Parameters parameters = this->parameters();
    parameters.at(1, graph::Role::Kernel)[0] = NAN;
    set_parameters(parameters);
    return false;
  }
};

class SteepBackend final : public engine::Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "steep"; }
  [[nodiscard]] std::unique_ptr<engine::Network> compile(
      const graph::Graph& graph, const engine::CompileOptions& options) const override {
    static const std::string bad =
        graph::structural_hash(graph::graph_from_config(three().configs.at(kBad), {8, 8, 1}, 3));
    auto network = engine::backend().compile(graph, options);
    if (graph::structural_hash(graph) != bad) return network;
    return std::make_unique<Steep>(std::move(network));
  }
};

const SteepBackend steep;

TEST(Divergence, TheStageBeginsAnewOnceWithALowerRate) {
  const TemporaryFolder folder;
  const TemporaryFolder plain;
  const StudyResult study =
      run_search(three(), synthetic(), {.folder = folder.path(), .workers = 1, .backend = steep});
  const StudyResult undisturbed = run_search(three(), synthetic(), {.folder = plain.path(), .workers = 1});
  const TrialResult& trial = study.trials.at(kBad);
  EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
  const std::string what =
      "step 35 of 45: a weight of layer 1 (conv) is nan; a lower learning rate than 0.004 may help";
  EXPECT_EQ(trial.diverged, (std::vector<Diverged>{{"distill", what}}));
  // The stage before it is as ever, those from there on are other training.
  const TrialResult& other = undisturbed.trials.at(kBad);
  EXPECT_EQ(trial.stages.at(0).history.epochs.back().train_loss,
            other.stages.at(0).history.epochs.back().train_loss);
  EXPECT_EQ(trial.stages.at(1).trained, 3);
  EXPECT_NE(trial.stages.at(1).history.epochs.front().train_loss,
            other.stages.at(1).history.epochs.front().train_loss);
  for (const int number : {0, 2}) {
    const auto index = static_cast<size_t>(number);
    EXPECT_TRUE(study.trials.at(index).diverged.empty());
    EXPECT_EQ(study.trials.at(index).accuracy_int8, undisturbed.trials.at(index).accuracy_int8);
  }
  // Whoever looks is told.
  const std::string said =
      "diverged in distill (" + what + "), which began anew with 0.25 of the learning rate";
  EXPECT_EQ(divergence_text(trial.diverged), said);
  EXPECT_NE(ending_text("notebook", trial).find("\nIt " + said + "\n"), std::string::npos);
  const StudyResult loaded = load_study(folder.path());
  EXPECT_EQ(loaded.trials.at(kBad).diverged, trial.diverged);
}

// A wide network's step is too long.
class SteepWhenWide final : public engine::Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "steep when wide"; }
  [[nodiscard]] std::unique_ptr<engine::Network> compile(
      const graph::Graph& graph, const engine::CompileOptions& options) const override {
    auto network = engine::backend().compile(graph, options);
    if (graph::parameter_count(graph) <= most) return network;
    return std::make_unique<Steep>(std::move(network));
  }
  int64_t most = 0;
};

TEST(Divergence, AWideNetworkBeginsAnewAndBecomesTheStructureAfterAll) {
  const data::Dataset dataset = synthetic();
  const data::Split split = data::stratified_split(dataset, {});
  PipelineSettings settings = three().pipeline;
  settings.stages = {"channels", "distill", "export"};
  settings.channels_epochs = 3;
  const graph::Graph structure = graph::graph_from_config(three().configs.at(kBad), {8, 8, 1}, 3);
  SteepWhenWide backend;
  backend.most = graph::parameter_count(structure);
  const TemporaryFolder folder;
  Candidate candidate = make_candidate("student", structure, Rng(3), folder.path());
  EXPECT_EQ(
      run_stages(candidate, {.dataset = dataset, .split = split, .settings = settings, .backend = backend}),
      Verdict::Continue);
  ASSERT_EQ(candidate.diverged.size(), 1U);
  EXPECT_EQ(candidate.diverged[0].stage, "channels");
  ASSERT_EQ(candidate.stages.size(), 2U);
  EXPECT_EQ(candidate.stages[0].trained, 3);
  EXPECT_EQ(candidate.graph, structure);
}

TEST(Divergence, WorkersAndCutsChangeNothing) {
  const TemporaryFolder one;
  StopsAt never;
  const auto expected =
      essence(run_search(three(), synthetic(),
                         {.folder = one.path(), .workers = 1, .backend = steep, .progress = never}),
              one.path());
  const TemporaryFolder two;
  EXPECT_EQ(essence(run_search(three(), synthetic(), {.folder = two.path(), .workers = 2, .backend = steep}),
                    two.path()),
            expected);

  const TemporaryFolder folder;
  Rng rng(3);
  int stops = 0;
  std::optional<StudyResult> study;
  while (!study && stops < 60) {
    StopsAt stopper(1 + static_cast<int>(static_cast<float>(never.words) * rng.uniform(0.05F, 0.2F)));
    try {
      study = run_search(three(), synthetic(),
                         {.folder = folder.path(),
                          .workers = 1,
                          .backend = steep,
                          .progress = stopper,
                          .stop = stopper.stop.get_token()});
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::Interrupted) << error.what();
      ++stops;
    }
  }
  ASSERT_TRUE(study);
  EXPECT_GT(stops, 3);
  EXPECT_EQ(essence(*study, folder.path()), expected);
}

// Nothing is made up here: such a decay makes weights of the other sign and larger, step by step.
engine::OptimizerOptions explosive() {
  return {.kind = engine::OptimizerKind::Sgd, .weight_decay = 1};
}
constexpr float kExplosiveRate = 10;

TEST(Divergence, TheSecondTimeTheTrialFails) {
  const TemporaryFolder folder;
  SearchSettings settings = three();
  settings.pipeline.optimizer = explosive();
  settings.pipeline.schedule.peak = kExplosiveRate;
  static_cast<void>(
      thrown_by([&] { run_search(settings, synthetic(), {.folder = folder.path(), .workers = 2}); }));
  const StudyResult study = load_study(folder.path());
  ASSERT_EQ(study.trials.size(), 3U);
  for (const TrialResult& trial : study.trials) {
    EXPECT_EQ(trial.outcome, Outcome::Failed);
    ASSERT_EQ(trial.diverged.size(), 2U);
    EXPECT_EQ(trial.reason, trial.diverged[1].what);
    EXPECT_NE(trial.diverged[0].what.find("than 10 may help"), std::string::npos) << trial.diverged[0].what;
    EXPECT_NE(trial.diverged[1].what.find("than 2.5 may help"), std::string::npos) << trial.diverged[1].what;
  }
}

// Three with a teacher of the structure that Steep disturbs, which no trial has then.
SearchSettings two_with_a_teacher() {
  SearchSettings settings = three();
  settings.teacher.kind = TeacherKind::Train;
  settings.teacher.config = settings.configs.at(kBad);
  settings.teacher.epochs = 5;
  settings.teacher.batch_size = 16;
  settings.teacher.schedule = settings.pipeline.schedule;
  settings.configs.erase(settings.configs.begin() + kBad);
  return settings;
}

TEST(Divergence, TheTeacherBeginsAnewOnceWithALowerRate) {
  const TemporaryFolder folder;
  StopsAt never;
  const StudyResult study = run_search(
      two_with_a_teacher(), synthetic(),
      {.folder = folder.path(), .workers = 1, .teacher_threads = 1, .backend = steep, .progress = never});
  ASSERT_EQ(study.teacher.diverged.size(), 1U);
  EXPECT_TRUE(study.teacher.diverged[0].what.starts_with("step 35 of ")) << study.teacher.diverged[0].what;
  EXPECT_EQ(study.teacher.history.epochs.size(), 5U);
  EXPECT_EQ(load_study(folder.path()).teacher.diverged, study.teacher.diverged);
  const auto expected = essence(study, folder.path());

  // Cut anywhere, it ends the same.
  const TemporaryFolder cut;
  int stops = 0;
  std::optional<StudyResult> resumed;
  for (; !resumed && stops < 60; ++stops) {
    StopsAt stopper(1 + never.words / 10);
    try {
      resumed = run_search(two_with_a_teacher(), synthetic(),
                           {.folder = cut.path(),
                            .workers = 1,
                            .teacher_threads = 1,
                            .backend = steep,
                            .progress = stopper,
                            .stop = stopper.stop.get_token()});
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::Interrupted) << error.what();
    }
  }
  ASSERT_TRUE(resumed);
  EXPECT_GT(stops, 3);
  EXPECT_EQ(resumed->teacher.diverged, study.teacher.diverged);
  EXPECT_EQ(essence(*resumed, cut.path()), expected);
}

TEST(Divergence, OfTheTeacherForTheSecondTimeEndsTheSearchAndNamesIt) {
  const TemporaryFolder folder;
  SearchSettings settings = three();
  settings.teacher.kind = TeacherKind::Train;
  settings.teacher.config = "1,1,8,0";
  settings.teacher.epochs = 40;  // a quarter of the rate takes longer
  settings.teacher.batch_size = 16;
  settings.teacher.optimizer = explosive();
  settings.teacher.schedule.peak = kExplosiveRate;
  const Thrown thrown =
      thrown_by([&] { run_search(settings, synthetic(), {.folder = folder.path(), .workers = 1}); });
  EXPECT_TRUE(thrown.sentence.starts_with("the teacher, step ")) << thrown.sentence;
  EXPECT_NE(thrown.sentence.find("than 2.5 may help"), std::string::npos) << thrown.sentence;
}

}  // namespace
}  // namespace retort::search
