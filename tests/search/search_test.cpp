#include "search/search.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cmath>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/parallel.h"
#include "compress/distillation.h"
#include "engine/checkpoint.h"
#include "essence.h"
#include "graph/notebook.h"
#include "search/analysis.h"
#include "search/finalists.h"
#include "search/pipeline.h"
#include "search/study_folder.h"
#include "stops_at.h"
#include "synthetic.h"

namespace retort::search {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

SearchSettings tiny() {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = {"1,1,8,0", "1,1,16,0", "1,1,8,1,8", "1,1,8,0,256"};  // the last is the first again
  settings.pipeline.batch_size = 16;
  settings.pipeline.schedule.peak = 5e-3F;
  settings.pipeline.gate = 0;
  settings.pipeline.quick_epochs = 2;
  settings.pipeline.distill_epochs = 2;
  settings.pipeline.pruning.update_every = 2;
  settings.pipeline.qat_epochs = 2;
  settings.teacher.epochs = 1;
  settings.top = 2;
  settings.finalist_seeds = 2;
  // The notebook's teacher would take most of a test's time.
  settings.teacher.kind = TeacherKind::Logits;
  return settings;
}

std::string hash_of(const std::string& config) {
  return graph::structural_hash(graph::graph_from_config(config, {8, 8, 1}, 3));
}

class Listener : public ProgressSink {
 public:
  void update(std::string_view, double, double, std::string_view) override {}
  void message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    said += text;
  }
  void trained(int64_t count) override { images += count; }
  std::string said;
  std::atomic<int64_t> images = 0;

 private:
  std::mutex mutex_;
};

class SearchTest : public testing::Test {
 protected:
  SearchTest() {
    Rng rng(2);
    engine::TeacherLogits logits;
    logits.classes = 3;
    logits.images = dataset.train.count();
    for (size_t i = 0; i < logits.images; ++i)
      for (int c = 0; c < 3; ++c)
        logits.values.push_back((dataset.train.labels[i] == c ? 4.0F : 0.0F) + rng.uniform(-1, 1));
    settings.teacher.path = (logits_folder.path() / "logits.npy").string();
    compress::save_teacher_logits(settings.teacher.path, logits, dataset);
  }

  StudyResult run(const fs::path& folder, int workers = 1, std::stop_token stop = {}) {
    return run_search(settings, dataset, {.folder = folder, .workers = workers, .stop = std::move(stop)});
  }

  data::Dataset dataset = synthetic();
  TemporaryFolder logits_folder;
  SearchSettings settings = tiny();
};

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
    const json stored = json::parse(read_text((folder.path() / shown.file).parent_path() / "result.json"));
    EXPECT_EQ(json(trial), stored);
  }
  EXPECT_GE(study.finalists[0].validation_mean, study.finalists[1].validation_mean);
  const auto best = read_file(folder.path() / "best" / "model.tflite");
  std::vector<uint32_t> all(dataset.test.count());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const json card = json::parse(read_text(folder.path() / "best" / "model.json"));
  EXPECT_DOUBLE_EQ(card.at("test").at("accuracy_int8"), int8_accuracy(best, dataset.test, all, {}));
  EXPECT_EQ(card.at("sha256"), sha256_hex(best));
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
  EXPECT_EQ(card.at("classes"), json(dataset.classes));
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
  const json expected = essence(
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

TEST_F(SearchTest, ANewRunOnAFinishedFolderTrainsNothing) {
  const TemporaryFolder folder;
  const StudyResult first = run(folder.path());
  const auto written = fs::last_write_time(folder.path() / first.trials[0].file);
  const StudyResult again = run(folder.path());
  EXPECT_EQ(essence(again, folder.path()), essence(first, folder.path()));
  EXPECT_DOUBLE_EQ(again.seconds, first.seconds);
  EXPECT_EQ(fs::last_write_time(folder.path() / first.trials[0].file), written);
}

TEST_F(SearchTest, OtherSettingsOrDataAreRefusedWithWhatDiffers) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  run(folder.path());
  const auto refusal = [&] { return thrown_by([&] { run(folder.path()); }); };
  settings.seed = 43;
  EXPECT_NE(refusal().sentence.find("other settings: seed is 42 there and 43 here"), std::string::npos)
      << refusal().sentence;
  EXPECT_EQ(refusal().code, ErrorCode::Usage);
  settings.seed = 42;
  settings.pipeline.quick_epochs = 3;
  EXPECT_NE(refusal().sentence.find("quick epochs is 2 there and 3 here"), std::string::npos)
      << refusal().sentence;
  settings.pipeline.quick_epochs = 2;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  EXPECT_NE(refusal().sentence.find("configs 1"), std::string::npos) << refusal().sentence;
  settings.configs = {"1,1,8,0"};
  dataset = synthetic(300, 60, 8, 5);
  EXPECT_NE(refusal().sentence.find("holds a search on other data"), std::string::npos) << refusal().sentence;
}

