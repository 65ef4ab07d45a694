#include "search/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "compress/pruning.h"
#include "engine/checkpoint.h"
#include "graph/notebook.h"
#include "int8/tflite.h"
#include "synthetic.h"

namespace retort::search {
namespace {

class Pipeline : public testing::Test {
 protected:
  Pipeline() {
    settings.quick_epochs = 3;
    settings.distill_epochs = 3;
    settings.prune_epochs = 1;
    settings.pruning.update_every = 2;
    settings.qat_epochs = 3;
    settings.gate = 0;
    settings.batch_size = 16;
    settings.schedule.peak = 5e-3F;
    Rng rng(9);
    logits.classes = 3;
    logits.images = dataset.train.count();
    for (size_t i = 0; i < logits.images; ++i)
      for (int c = 0; c < 3; ++c)
        logits.values.push_back((dataset.train.labels[i] == c ? 4.0F : 0.0F) + rng.uniform(-1, 1));
  }

  [[nodiscard]] Context context() const {
    return {
        .dataset = dataset, .split = split, .settings = settings, .teacher = &logits, .curriculum = order};
  }
  [[nodiscard]] Candidate candidate(const std::filesystem::path& folder = {}) const {
    return make_candidate("student", graph::graph_from_config("1,1,16,1,16", {8, 8, 1}, 3), Rng(3), folder);
  }

