#include "search/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "engine/checkpoint.h"
#include "essence.h"
#include "graph/notebook.h"
#include "search/analysis.h"
#include "search/finalists.h"
#include "search/pipeline.h"
#include "search_fixture.h"
#include "stops_at.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const std::string& config) {
  return graph::structural_hash(graph::graph_from_config(config, {8, 8, 1}, 3));
}

TEST_F(SearchTest, FindsConfirmsAndWritesTheBest) {
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path(), 2);
  ASSERT_EQ(study.trials.size(), 3U) << "the fourth configuration is the first network again";
  for (const TrialResult& trial : study.trials) {
    EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
    EXPECT_EQ(trial.flash_bytes, static_cast<int64_t>(fs::file_size(folder.path() / trial.file)));
    EXPECT_GE(trial.sparsity, 0.75);
  }
  EXPECT_EQ(study.trials[0].config, "1 block, 1 layer, 8 filters, 0 dense");
  EXPECT_EQ(study.top.size(), 2U);
  ASSERT_EQ(study.finalists.size(), 2U);
  for (const Finalist& finalist : study.finalists) {
    ASSERT_EQ(finalist.runs.size(), 2U);
    EXPECT_EQ(finalist.runs[0].seed, 42U);
    EXPECT_EQ(finalist.runs[1].seed, 43U);
    EXPECT_NE(read_file(folder.path() / finalist.runs[0].file),
              read_file(folder.path() / finalist.runs[1].file));
    EXPECT_NEAR(finalist.test_mean, (finalist.runs[0].test_accuracy + finalist.runs[1].test_accuracy) / 2,
                1e-12);
  }
  // One model has one set of figures, those of its best run, wherever they are shown.
  EXPECT_EQ(study.best, study.top[0]);
  for (size_t i = 0; i < 2; ++i) {
    const Finalist& finalist = study.finalists[i];
    EXPECT_EQ(finalist.trial, study.top[i]);
    const FinalistRun& shown = finalist.runs.at(static_cast<size_t>(finalist.best_run));
    const TrialResult& trial = *find_trial(study, finalist.trial);
    EXPECT_EQ(trial.seed, shown.seed);
    EXPECT_EQ(trial.file, shown.file);
    EXPECT_EQ(trial.accuracy_int8, shown.validation_accuracy);
    EXPECT_EQ(trial.accuracy_float, shown.accuracy_float);
    EXPECT_EQ(trial.stages.size(), 4U);
    const Json stored = Json::parse(read_text((folder.path() / shown.file).parent_path() / "result.json"));
    EXPECT_EQ(Json(trial), stored);
  }
  EXPECT_GE(study.finalists[0].validation_mean, study.finalists[1].validation_mean);
  const auto best = read_file(folder.path() / "best" / "model.tflite");
  std::vector<uint32_t> all(dataset.test.count());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const Json card = Json::parse(read_text(folder.path() / "best" / "model.json"));
  EXPECT_DOUBLE_EQ(card.at("test").at("accuracy_int8"), int8_accuracy(best, dataset.test, all, {}));
  EXPECT_EQ(card.at("sha256"), sha256_hex(best));
  // Whoever has the model can divide the data as it was divided here.
  const auto record = card.at("split").get<data::SplitRecord>();
  const data::Split split = data::stratified_split(dataset, record.options);
  EXPECT_DOUBLE_EQ(card.at("accuracy_int8"), int8_accuracy(best, dataset.train, split.validation, {}));
  EXPECT_EQ(record.train_images, static_cast<int64_t>(split.train.size()));
  EXPECT_EQ(record.validation_images, static_cast<int64_t>(split.validation.size()));
  const auto of_weights = engine::load_model(folder.path() / "trials" / "0" / "weights.retort").split;
  ASSERT_TRUE(of_weights);
  EXPECT_EQ(Json(*of_weights), card.at("split"));
  // What it gets wrong is found in the same reading of the test set.
  const std::optional<Analysis> analysis = load_analysis(folder.path());
  ASSERT_TRUE(analysis);
  EXPECT_EQ(analysis->trial, study.best);
  EXPECT_EQ(analysis->seed, find_trial(study, study.best)->seed);
  EXPECT_EQ(analysis->mistakes.images, static_cast<int64_t>(all.size()));
  int64_t right = 0;
  int64_t counted = 0;
  for (size_t label = 0; label < 3; ++label) {
    right += analysis->mistakes.confusion.at(label).at(label);
    for (const int64_t count : analysis->mistakes.confusion[label]) counted += count;
  }
  EXPECT_EQ(counted, analysis->mistakes.images);
  EXPECT_DOUBLE_EQ(card.at("test").at("accuracy_int8"),
                   static_cast<double>(right) / static_cast<double>(all.size()));
  for (const ShownImage& image : analysis->mistakes.most_confident) {
    EXPECT_EQ(image.label, dataset.test.labels[image.index]);
    EXPECT_NE(image.label, image.guess);
    EXPECT_GE(image.guess_probability, image.label_probability);
  }
  ASSERT_TRUE(analysis->labels);
  EXPECT_EQ(analysis->labels->validation.images, study.validation_images);
  EXPECT_EQ(analysis->labels->train.images, study.train_images);
  EXPECT_EQ(card.at("classes"), Json(dataset.classes));
  EXPECT_EQ(essence(load_study(folder.path()), folder.path()), essence(study, folder.path()));
}