TEST_F(SearchTest, TheGateSkipsAndNothingIsFinal) {
  const TemporaryFolder folder;
  settings.pipeline.gate = 1;
  const StudyResult study = run(folder.path());
  for (const TrialResult& trial : study.trials) EXPECT_EQ(trial.outcome, Outcome::Skipped);
  EXPECT_EQ(study.best, -1);
  EXPECT_TRUE(study.finalists.empty());
  EXPECT_FALSE(fs::exists(folder.path() / "best"));
}

TEST_F(SearchTest, WhatDoesNotFitIsNeverTrained) {
  const TemporaryFolder folder;
  const StudyResult all = run(folder.path());
  std::vector<int64_t> macs;
  for (const TrialResult& trial : all.trials) macs.push_back(trial.macs);
  const TemporaryFolder limited;
  settings.limits.macs = *std::ranges::max_element(macs) - 1;
  const StudyResult study = run(limited.path());
  ASSERT_EQ(study.trials[1].outcome, Outcome::Infeasible);
  EXPECT_TRUE(study.trials[1].stages.empty());
  EXPECT_NE(study.trials[1].reason.find("multiply-accumulates where"), std::string::npos)
      << study.trials[1].reason;
  EXPECT_EQ(study.trials[0].outcome, Outcome::Complete);
}

TEST_F(SearchTest, WhenNothingFitsItSaysSoAtOnce) {
  const TemporaryFolder folder;
  settings.limits.flash_bytes = 1000;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Infeasible);
  EXPECT_NE(thrown.sentence.find("none of 3 structures fits the limits; the nearest miss is 1 block"),
            std::string::npos)
      << thrown.sentence;
  // The folder is still free for a search with wider limits.
  settings.limits.flash_bytes.reset();
  EXPECT_EQ(run(folder.path()).trials.size(), 3U);
}

// Feasible is what fits with the runtime's code, static data and stack, and runs in time; the file and the arena
// alone decide nothing.
TEST_F(SearchTest, WhatFitsIsDecidedOnFootprints) {
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  settings.target = {.runtime = cost::Runtime::Tflm,
                     .board = cost::find_board(cost::builtin_boards(), "nano33ble")};
  const TemporaryFolder folder;
  const StudyResult all = run(folder.path());
  const TrialResult& trial = all.trials.at(0);
  ASSERT_EQ(trial.outcome, Outcome::Complete);
  EXPECT_EQ(trial.footprint.model_bytes, trial.flash_bytes);
  EXPECT_GT(trial.footprint.flash_bytes(), trial.flash_bytes);
  ASSERT_TRUE(trial.latency);
  const json stored = json::parse(read_text(folder.path() / "trials" / "0" / "result.json"));
  EXPECT_EQ(stored.at("footprint").at("flash").at("total"), trial.footprint.flash_bytes());
  EXPECT_EQ(stored.at("latency").at("milliseconds"), trial.latency->milliseconds);
  const json card = json::parse(read_text(folder.path() / "best" / "model.json"));
  EXPECT_EQ(card.at("runtime"), "tflm");
  EXPECT_EQ(card.at("board").at("name"), "nano33ble");
  EXPECT_EQ(card.at("footprint").at("ram").at("total"), trial.footprint.ram_bytes());

  const auto miss = [&](const Limits& limits) {
    settings.limits = limits;
    const TemporaryFolder other;
    const Thrown thrown = thrown_by([&] { run(other.path()); });
    EXPECT_EQ(thrown.code, ErrorCode::Infeasible);
    return thrown.sentence;
  };
  const std::string flash = miss({.flash_bytes = trial.footprint.flash_bytes() - 1});
  EXPECT_NE(flash.find(" bytes of flash (model "), std::string::npos) << flash;
  const std::string ram = miss({.ram_bytes = trial.footprint.ram_bytes() - 1});
  EXPECT_NE(ram.find(" bytes of RAM (arena "), std::string::npos) << ram;
  const std::string time = miss({.latency_seconds = trial.latency->milliseconds / 2000});
  EXPECT_NE(time.find(" ms are allowed"), std::string::npos) << time;
}