  data::Dataset dataset = synthetic();
  data::Split split = data::stratified_split(dataset, {});
  PipelineSettings settings;
  engine::TeacherLogits logits;
  std::vector<uint32_t> order;
};

TEST_F(Pipeline, OneStudentGoesThroughAllStages) {
  Candidate student = candidate();
  ASSERT_EQ(run_stages(student, context()), Verdict::Continue);
  std::vector<std::string> names;
  for (const StageResult& stage : student.stages) names.push_back(stage.name);
  EXPECT_EQ(names, (std::vector<std::string>{"quick", "distill", "prune", "quantize"}));
  ASSERT_TRUE(student.exported);
  EXPECT_GT(student.exported->validation_accuracy, 0.6);
  EXPECT_DOUBLE_EQ(int8_accuracy(student.exported->tflite, dataset.train, split.validation, {}),
                   student.exported->validation_accuracy);
  EXPECT_EQ(int8::read_tflite(student.exported->tflite, "file").classes, dataset.classes);
}

TEST_F(Pipeline, ThePrunedZerosAreInTheFile) {
  Candidate student = candidate();
  run_stages(student, context());
  const double pruned = student.stages[2].sparsity;
  EXPECT_NEAR(pruned, settings.pruning.final_sparsity, 0.03);
  EXPECT_GE(student.stages[3].sparsity, pruned - 1e-9) << "quantisation-aware training filled zeros";
  EXPECT_GE(student.exported->sparsity, pruned - 1e-9);
}

TEST_F(Pipeline, ThePrunedZerosLastInAnyOrderOfStages) {
  settings.stages = {"prune", "quick", "distill", "quantize", "export"};
  Candidate student = candidate();
  run_stages(student, context());
  const double pruned = student.stages[0].sparsity;
  EXPECT_NEAR(pruned, settings.pruning.final_sparsity, 0.03);
  for (const StageResult& stage : student.stages) EXPECT_GE(stage.sparsity, pruned - 1e-9) << stage.name;
  EXPECT_GE(student.exported->sparsity, pruned - 1e-9);
}

TEST_F(Pipeline, PruningTellsItsZerosLayerByLayer) {
  Candidate student = candidate();
  run_stages(student, context());
  EXPECT_TRUE(student.stages[0].layers.empty());
  const auto& layers = student.stages[2].layers;
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_EQ(layers[0].name, "conv 3×3×1→16");
  double zeros = 0;
  double weights = 0;
  for (const compress::LayerSparsity& layer : layers) {
    zeros += layer.sparsity * static_cast<double>(layer.weights);
    weights += static_cast<double>(layer.weights);
  }
  EXPECT_NEAR(zeros / weights, student.stages[2].sparsity, 1e-9);
  const auto back = Json(student.stages[2]).get<StageResult>();
  EXPECT_EQ(back.layers.at(1).name, layers[1].name);
  EXPECT_EQ(back.layers.at(1).sparsity, layers[1].sparsity);
}

TEST_F(Pipeline, TheOptimiserAndTheRangesMomentumAreTheSettings) {
  settings.stages = {"quantize", "export"};
  Candidate adam = candidate();
  run_stages(adam, context());
  settings.optimizer.kind = engine::OptimizerKind::Sgd;
  Candidate sgd = candidate();
  run_stages(sgd, context());
  EXPECT_NE(sgd.exported->tflite, adam.exported->tflite);
  settings.optimizer = {};
  settings.range_momentum = 0.5F;
  Candidate ranges = candidate();
  run_stages(ranges, context());
  EXPECT_NE(ranges.exported->tflite, adam.exported->tflite);
}

// The teacher says of every image that it is of the first class: who listens to it alone says so too.
TEST_F(Pipeline, PruningAndQuantisationListenToTheTeacherAsFarAsTheirAlphasSay) {
  for (size_t i = 0; i < logits.values.size(); ++i) logits.values[i] = i % 3 == 0 ? 8.0F : 0.0F;
  const auto share = static_cast<double>(std::ranges::count(dataset.train.labels, 0)) /
                     static_cast<double>(dataset.train.count());
  for (const std::string stage : {"prune", "quantize"}) {
    settings.stages = {"quick", stage, "export"};
    settings.prune_epochs = settings.qat_epochs = 6;
    settings.prune_alpha = settings.qat_alpha = 1;
    Candidate labels = candidate();
    run_stages(labels, context());
    EXPECT_GT(labels.stages.back().validation_accuracy, 0.6) << stage;
    (stage == "prune" ? settings.prune_alpha : settings.qat_alpha) = 0;
    settings.qat_keep = KeepEpoch::Last;
    Candidate taught = candidate();
    run_stages(taught, context());
    EXPECT_NEAR(taught.stages.back().validation_accuracy, share, 0.1) << stage;
  }
}

TEST_F(Pipeline, TheGateSkipsWhatIsNotAboveIt) {
  settings.gate = 1;
  Candidate student = candidate();
  EXPECT_EQ(run_stages(student, context()), Verdict::Skip);
  EXPECT_EQ(student.stages.size(), 1U);
  EXPECT_NE(student.reason.find("is not above 1.0000"), std::string::npos) << student.reason;
  student.stages.back().validation_accuracy = settings.gate = 0.5;
  EXPECT_EQ(gate(student, context()), Verdict::Skip) << "at the gate is not above it";
  settings.gate = 0.4999;
  EXPECT_EQ(gate(student, context()), Verdict::Continue);
}

TEST_F(Pipeline, AnotherListOfStagesIsAnotherPipeline) {
  settings.stages = {"distill", "export"};
  Candidate student = candidate();
  EXPECT_EQ(run_stages(student, context()), Verdict::Continue);
  EXPECT_EQ(student.stages.size(), 1U);
  EXPECT_TRUE(student.exported) << "without quantisation-aware training, export measures the ranges itself";
}

TEST_F(Pipeline, LongStagesAreValidatedSometimesAndThoseThatWatchTheirEpochsAlways) {
  settings.stages = {"quick", "distill", "quantize"};
  settings.quick_epochs = settings.distill_epochs = settings.qat_epochs = 3 * kStageValidations;
  settings.quick_patience = 1000;
  Candidate student = candidate();
  run_stages(student, context());
  const auto validated = [](const StageResult& stage) {
    return std::ranges::count_if(stage.history.epochs, [](const engine::EpochResult& epoch) {
      return std::isfinite(epoch.validation_accuracy);
    });
  };
  EXPECT_EQ(validated(student.stages.at(0)), 3 * kStageValidations) << "early stopping";
  EXPECT_EQ(validated(student.stages.at(1)), kStageValidations);
  EXPECT_EQ(validated(student.stages.at(2)), 3 * kStageValidations) << "the best epoch";
  EXPECT_TRUE(std::isfinite(student.stages.at(1).validation_accuracy));
}

TEST_F(Pipeline, KeepsTheBestEpochOfQuantisationAwareTraining) {
  for (const KeepEpoch keep : {KeepEpoch::Best, KeepEpoch::Last}) {
    settings.qat_keep = keep;
    Candidate student = candidate();
    run_stages(student, context());
    const StageResult& stage = student.stages.back();
    double best = 0;
    for (const engine::EpochResult& epoch : stage.history.epochs)
      best = std::max(best, epoch.validation_accuracy);
    const double expected = keep == KeepEpoch::Best ? best : stage.history.epochs.back().validation_accuracy;
    EXPECT_DOUBLE_EQ(stage.validation_accuracy, expected);
    const auto network = engine::backend().compile(student.graph, {});
    network->set_parameters(student.parameters);
    EXPECT_DOUBLE_EQ(engine::evaluate(*network, dataset.train, split.validation).accuracy, expected);
  }
}

TEST_F(Pipeline, QuantisationAwareTrainingTakesAShareOfTheLearningRate) {
  const auto trained = [&](float peak, double share) {
    settings.schedule.peak = peak;
    settings.qat_rate = share;
    Candidate student = candidate();
    quantize(student, context());
    const auto values = student.parameters.values();
    return std::vector<float>(values.begin(), values.end());
  };
  const auto quarter = trained(4e-3F, 0.25);
  EXPECT_EQ(quarter, trained(1e-3F, 1));
  EXPECT_NE(quarter, trained(4e-3F, 1));
}

TEST_F(Pipeline, EpochsAreAskedForOnceAndRecorded) {
  Context asked = context();
  std::vector<std::string> stages;
  asked.epochs = [&](const Candidate&, std::string_view stage, int epochs) {
    stages.emplace_back(stage);
    return epochs - 2;
  };
  Candidate student = candidate();
  run_stages(student, asked);
  EXPECT_EQ(stages, (std::vector<std::string>{"quick", "distill", "prune", "quantize"}));
  EXPECT_EQ(student.stages[1].epochs, 1);
  EXPECT_EQ(student.stages[1].history.epochs.size(), 1U);
  EXPECT_EQ(student.stages[2].epochs, 1) << "never fewer than one";
}

TEST_F(Pipeline, ResumesFromEveryEpochToTheSameFile) {
  for (const std::vector<std::string>& stages :
       {settings.stages, {"channels", "distill", "prune", "quantize", "export"}}) {
    settings.stages = stages;
    const TemporaryFolder plain_folder;
    Candidate plain = candidate(plain_folder.path());
    run_stages(plain, context());

    const TemporaryFolder folder;
    int epochs_seen = 0;
    std::optional<Candidate> finished;
    for (int attempt = 0; attempt < 100 && !finished; ++attempt) {
      // A process that ends after each epoch's checkpoint.
      std::stop_source stop;
      class StopAfterOneEpoch final : public ProgressSink {
       public:
        explicit StopAfterOneEpoch(std::filesystem::path watched, std::stop_source& source)
            : folder_(std::move(watched)), source_(source) {}
        void update(std::string_view, double, double, std::string_view) override {
          for (const auto& entry : std::filesystem::directory_iterator(folder_))
            if (entry.path().extension() == ".checkpoint" && ++seen_ > 0) source_.request_stop();
        }
        void message(std::string_view text) override { ADD_FAILURE() << text; }
        int seen_ = 0;

       private:
        std::filesystem::path folder_;
        std::stop_source& source_;
      } sink(folder.path(), stop);
      Candidate again = candidate(folder.path());
      Context cut = context();
      // A new Context with the sink, since its members are references.
      const Context watched{.dataset = cut.dataset,
                            .split = cut.split,
                            .settings = cut.settings,
                            .teacher = cut.teacher,
                            .progress = sink,
                            .stop = stop.get_token()};
      try {
        run_stages(again, watched);
        finished = std::move(again);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::Interrupted) << error.what();
      }
      epochs_seen += sink.seen_;
    }
    ASSERT_TRUE(finished);
    EXPECT_GT(epochs_seen, 0);
    EXPECT_EQ(finished->exported->tflite, plain.exported->tflite);
    for (size_t i = 0; i < plain.stages.size(); ++i) {
      ASSERT_EQ(finished->stages[i].history.epochs.size(), plain.stages[i].history.epochs.size());
      EXPECT_EQ(finished->stages[i].validation_accuracy, plain.stages[i].validation_accuracy);
      EXPECT_EQ(finished->stages[i].history.epochs.back().train_loss,
                plain.stages[i].history.epochs.back().train_loss);
    }
  }
}

// Of the candidate's own structure, what is narrow being what is exported.
TEST_F(Pipeline, ChannelsOfAWiderNetworkAreRemoved) {
  settings.stages = {"channels", "distill", "export"};
  settings.channels_epochs = 4;
  settings.wider = 1.5;
  Candidate student = candidate();
  const graph::Graph structure = student.graph;
  ASSERT_EQ(channels(student, context()), Verdict::Continue);
  EXPECT_EQ(student.graph, structure);
  const StageResult& stage = student.stages.at(0);
  EXPECT_EQ(stage.name, "channels");
  EXPECT_EQ(stage.trained, 4);
  const auto network = engine::backend().compile(student.graph, {});
  network->set_parameters(student.parameters);
  EXPECT_DOUBLE_EQ(engine::evaluate(*network, dataset.train, split.validation).accuracy,
                   stage.validation_accuracy);

  Candidate whole = candidate();
  run_stages(whole, context());
  EXPECT_EQ(graph::structural_hash(whole.graph), graph::structural_hash(structure));
  settings.stages = {"distill", "export"};
  Candidate plain = candidate();
  run_stages(plain, context());
  const auto widths = [](const Candidate& exported) {
    std::vector<std::vector<int>> shapes;
    for (const int8::Tensor& tensor : int8::read_tflite(exported.exported->tflite, "file").tensors)
      shapes.push_back(tensor.dims);
    return shapes;
  };
  EXPECT_EQ(widths(whole), widths(plain));
  EXPECT_NE(whole.exported->tflite, plain.exported->tflite);
  EXPECT_GT(whole.exported->validation_accuracy, 0.6);
}

// Without learning, what a trained candidate knows goes through the wide network and back.
TEST_F(Pipeline, ATrainedCandidateIsWidenedWithItsWeights) {
  settings.quick_epochs = 6;
  Candidate student = candidate();
  quick_evaluation(student, context());
  const double before = student.stages.back().validation_accuracy;
  ASSERT_GT(before, 0.6);
  settings.schedule = {engine::ScheduleKind::Constant, 1e-9F};
  settings.channels_epochs = 1;
  channels(student, context());
  EXPECT_NEAR(student.stages.back().history.epochs.back().validation_accuracy, before, 0.05);
}

TEST_F(Pipeline, WhatHasNothingToWidenHasNoChannelsToRemove) {
  graph::Graph dense({.height = 8, .width = 8, .channels = 1});
  dense.add(graph::Flatten{});
  dense.add(graph::Dense{.units = 3});
  Candidate student = make_candidate("student", dense, Rng(3));
  const Thrown thrown = thrown_by([&] { channels(student, context()); });
  EXPECT_EQ(thrown.code, ErrorCode::Failure) << "others may have some";
  EXPECT_NE(thrown.sentence.find("the stage 'channels' needs"), std::string::npos) << thrown.sentence;
}

// Keeps a copy of a file that comes and goes while a stage runs, and what is said.
class CopyingSink final : public ProgressSink {
 public:
  CopyingSink(std::filesystem::path from, std::filesystem::path to)
      : from_(std::move(from)), to_(std::move(to)) {}
  void update(std::string_view, double, double, std::string_view) override {
    if (std::filesystem::exists(from_)) write_file_atomic(to_, read_file(from_));
  }
  void message(std::string_view text) override { said += text; }
  std::string said;