TEST_F(SearchTest, WorkersChangeNothingButTheTime) {
  const TemporaryFolder one;
  const TemporaryFolder two;
  EXPECT_EQ(essence(run(one.path(), 1), one.path()), essence(run(two.path(), 2), two.path()));
}

TEST_F(SearchTest, StoppedAtRandomMomentsItEndsTheSame) {
  const TemporaryFolder plain;
  StopsAt never;
  const Json expected = essence(
      run_search(settings, dataset, {.folder = plain.path(), .workers = 2, .progress = never}), plain.path());

  const TemporaryFolder folder;
  Rng rng(11);
  int stops = 0;
  std::optional<StudyResult> study;
  while (!study && stops < 40) {
    StopsAt stopper(1 + static_cast<int>(static_cast<float>(never.words) * rng.uniform(0.1F, 0.5F)));
    try {
      study = run_search(
          settings, dataset,
          {.folder = folder.path(), .workers = 2, .progress = stopper, .stop = stopper.stop.get_token()});
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::Interrupted) << error.what();
      ++stops;
    }
  }
  ASSERT_TRUE(study);
  EXPECT_GT(stops, 0);
  EXPECT_EQ(essence(*study, folder.path()), expected);
}

// Refuses one structure, with an error of the given kind.
class Picky final : public engine::Backend {
 public:
  Picky(std::string hash, ErrorCode code) : hash_(std::move(hash)), code_(code) {}
  [[nodiscard]] std::string_view name() const override { return "picky"; }
  [[nodiscard]] std::unique_ptr<engine::Network> compile(
      const graph::Graph& graph, const engine::CompileOptions& options) const override {
    if (graph::structural_hash(graph) == hash_) throw Error(code_, "this one I do not like");
    return engine::backend().compile(graph, options);
  }

 private:
  std::string hash_;
  ErrorCode code_;
};

TEST_F(SearchTest, AFailingCandidateDoesNotEndTheSearch) {
  const TemporaryFolder folder;
  const Picky backend(hash_of("1,1,16,0"), ErrorCode::Failure);
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .backend = backend});
  ASSERT_EQ(study.trials.size(), 3U);
  EXPECT_EQ(study.trials[0].outcome, Outcome::Complete);
  EXPECT_EQ(study.trials[1].outcome, Outcome::Failed);
  EXPECT_EQ(study.trials[1].reason, "this one I do not like");
  EXPECT_EQ(study.trials[2].outcome, Outcome::Complete);
  EXPECT_GE(study.best, 0);
}

TEST_F(SearchTest, WhatTheUserGotWrongEndsItAtOnce) {
  const TemporaryFolder folder;
  const Picky backend(hash_of("1,1,16,0"), ErrorCode::Usage);
  const Thrown thrown = thrown_by(
      [&] { run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .backend = backend}); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_EQ(thrown.sentence, "this one I do not like");
}

TEST_F(SearchTest, CountsEveryImageThatItTrainsOn) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  Listener listener;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
  size_t epochs = 0;
  for (const StageResult& stage : study.trials.at(0).stages) epochs += stage.history.epochs.size();
  EXPECT_EQ(listener.images, static_cast<int64_t>(epochs) * study.train_images);
}