// Before there were runtimes a limit of flash meant the file.
TEST_F(SearchTest, StudiesOfAnEarlierVersionGoOnWithoutTheirLimits) {
  const auto as_before = [](const fs::path& folder, int64_t flash_limit) {
    const auto storage = study::open_storage(study::sqlite_place(folder / "study.db"), study::Access::Write);
    json description = json::parse(*storage->document(kDescriptionKey));
    json& stored = description.at("settings");
    stored.erase("runtime");
    stored.erase("board");
    stored.at("pipeline").erase("precision");
    stored.at("pipeline").erase("qat_rate");
    stored.at("exploration").erase("rungs");
    stored["exploration"]["first"] = 16;  // the default then; nothing was explored
    stored["limits"] = {{"flash_bytes", nullptr}, {"arena_bytes", nullptr}, {"macs", nullptr}};
    if (flash_limit > 0) stored["limits"]["flash_bytes"] = flash_limit;
    storage->put_document(kDescriptionKey, description.dump());
  };
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const TemporaryFolder folder;
  const StudyResult first = run(folder.path());
  as_before(folder.path(), 0);
  EXPECT_EQ(run(folder.path()).best, first.best);
  as_before(folder.path(), 0);
  settings.pipeline.qat_rate = 0.5;
  const Thrown other_rate = thrown_by([&] { run(folder.path()); });
  EXPECT_NE(other_rate.sentence.find("qat rate is 1.0 there and 0.5 here"), std::string::npos)
      << other_rate.sentence;
  settings.pipeline.qat_rate = 1;
  as_before(folder.path(), 65'536);
  settings.limits.flash_bytes = 65'536;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("holds a search of an earlier version, whose --flash and --ram limited"),
            std::string::npos)
      << thrown.sentence;
  json trial = first.trials.at(0);
  trial.erase("footprint");
  trial.erase("latency");
  EXPECT_EQ(trial.get<TrialResult>().footprint, cost::Footprint{});
}

TEST_F(SearchTest, TheTargetBelongsToTheSearch) {
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  cost::Board board = cost::find_board(cost::builtin_boards(), "nano33ble");
  settings.target.board = board;
  const TemporaryFolder folder;
  run(folder.path());
  board.title = "the same board in other words";
  settings.target.board = board;
  EXPECT_NO_THROW(run(folder.path()));
  board.clock_hz *= 2;
  settings.target.board = board;
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("board is nano33ble (Cortex-M4 at 64 MHz, "),
            std::string::npos);
  settings.target = {.runtime = cost::Runtime::Tflm};
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("runtime is c there and tflm here"),
            std::string::npos);
}

TEST_F(SearchTest, TheLadderLooksAtTheLimitsFirst) {
  const TemporaryFolder folder;
  settings.sampler = "ladder";
  settings.configs.clear();
  settings.space = {
      .blocks = {1}, .layers = {1, 2}, .filters = {2, 4, 8, 16, 32, 64}, .dense_layers = {0, 1}};
  settings.space.dense_units = {8, 16, 32};
  settings.limits.flash_bytes = 1000;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Infeasible);
  EXPECT_NE(thrown.sentence.find("none of 48 structures fits"), std::string::npos) << thrown.sentence;
  settings.limits.flash_bytes.reset();
  settings.limits.macs = 3000;  // the smallest alone
  settings.finalist_seeds = 1;
  const StudyResult study = run(folder.path());
  ASSERT_GT(study.trials.size(), 0U);
  for (const TrialResult& trial : study.trials) EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
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