 private:
  std::filesystem::path from_;
  std::filesystem::path to_;
};

TEST_F(Pipeline, AMissingBestEpochBeginsTheStageAnewToTheSameFile) {
  settings.stages = {"quantize", "export"};
  const TemporaryFolder folder;
  const TemporaryFolder cut;
  const auto run = [&](const TemporaryFolder& where, ProgressSink& sink) {
    Candidate student = candidate(where.path());
    run_stages(
        student,
        {.dataset = dataset, .split = split, .settings = settings, .teacher = &logits, .progress = sink});
    return student.exported->tflite;
  };
  CopyingSink plain(folder.path() / "quantize.checkpoint", cut.path() / "quantize.checkpoint");
  const auto expected = run(folder, plain);
  ASSERT_TRUE(std::filesystem::exists(cut.path() / "quantize.checkpoint"));
  CopyingSink listener("", "");
  EXPECT_EQ(run(cut, listener), expected);
  EXPECT_NE(listener.said.find("quantize, begins anew"), std::string::npos) << listener.said;
}

TEST_F(Pipeline, ADamagedFolderBeginsAnewToTheSameFile) {
  const TemporaryFolder folder;
  Candidate first = candidate(folder.path());
  run_stages(first, context());
  write_text_atomic(folder.path() / "quantize.retort", "not a model");
  Candidate again = candidate(folder.path());
  run_stages(again, context());
  EXPECT_EQ(again.exported->tflite, first.exported->tflite);
}

TEST_F(Pipeline, TheCurriculumOrdersByTheTeachersEntropy) {
  const auto easy = curriculum_order(compress::Curriculum::Entropy, split, &logits, Rng(1));
  ASSERT_EQ(easy.size(), split.train.size());
  const auto margin = [&](uint32_t image) {
    std::vector<float> row(logits.row(image).begin(), logits.row(image).end());
    std::ranges::sort(row);
    return row[2] - row[1];
  };
  const size_t fifth = easy.size() / 5;
  double front = 0;
  double back = 0;
  for (size_t i = 0; i < fifth; ++i) {
    front += margin(easy[i]);
    back += margin(easy[easy.size() - 1 - i]);
  }
  EXPECT_GT(front, back) << "sure answers come first";

  auto random = curriculum_order(compress::Curriculum::RandomPacing, split, nullptr, Rng(1));
  EXPECT_NE(random, easy);
  EXPECT_NE(random, split.train);
  std::ranges::sort(random);
  EXPECT_EQ(random, split.train) << "the same images";
  EXPECT_TRUE(curriculum_order(compress::Curriculum::None, split, &logits, Rng(1)).empty());
  EXPECT_NE(
      thrown_by([&] { curriculum_order(compress::Curriculum::Entropy, split, nullptr, Rng(1)); }).sentence,
      "");
}

TEST_F(Pipeline, DistillsWithACurriculumAndWithoutATeacher) {
  settings.curriculum = compress::Curriculum::Entropy;
  order = curriculum_order(settings.curriculum, split, &logits, Rng(1));
  Candidate student = candidate();
  distill(student, context());
  EXPECT_GT(student.stages.back().validation_accuracy, 0.4);

  settings.curriculum = compress::Curriculum::None;
  const Context alone{.dataset = dataset, .split = split, .settings = settings};
  Candidate plain = candidate();
  distill(plain, alone);
  EXPECT_GT(plain.stages.back().validation_accuracy, 0.4);
}

TEST_F(Pipeline, UnknownStagesAreListed) {
  const Thrown thrown = thrown_by([] { static_cast<void>(stage("distil")); });
  EXPECT_EQ(thrown.sentence,
            "unknown stage 'distil': known are quick, gate, channels, distill, prune, quantize, export");
}

TEST(Results, BlocksReadLikeTheNotebooks) {
  TrialResult trial;
  trial.layers = "[('Conv2D', 16), ('Dense', 10)]";
  trial.quick_accuracy = 0.65432;
  trial.accuracy_int8 = 0.7;
  trial.flash_bytes = 325'560;
  trial.parameters = 123;
  trial.stages = {{.name = "quick", .epochs = 5, .trained = 2}, {.name = "prune", .epochs = 1, .trained = 1}};
  const std::string block = ending_text("notebook", trial);
  EXPECT_NE(block.find("Configuration: [('Conv2D', 16), ('Dense', 10)]\nQuick Accuracy: 0.6543\n"
                       "Final Accuracy: 0.7000 (int8, validation)\nModel size: 0.31 MB"),
            std::string::npos)
      << block;
  EXPECT_NE(block.find("\nNumber of parameters: 123"), std::string::npos);
  EXPECT_NE(block.find("\nEpochs: quick 2, prune 1\n"), std::string::npos) << block;
  trial.outcome = Outcome::Skipped;
  EXPECT_NE(ending_text("notebook", trial).find("Quick Accuracy: 0.6543 - Skipped\n--------------------"),
            std::string::npos);
}

TEST(Results, OtherPresetsSayALine) {
  TrialResult trial;
  trial.number = 3;
  trial.config = "conv 8, gap";
  trial.layers = "[('Conv2D', 8)]";
  trial.accuracy_int8 = 0.7;
  trial.footprint = {.model_bytes = 2048, .arena_bytes = 1024};
  EXPECT_EQ(ending_text("quick", trial),
            "trial 3: 70.00% int8, 2.0 KB of flash, 1.0 KB of RAM, 0 multiply-accumulates: conv 8, gap");
  trial.outcome = Outcome::Skipped;
  trial.reason = "quick accuracy 0.5, gate 0.6";
  EXPECT_EQ(ending_text("micro", trial), "trial 3: quick accuracy 0.5, gate 0.6");
}

TEST(Results, SurviveJsonWithUnknownNumbers) {
  StudyResult study;
  study.settings_json = R"({"seed":1})";
  TrialResult trial;
  trial.outcome = Outcome::Failed;
  trial.reason = "why";
  trial.stages.push_back(
      {.name = "quick", .epochs = 4, .trained = 1, .history = {.epochs = {{.epoch = 1, .seconds = 2}}}});
  study.trials = {trial};
  study.finalists = {{.trial = 0, .runs = {{.seed = 3, .file = "f"}}}};
  study.best = 0;
  const Json json = study;
  const auto back = Json::parse(json.dump()).get<StudyResult>();
  EXPECT_EQ(Json(back), json);
  EXPECT_TRUE(std::isnan(back.trials[0].accuracy_int8));
  EXPECT_TRUE(std::isnan(back.finalists[0].runs[0].test_accuracy));
}

TEST(Results, RankByAccuracyThenSize) {
  std::vector<TrialResult> trials(5);
  const double accuracies[] = {0.5, 0.7, 0.7, 0.9, 0.7};
  const int64_t sizes[] = {10, 20, 10, 10, 10};
  for (int i = 0; i < 5; ++i) {
    trials[static_cast<size_t>(i)].number = i;
    trials[static_cast<size_t>(i)].accuracy_int8 = accuracies[i];
    trials[static_cast<size_t>(i)].flash_bytes = sizes[i];
  }
  trials[3].outcome = Outcome::Failed;
  EXPECT_EQ(rank_trials(trials, 5), (std::vector<int>{2, 4, 1, 0}));
  EXPECT_EQ(rank_trials(trials, 1), (std::vector<int>{2}));
}

}  // namespace
}  // namespace retort::search