TEST_F(SearchTest, EveryWeightsFileKnowsTheClasses) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  // Stopped after its first stage, a candidate has that stage's weights.
  std::stop_source stop;
  class Stopper final : public ProgressSink {
   public:
    explicit Stopper(std::stop_source& source) : source_(source) {}
    void update(std::string_view task, double, double, std::string_view) override {
      if (task.ends_with("distill")) source_.request_stop();
    }
    void message(std::string_view) override {}

   private:
    std::stop_source& source_;
  } stopper(stop);
  EXPECT_EQ(thrown_by([&] {
              run_search(
                  settings, dataset,
                  {.folder = folder.path(), .workers = 1, .progress = stopper, .stop = stop.get_token()});
            }).code,
            ErrorCode::Interrupted);
  EXPECT_EQ(engine::load_model(folder.path() / "trials/0/quick.retort").classes, dataset.classes);
  run(folder.path());
  for (const char* file :
       {"teacher/weights.retort", "trials/0/weights.retort", "trials/0/seed-43/weights.retort"})
    EXPECT_EQ(engine::load_model(folder.path() / file).classes, dataset.classes) << file;

  // A teacher from a file without names learns them from the data that it is used with.
  engine::Model nameless = engine::load_model(folder.path() / "teacher/weights.retort");
  nameless.classes.clear();
  const fs::path path = logits_folder.path() / "teacher.retort";
  engine::save_model(path, nameless);
  const TemporaryFolder other;
  settings.teacher = parse_teacher(path.string(), settings.teacher);
  run(other.path());
  EXPECT_EQ(engine::load_model(other.path() / "teacher/weights.retort").classes, dataset.classes);
}

// Hears how many candidates are finished, and by when; may stop the search at such a moment.
class CandidateCounter final : public ProgressSink {
 public:
  void update(std::string_view task, double done, double total, std::string_view) override {
    const std::lock_guard lock(mutex_);
    if (task.starts_with("trial ")) stage_heard_ = true;
    if (task != "candidates") return;
    if (heard.empty()) before_any_stage = !stage_heard_;
    heard.emplace_back(done, total);
    if (heard.size() == stop_after) stop.request_stop();
  }
  void message(std::string_view) override {}

  std::vector<std::pair<double, double>> heard;
  bool before_any_stage = false;
  size_t stop_after = 0;
  std::stop_source stop;

 private:
  std::mutex mutex_;
  bool stage_heard_ = false;
};

TEST_F(SearchTest, CountsItsCandidatesFromTheFirstMomentOn) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  using Counts = std::vector<std::pair<double, double>>;
  const auto count = [&](size_t stop_after) {
    CandidateCounter counter;
    counter.stop_after = stop_after;
    thrown_by([&] {
      run_search(
          settings, dataset,
          {.folder = folder.path(), .workers = 1, .progress = counter, .stop = counter.stop.get_token()});
    });
    EXPECT_EQ(counter.before_any_stage, !counter.heard.empty());
    return counter.heard;
  };
  EXPECT_EQ(count(2), (Counts{{0, 2}, {1, 2}}));
  EXPECT_EQ(count(2), (Counts{{1, 2}, {2, 2}})) << "a resumed search goes on from what it has";
  EXPECT_EQ(count(0), Counts{}) << "nothing is left to count while finalists are confirmed";
}

TEST_F(SearchTest, WithoutATestSetOneIsSetAside) {
  const TemporaryFolder folder;
  dataset.test = {};
  dataset.test.shape = dataset.train.shape;
  const StudyResult study = run(folder.path());
  EXPECT_EQ(study.test_images, 45);
  EXPECT_EQ(study.train_images + study.validation_images + study.test_images, 300);
  EXPECT_TRUE(std::isfinite(study.finalists.at(0).test_mean));
}

TEST(Finalists, TheBestIsTheMostConfirmedThenTheBestMean) {
  const auto finalist = [](int trial, std::vector<double> accuracies) {
    Finalist made;
    made.trial = trial;
    for (const double accuracy : accuracies)
      made.runs.push_back(
          {.seed = 1, .validation_accuracy = accuracy, .test_accuracy = accuracy - 0.1, .file = "f"});
    summarise(made);
    return made;
  };
  std::vector<Finalist> ranked = {finalist(4, {0.9}), finalist(2, {0.8, 0.82}), finalist(1, {0.85, 0.79})};
  rank(ranked);
  std::vector<int> order;
  for (const Finalist& each : ranked) order.push_back(each.trial);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 4}));
  EXPECT_NEAR(ranked[0].validation_mean, 0.82, 1e-12);
  const Finalist three = finalist(0, {0.8, 0.9, 0.7});
  EXPECT_NEAR(three.test_mean, 0.7, 1e-12);
  EXPECT_NEAR(three.test_spread, 0.1, 1e-12);
  EXPECT_NEAR(three.validation_mean, 0.8, 1e-12);
  EXPECT_NEAR(three.validation_spread, 0.1, 1e-12);
  EXPECT_EQ(three.best_run, 1);
}