TEST_F(SearchTest, LogitsThatDoNotSuitAreRefusedBeforeAnythingIsStored) {
  const TemporaryFolder folder;
  settings.pipeline.views.mirror = data::Mirror::Horizontal;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("logits for 1 views of each image, and training with these --mirror"),
            std::string::npos)
      << thrown.sentence;
  // The folder is still free, and where no loss asks the teacher the logits will do.
  settings.pipeline.alpha = 1;
  settings.configs = {"1,1,8,0"};
  EXPECT_GE(run(folder.path()).best, 0);
}

TEST_F(SearchTest, AForeignTeacherIsKnownByItsContentAndMayGo) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  // Stops when the first candidate is done.
  std::stop_source stop;
  const auto stops = [&](const StudyResult& study) {
    if (!study.trials.empty()) stop.request_stop();
  };
  const Thrown cut = thrown_by([&] {
    run_search(settings, dataset,
               {.folder = folder.path(), .workers = 1, .stop = stop.get_token(), .changed = stops});
  });
  EXPECT_EQ(cut.code, ErrorCode::Interrupted);
  EXPECT_NE(cut.sentence.find("the same command goes on from here"), std::string::npos) << cut.sentence;
  const fs::path moved = logits_folder.path() / "elsewhere.npy";
  fs::rename(settings.teacher.path, moved);
  settings.teacher.path = moved.string();
  write_text_atomic(moved, read_text(moved) + " ");
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("teacher sha256 is "), std::string::npos);
  fs::remove(moved);
  EXPECT_EQ(run(folder.path()).trials.size(), 2U);
}

TEST_F(SearchTest, WithAndWithoutATimeLimitAreTwoSearches) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  run(folder.path());
  settings.seconds = 60;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("holds a search without a time limit, and this one has one"),
            std::string::npos)
      << thrown.sentence;
  const TemporaryFolder timed;
  settings.seconds = 2;
  const StudyResult study = run(timed.path());
  EXPECT_TRUE(json::parse(study.plan_json).contains("distill")) << study.plan_json;
  // More time for what is finished changes nothing, and is said so.
  for (const std::optional<double> seconds : {std::optional<double>(100), std::optional<double>()}) {
    settings.seconds = seconds;
    Listener listener;
    run_search(settings, dataset, {.folder = timed.path(), .progress = listener});
    EXPECT_NE(listener.said.find("This search is finished: "), std::string::npos) << listener.said;
  }
}

// Sleeps past the end when the first trial has been told.
class SlowListener final : public Listener {
 public:
  void message(std::string_view text) override {
    Listener::message(text);
    if (text.find("Final Accuracy") != std::string_view::npos && !std::exchange(slept_, true))
      std::this_thread::sleep_for(std::chrono::seconds(4));
  }

 private:
  bool slept_ = false;
};

TEST_F(SearchTest, WhatHadNoTimeLeftWaits) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  settings.seconds = 4;
  StudyFolder(folder.path())
      .put_document(kSpeedsKey, {{hash_of("1,1,8,0"), 0.001}, {hash_of("1,1,16,0"), 0.001}});
  SlowListener listener;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
  ASSERT_EQ(study.left_out, 1) << listener.said;
  StudyFolder stored(folder.path());
  EXPECT_EQ(stored.storage().trial(1).state, study::TrialState::Waiting);
  EXPECT_EQ(stored.storage().claim("w", 60).value().losses, 0);
}

TEST_F(SearchTest, MoreTimeTakesUpWhatWasLeftOut) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0", "1,1,8,1,8"};
  // As if the second and third had been measured to be slow.
  StudyFolder(folder.path())
      .put_document(kSpeedsKey,
                    {{hash_of("1,1,8,0"), 0.3}, {hash_of("1,1,16,0"), 1e3}, {hash_of("1,1,8,1,8"), 10}});
  const auto run_for = [&](std::optional<double> seconds, std::string& said) {
    settings.seconds = seconds;
    Listener listener;
    StudyResult study =
        run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
    said = listener.said;
    EXPECT_EQ(load_study(folder.path()).left_out, study.left_out);
    EXPECT_EQ(study.finalists.size(), std::min<size_t>(study.trials.size(), 2));
    // All are trained alike, whenever they were.
    for (const TrialResult& trial : study.trials)
      for (size_t i = 0; i < trial.stages.size(); ++i)
        EXPECT_EQ(trial.stages[i].epochs, study.trials[0].stages[i].epochs);
    return study;
  };
  std::string said;
  EXPECT_EQ(run_for(20, said).left_out, 2);
  EXPECT_NE(said.find("2 more are left for a longer --time"), std::string::npos) << said;
  EXPECT_EQ(run_for(20, said).left_out, 2);
  EXPECT_NE(said.find("2 structures were left out for lack of time; a longer --time takes them up"),
            std::string::npos)
      << said;
  const StudyResult longer = run_for(1000, said);
  EXPECT_EQ(longer.left_out, 1);
  EXPECT_EQ(longer.trials.at(1).config, "1 block, 1 layer, 8 filters, 1 dense, 8 units");
  EXPECT_NE(said.find("Plan: 1 of the 2 structures that wait"), std::string::npos) << said;
  {  // As if it had been cut while another top was confirmed.
    StudyFolder cut(folder.path());
    cut.put_document(kFinalistsKey, nullptr);
    cut.put_document(kFinalistPlanKey,
                     {{"conditions", {{"top", {7}}, {"limit_seconds", 1000}}}, {"jobs", {{7, 1}, {7, 2}}}});
  }
  const StudyResult all = run_for(std::nullopt, said);
  EXPECT_EQ(all.left_out, 0);
  for (const Finalist& finalist : all.finalists) EXPECT_EQ(finalist.runs.size(), 2U);
  EXPECT_EQ(json::parse(load_study(folder.path()).settings_json).at("seconds"), json());
  run_for(std::nullopt, said);
  EXPECT_NE(said.find("nothing is left to do"), std::string::npos) << said;
}

// Cut after the plan was stored and before its structures were.
TEST_F(SearchTest, AnUntimedSearchMakesNothingOfAPlanWithoutStructures) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const json plan = {{"quick", 7}, {"limit_seconds", 20}, {"planned", 1}};
  StudyFolder(folder.path()).put_document(kPlanKey, plan);
  Listener listener;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
  EXPECT_EQ(listener.said.find("Plan: "), std::string::npos) << listener.said;
  EXPECT_EQ(StudyFolder(folder.path()).document(kPlanKey), plan);
  EXPECT_EQ(study.trials.at(0).stages.at(0).epochs, settings.pipeline.quick_epochs);
}

TEST_F(SearchTest, ATeacherThatOnlyOrdersImagesAnswersForNoOtherViews) {
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  settings.pipeline.views = {.mirror = data::Mirror::Horizontal, .max_shift = 1};
  settings.pipeline.alpha = settings.pipeline.prune_alpha = settings.pipeline.qat_alpha = 1;
  settings.pipeline.curriculum = compress::Curriculum::Entropy;
  const auto views = [&] {
    const TemporaryFolder folder;
    run(folder.path());
    return compress::load_teacher_logits(folder.path() / "teacher" / "logits.npy", dataset).views;
  };
  EXPECT_EQ(views(), 1);
  settings.pipeline.alpha = 0.5F;
  EXPECT_EQ(views(), 18);
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

TEST_F(SearchTest, APoorTeacherIsNamedOnce) {
  settings.pipeline.quick_epochs = 4;
  settings.finalist_seeds = 1;
  const auto said = [&] {
    const TemporaryFolder folder;
    Listener listener;
    run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .progress = listener});
    return listener.said;
  };
  constexpr std::string_view kWords = "so poor a teacher makes students worse";
  EXPECT_EQ(said().find(kWords), std::string::npos) << "this one knows everything";
  engine::TeacherLogits logits;
  logits.classes = 3;
  logits.images = dataset.train.count();
  for (size_t i = 0; i < logits.images; ++i)
    for (int c = 0; c < 3; ++c) logits.values.push_back(dataset.train.labels[i] == c ? -4.0F : 0.0F);
  compress::save_teacher_logits(settings.teacher.path, logits, dataset);
  const std::string words = said();
  const size_t first = words.find(kWords);
  ASSERT_NE(first, std::string::npos) << words;
  EXPECT_EQ(words.find(kWords, first + 1), std::string::npos);
  settings.pipeline.alpha = 1;
  EXPECT_EQ(said().find(kWords), std::string::npos) << "nobody listens to it";
}