TEST(Finalists, TheCardIsOfTheExportedRun) {
  const TemporaryFolder folder;
  write_text_atomic(folder.path() / "b", "bytes");
  StudyResult study;
  study.trials.resize(2);
  study.trials[1].number = 1;
  study.trials[1].accuracy_float = 0.5;
  study.trials[1].sparsity = 0.25;
  Finalist finalist{.trial = 1};
  finalist.runs = {
      {.seed = 1, .validation_accuracy = 0.6, .file = "a", .accuracy_float = 0.5, .sparsity = 0.25},
      {.seed = 2, .validation_accuracy = 0.7, .file = "b", .accuracy_float = 0.75, .sparsity = 0.5}};
  finalist.best_run = 1;
  study.finalists = {finalist};
  study.best = 1;
  const Json card = Json::parse(model_card(study, folder.path(), study.best));
  EXPECT_EQ(card.at("accuracy_int8"), 0.7);
  EXPECT_EQ(card.at("accuracy_float"), 0.75);
  EXPECT_EQ(card.at("sparsity"), 0.5);
  EXPECT_EQ(card.at("seed"), 2);
}

TEST_F(SearchTest, TheCardSaysWhatTheDatasValuesAreInTheModel) {
  const auto input = [&] {
    const TemporaryFolder folder;
    const StudyResult study = run(folder.path());
    EXPECT_EQ(study.range, dataset.range);
    EXPECT_EQ(load_study(folder.path()).range, dataset.range);
    return Json::parse(read_text(folder.path() / "best" / "model.json")).at("input");
  };
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const Json bytes = input();
  EXPECT_EQ(bytes.at("meaning"), "a byte b of the image stands for b / 255; an int8 input is b - 128");
  EXPECT_EQ(bytes.at("range"), Json({{"low", 0}, {"high", 1}}));
  dataset.range = {-2, 6};
  const Json sensor = input();
  EXPECT_EQ(sensor.at("meaning"),
            "a value v is the byte b = round(255 * (v - low) / (high - low)), from 0 to 255; it stands for "
            "b / 255; an int8 input is b - 128");
  EXPECT_EQ(sensor.at("range"), Json({{"low", -2}, {"high", 6}}));
}

TEST(ParetoFront, HoldsWhatNoOtherBeats) {
  std::vector<TrialResult> trials;
  const auto add = [&](double accuracy, int64_t flash, int64_t ram, int64_t macs) {
    TrialResult trial;
    trial.number = static_cast<int>(trials.size());
    trial.accuracy_int8 = accuracy;
    trial.footprint = {.model_bytes = flash, .arena_bytes = ram};
    trial.macs = macs;
    trials.push_back(trial);
  };
  add(0.8, 100, 100, 100);
  add(0.7, 120, 100, 100);  // beaten by 0
  add(0.7, 90, 200, 200);   // the least flash
  add(0.9, 300, 300, 300);  // the most accurate
  add(0.8, 100, 100, 100);  // as 0, which came first
  add(0.6, 300, 50, 400);   // the least RAM
  trials.push_back(trials[3]);
  trials.back().number = 6;
  trials.back().accuracy_int8 = 1;
  trials.back().outcome = Outcome::Failed;
  EXPECT_EQ(pareto_front(trials), (std::vector<int>{3, 0, 2, 5}));
}

TEST(ParetoFront, IsThatOfAllPairs) {
  const auto costs = [](const TrialResult& trial) {
    return std::array{-trial.accuracy_int8, static_cast<double>(trial.footprint.flash_bytes()),
                      static_cast<double>(trial.footprint.ram_bytes()), static_cast<double>(trial.macs)};
  };
  const auto beats = [&](const TrialResult& a, const TrialResult& b) {
    return std::ranges::equal(costs(a), costs(b), std::less_equal<>()) &&
           (costs(a) != costs(b) || a.number < b.number);
  };
  Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    // Few values, so that many are equal in one or all.
    std::vector<TrialResult> trials(1 + rng.below(60));
    for (size_t i = 0; i < trials.size(); ++i) {
      trials[i].number = static_cast<int>(i);
      trials[i].accuracy_int8 = 0.1 * rng.below(6);
      trials[i].footprint = {.model_bytes = rng.below(6), .arena_bytes = rng.below(6)};
      trials[i].macs = rng.below(6);
    }
    std::set<int> expected;
    for (const TrialResult& trial : trials)
      if (std::ranges::none_of(trials, [&](const TrialResult& other) { return beats(other, trial); }))
        expected.insert(trial.number);
    const std::vector<int> front = pareto_front(trials);
    EXPECT_EQ(std::set<int>(front.begin(), front.end()), expected);
    EXPECT_EQ(front.size(), expected.size());
    EXPECT_TRUE(std::ranges::is_sorted(front, {}, [&](int number) {
      return std::pair{-trials[static_cast<size_t>(number)].accuracy_int8, number};
    }));
  }
}

}  // namespace
}  // namespace retort::search