TEST_F(SearchTest, SpeedIsMeasuredOnce) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.seconds = 20;
  class Stopper final : public ProgressSink {
   public:
    void update(std::string_view task, double, double, std::string_view) override {
      if (task == "teacher") source.request_stop();
    }
    void message(std::string_view text) override { said += text; }
    std::stop_source source;
    std::string said;
  };
  Stopper stopper;
  EXPECT_EQ(thrown_by([&] {
              run_search(settings, dataset,
                         {.folder = folder.path(), .progress = stopper, .stop = stopper.source.get_token()});
            }).code,
            ErrorCode::Interrupted);
  EXPECT_NE(stopper.said.find("Measuring the speed"), std::string::npos);
  settings.seconds = 1;
  Listener listener;
  run_search(settings, dataset, {.folder = folder.path(), .progress = listener});
  EXPECT_EQ(listener.said.find("Measuring the speed"), std::string::npos) << listener.said;
  EXPECT_EQ(listener.said.find(" 0.0s"), std::string::npos) << listener.said;
}

TEST_F(SearchTest, StoppedInTheTeachersTrainingItSaysHowToGoOn) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0"};
  std::stop_source stop;
  stop.request_stop();
  const Thrown thrown = thrown_by([&] { run(folder.path(), 1, stop.get_token()); });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
  EXPECT_EQ(thrown.sentence, "stopped while the teacher was prepared; the same command goes on from here");
}

TEST_F(SearchTest, AnotherTeachersNetworkIsTrained) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  EXPECT_EQ(run(folder.path()).teacher.source, "trained");
  EXPECT_EQ(engine::load_model(folder.path() / "teacher" / "weights.retort").graph,
            graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3));
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

TEST_F(SearchTest, WhatARunThatDiedLeftIsTidiedUp) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  std::stop_source stop;
  const auto stops = [&](const StudyResult& study) {
    if (!study.trials.empty()) stop.request_stop();
  };
  thrown_by([&] {
    run_search(settings, dataset,
               {.folder = folder.path(), .workers = 1, .stop = stop.get_token(), .changed = stops});
  });
  const fs::path left = folder.path() / "trials" / "0" / "quantize.retort";
  const fs::path stages = left.parent_path() / "stages.json";  // the last to be tidied up
  write_text_atomic(left, "left behind");
  write_text_atomic(stages, "{}");
  run(folder.path());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_FALSE(fs::exists(stages));
}

TEST_F(SearchTest, TellsTheTimeThatIsLeft) {
  const TemporaryFolder folder;
  std::vector<double> told;
  run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .time_left = [&](double seconds) {
                                   told.push_back(seconds);
                                 }});
  ASSERT_GT(told.size(), 3U);
  for (const double seconds : told) EXPECT_TRUE(seconds >= 0 && seconds < 1000) << seconds;
  // Two runs of finalists are left, then one, each of the candidates' mean time.
  EXPECT_GT(told.back(), 0);
  EXPECT_NEAR(told[told.size() - 2], 2 * told.back(), 1e-9);
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

TEST_F(SearchTest, AFolderThatCannotBeWrittenEndsTheSearch) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path());
  write_text_atomic(folder.path() / "trials", "a file where a folder is needed");
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Failure);
  EXPECT_NE(thrown.sentence.find("trials/"), std::string::npos) << thrown.sentence;
  fs::remove(folder.path() / "trials");
  EXPECT_EQ(run(folder.path()).trials.size(), 3U);
}

TEST_F(SearchTest, TwoProcessesCannotShareAFolder) {
  const TemporaryFolder folder;
  const FileLock lock(folder.path() / ".lock");
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Failure);
  EXPECT_NE(thrown.sentence.find("in use by another process"), std::string::npos) << thrown.sentence;
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

TEST_F(SearchTest, NoTeacherIsAControl) {
  const TemporaryFolder folder;
  settings.teacher = parse_teacher("none", settings.teacher);
  settings.pipeline.curriculum = compress::Curriculum::RandomPacing;
  settings.configs = {"1,1,8,0"};
  const StudyResult study = run(folder.path());
  EXPECT_EQ(study.teacher.source, "none");
  EXPECT_EQ(study.trials.at(0).outcome, Outcome::Complete);
}

TEST_F(SearchTest, TrainsItsTeacherOnce) {
  const TemporaryFolder folder;
  dataset = synthetic(120, 30);
  settings.teacher = {};
  settings.teacher.epochs = 1;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const StudyResult study = run(folder.path());
  EXPECT_EQ(study.teacher.source, "trained");
  EXPECT_EQ(study.teacher.history.epochs.size(), 1U);
  EXPECT_TRUE(std::isfinite(study.teacher.test_accuracy));
  EXPECT_EQ(study.teacher.threads, available_cores());
  EXPECT_EQ(load_study(folder.path()).teacher.threads, available_cores());
  EXPECT_TRUE(fs::exists(folder.path() / "teacher" / "weights.retort"));
  EXPECT_TRUE(fs::exists(folder.path() / "teacher" / "logits.npy"));

  // The same teacher from its file.
  const TemporaryFolder other;
  settings.teacher = parse_teacher((folder.path() / "teacher" / "weights.retort").string(), settings.teacher);
  const StudyResult again = run(other.path());
  EXPECT_EQ(again.teacher.validation_accuracy, study.teacher.validation_accuracy);
  EXPECT_EQ(read_file(other.path() / again.trials.at(0).file),
            read_file(folder.path() / study.trials.at(0).file));
}

TEST_F(SearchTest, ATimedSearchPlansAndKeepsToItsTime) {
  const TemporaryFolder folder;
  settings.seconds = 4;
  settings.trials = 3;
  const auto start = std::chrono::steady_clock::now();
  const StudyResult study = run(folder.path(), 2);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 12);
  EXPECT_GE(study.best, 0);
  EXPECT_LE(study.trials.size(), 3U);
  for (const TrialResult& trial : study.trials) EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
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
  const json card = json::parse(model_card(study, folder.path(), study.best));
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
    return json::parse(read_text(folder.path() / "best" / "model.json")).at("input");
  };
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const json bytes = input();
  EXPECT_EQ(bytes.at("meaning"), "a byte b of the image stands for b / 255; an int8 input is b - 128");
  EXPECT_EQ(bytes.at("range"), json({{"low", 0}, {"high", 1}}));
  dataset.range = {-2, 6};
  const json sensor = input();
  EXPECT_EQ(sensor.at("meaning"),
            "a value v is the byte b = round(255 * (v - low) / (high - low)), from 0 to 255; it stands for "
            "b / 255; an int8 input is b - 128");
  EXPECT_EQ(sensor.at("range"), json({{"low", -2}, {"high", 6}}));
}

// Every file of a folder with its size and time.
std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> listing(const fs::path& folder) {
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> files;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    files[file.path().filename().string()] = {file.is_directory() ? 0 : file.file_size(),
                                              file.last_write_time()};
  return files;
}

TEST_F(SearchTest, AStudyIsReadWhereNothingMayBeWritten) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const StudyResult study = run(folder.path());
  const auto before = listing(folder.path());
  constexpr auto kReadOnly = fs::perms(0555);
  fs::permissions(folder.path(), kReadOnly);
  // Root may write everywhere: another user reads.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(seteuid(65534), 0);
  }
  const Thrown thrown = thrown_by([&] { EXPECT_EQ(load_study(folder.path()).best, study.best); });
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_EQ(thrown.sentence, "");
  EXPECT_EQ(listing(folder.path()), before);
}

TEST_F(SearchTest, AFileInTheFoldersPlaceIsTheUsersMistake) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "file";
  write_text_atomic(file, "text");
  const Thrown thrown = thrown_by([&] { run(file); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("is a file: a search needs a folder"), std::string::npos) << thrown.sentence;
  EXPECT_EQ(thrown_by([&] { run(""); }).code, ErrorCode::Usage);
}

TEST(LoadStudy, AFolderWithoutOneIsNamed) {
  const TemporaryFolder folder;
  EXPECT_NE(thrown_by([&] { load_study(folder.path()); }).sentence.find("holds no search"),
            std::string::npos);
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

}  // namespace
}  // namespace retort::search
