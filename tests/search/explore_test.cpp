#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "engine/checkpoint.h"
#include "graph/micro.h"
#include "graph/notebook.h"
#include "search/front_bands.h"
#include "search/plan.h"
#include "search/search.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

SearchSettings tiny() {
  SearchSettings settings = preset("micro");
  settings.seconds.reset();
  settings.teacher.kind = TeacherKind::None;
  settings.trials = 10;
  settings.exploration.epochs = 1;
  settings.exploration.first = 4;
  settings.exploration.generation = 3;
  settings.exploration.candidates = 2;
  settings.exploration.heats = 4;
  settings.exploration.heat_epochs = 2;
  settings.exploration.recipes = 0;
  settings.limits.macs = 40'000;
  settings.pipeline.batch_size = 16;
  settings.pipeline.distill_epochs = 3;
  settings.pipeline.qat_epochs = 1;
  settings.finalist_seeds = 2;
  return settings;
}

// What must depend on the seed alone.
std::vector<std::string> essence(const StudyResult& study, const std::filesystem::path& folder) {
  std::vector<std::string> all;
  for (const TrialResult& trial : study.trials)
    all.push_back(fmt::format("{} {} {} {} {}", trial.number, trial.parent, trial.config, trial.accuracy_int8,
                              trial.file.empty() ? "" : sha256_hex(read_file(folder / trial.file))));
  all.push_back(sha256_hex(read_file(folder / "best" / "model.tflite")));
  const Json explored = Json::parse(study.plan_json).at("exploration");
  all.push_back(fmt::format("{} above the limits: {}", explored.at("above_limits").get<int64_t>(),
                            explored.at("nearest_misses").dump()));
  return all;
}

class ExploreTest : public testing::Test {
 protected:
  StudyResult run(const std::filesystem::path& folder, int workers = 1, std::stop_token stop = {},
                  const std::function<void(const StudyResult&)>& changed = {}) {
    return run_search(settings, dataset,
                      {.folder = folder, .workers = workers, .stop = std::move(stop), .changed = changed});
  }
  data::Dataset dataset = synthetic();
  SearchSettings settings = tiny();
};

TEST_F(ExploreTest, ExploresGenerationsAndTrainsTheBestInFull) {
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path(), 2);
  ASSERT_EQ(study.trials.size(), 18U);
  for (int i = 0; i < 10; ++i) {
    const TrialResult& trial = study.trials[static_cast<size_t>(i)];
    EXPECT_EQ(trial.effort, Effort::Explore);
    EXPECT_EQ(trial.parent >= 0, i >= 4) << i;
    EXPECT_LT(trial.parent, i < 7 ? 4 : 7) << "a parent is of an earlier generation";
    EXPECT_LE(trial.macs, 40'000);
    EXPECT_EQ(epochs_text(trial), "distill 1");
  }
  int without_parents = 0;
  for (size_t i = 10; i < 16; ++i) {
    const TrialResult& heat = study.trials[i];
    EXPECT_EQ(heat.effort, Effort::Heat);
    const bool first_rung = i < 14;
    EXPECT_EQ(epochs_text(heat), first_rung ? "distill 2" : "distill 4");
    EXPECT_LT(heat.parent, first_rung ? 10 : 14);
    EXPECT_GE(heat.parent, first_rung ? 0 : 10);
    const TrialResult& before = study.trials.at(static_cast<size_t>(heat.parent));
    EXPECT_EQ(before.hash, heat.hash);
    without_parents += first_rung && before.parent < 0 ? 1 : 0;
  }
  EXPECT_GE(without_parents, 2);
  for (size_t i = 16; i < 18; ++i) {
    EXPECT_EQ(study.trials[i].effort, Effort::Full);
    EXPECT_EQ(epochs_text(study.trials[i]), "distill 3, quantize 1");
    const TrialResult& explored = study.trials.at(static_cast<size_t>(study.trials[i].parent));
    EXPECT_EQ(explored.hash, study.trials[i].hash);
  }
  ASSERT_GE(study.finalists.size(), 1U);
  EXPECT_GE(study.best, 16);
  EXPECT_EQ(study.finalists[0].runs.size(), 2U);
  EXPECT_GT(study.finalists[0].validation_mean, 0.5);
}

TEST_F(ExploreTest, TheFrontsSmallerModelsAreFinalistsOfOneRun) {
  settings.exploration.candidates = 3;  // two of the best, a smaller one
  settings.limits.macs.reset();
  settings.limits.flash_bytes = 40'000;
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path(), 2);
  std::vector<TrialResult> full;
  for (const TrialResult& trial : study.trials)
    if (trial.effort == Effort::Full) full.push_back(trial);
  ASSERT_EQ(full.size(), 3U);
  std::vector<int> smaller = front_below(study.trials, full.front());
  ASSERT_GE(smaller.size(), 1U);
  smaller.resize(1);
  for (const int number : smaller)
    EXPECT_EQ(std::ranges::count(full, find_trial(study, number)->hash, &TrialResult::hash), 1) << number;
  ASSERT_GT(study.finalists.size(), 1U);
  EXPECT_EQ(study.finalists[0].runs.size(), 2U);
  for (size_t i = 1; i < study.finalists.size(); ++i) {
    EXPECT_EQ(study.finalists[i].runs.size(), 1U);
    EXPECT_TRUE(std::isfinite(study.finalists[i].test_mean));
    EXPECT_EQ(find_trial(study, study.finalists[i].trial)->effort, Effort::Full);
  }
  for (const int number : pareto_front(full)) EXPECT_NE(find_finalist(study, number), nullptr) << number;
}

TEST_F(ExploreTest, TheNearestMissesAreKeptAndAreNoTrials) {
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path());
  const Json plan = Json::parse(study.plan_json).at("exploration");
  const auto misses = plan.at("nearest_misses");
  ASSERT_GT(misses.size(), 0U);
  EXPECT_EQ(misses.size(), std::min<size_t>(10, plan.at("above_limits").get<size_t>()));
  double last = 1;
  std::set<std::string> seen;
  for (const auto& miss : misses) {
    const std::string config = miss.at("config");
    const int64_t macs =
        graph::total_macs(graph::graph_from_config(config, {.height = 8, .width = 8, .channels = 1}, 3));
    EXPECT_NEAR(miss.at("ratio").get<double>(), static_cast<double>(macs) / 40'000, 1e-9);
    EXPECT_GE(miss.at("ratio").get<double>(), last);
    last = miss.at("ratio");
    EXPECT_TRUE(seen.insert(config).second) << config;
    EXPECT_EQ(miss.at("reason").get<std::string>().find(
                  fmt::format("{} multiply-accumulates", format_integer(macs))),
              0U)
        << miss;
    for (const TrialResult& trial : study.trials) EXPECT_NE(trial.config, config);
  }
}

TEST_F(ExploreTest, OneAndTwoWorkersFindTheSame) {
  const TemporaryFolder one;
  const TemporaryFolder two;
  EXPECT_EQ(essence(run(one.path(), 1), one.path()), essence(run(two.path(), 2), two.path()));
}

TEST_F(ExploreTest, WhereverItWasCutTheResultIsTheSame) {
  const TemporaryFolder whole;
  const std::vector<std::string> expected = essence(run(whole.path()), whole.path());
  for (const size_t after : {1, 4, 6, 9, 10, 12, 13, 14, 15, 16, 17}) {
    const TemporaryFolder folder;
    std::stop_source stop;
    const Thrown thrown = thrown_by([&] {
      run(folder.path(), 2, stop.get_token(), [&](const StudyResult& study) {
        if (study.trials.size() >= after) stop.request_stop();
      });
    });
    EXPECT_EQ(thrown.code, ErrorCode::Interrupted) << after;
    if (after == 12) {
      EXPECT_EQ(thrown.sentence.find("stopped with 10 structures explored; "), 0U) << thrown.sentence;
    }
    EXPECT_EQ(essence(run(folder.path(), 2), folder.path()), expected) << after;
  }
}

// A list and random draws begin anew with each run, and leave out what is explored already.
TEST_F(ExploreTest, OtherSamplersRepeatNothingAfterACut) {
  settings.trials = 6;
  // Two are above the limits.
  settings.configs = {"conv 2 s2, gap",        "conv 16, conv 16, gap", "conv 4 s2, gap",
                      "conv 6 s2, gap",        "conv 8 s2, gap",        "conv 2, gap",
                      "conv 24, conv 12, gap", "conv 4 s2, conv 4, gap"};
  settings.space = {.blocks = {1}, .layers = {1, 2}, .filters = {4, 8, 16}, .dense_layers = {0}};
  for (const char* sampler : {"list", "grid", "micro"}) {
    SCOPED_TRACE(sampler);
    settings.sampler = sampler;
    if (settings.sampler != "list") settings.configs.clear();
    const TemporaryFolder whole;
    const StudyResult uncut = run(whole.path());
    const std::vector<std::string> expected = essence(uncut, whole.path());
    const auto above = Json::parse(uncut.plan_json).at("exploration").at("above_limits").get<int>();
    EXPECT_TRUE(settings.sampler == "micro" ? above > 2 : above == 2) << above;
    for (const size_t after : {1, 3, 5}) {
      const TemporaryFolder folder;
      std::stop_source stop;
      EXPECT_EQ(thrown_by([&] {
                  run(folder.path(), 1, stop.get_token(), [&](const StudyResult& study) {
                    if (study.trials.size() >= after) stop.request_stop();
                  });
                }).code,
                ErrorCode::Interrupted);
      EXPECT_EQ(essence(run(folder.path()), folder.path()), expected) << after;
    }
  }
}

TEST_F(ExploreTest, AChildBeginsWithItsParentsWeights) {
  // With next to no learning a child computes what its parent does, or nearly.
  settings.pipeline.schedule = {engine::ScheduleKind::Constant, 1e-9F};
  enum class Children { All, Narrower };
  const auto agreeing = [&](Start start, Children children = Children::All) {
    settings.exploration.start = start;
    const TemporaryFolder folder;
    const StudyResult study = run(folder.path());
    int same = 0;
    for (const TrialResult& trial : study.trials) {
      if (trial.effort != Effort::Explore || trial.parent < 0) continue;
      const auto weights = [&](int number) {
        return engine::load_model(folder.path() / "trials" / std::to_string(number) / "weights.retort");
      };
      const engine::Model child = weights(trial.number);
      const engine::Model parent = weights(trial.parent);
      // The last layer's first bias says nothing yet; a weight of the first layer does.
      const std::span<const float> of_parent = parent.parameters.values();
      const std::span<const float> of_child = child.parameters.values();
      if (children == Children::Narrower && of_child.size() >= of_parent.size()) continue;
      size_t shared = 0;
      for (const float value : of_child)
        shared += std::ranges::any_of(of_parent, [&](float other) {
          return value != 0 && value != 1 && std::abs(value - other) < 1e-6F;
        });
      same += 2 * shared > of_child.size() / 2 ? 1 : 0;
    }
    return same;
  };
  EXPECT_GE(agreeing(Start::Parent), 4);
  EXPECT_LE(agreeing(Start::Fresh), 1);
  EXPECT_GE(agreeing(Start::Parent, Children::Narrower), 1);
  EXPECT_EQ(agreeing(Start::Grow, Children::Narrower), 0);
  EXPECT_GE(agreeing(Start::Grow), 1);
}

TEST_F(ExploreTest, OtherSamplersCanBeExploredToo) {
  settings.sampler = "list";
  settings.configs = {"conv 4, gap", "conv 6 s2, gap", "sep 6, gap"};
  settings.trials.reset();
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path());
  ASSERT_EQ(study.trials.size(), 10U) << "three explored, three heats, two of them again, two candidates";
  EXPECT_EQ(std::ranges::count(study.trials, Effort::Explore, &TrialResult::effort), 3);
}

TEST_F(ExploreTest, ATimedExplorationKeepsToItsTime) {
  settings.trials.reset();
  settings.seconds = 6;
  settings.pipeline.distill_epochs = kMostEpochs;
  const TemporaryFolder folder;
  Listener listener;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .progress = listener});
  // How long it took says more of the machine; without a plan it would train for days.
  for (const TrialResult& trial : study.trials)
    for (const StageResult& stage : trial.stages) EXPECT_LT(stage.trained, kMostEpochs);
  EXPECT_GE(std::ranges::count(study.trials, Effort::Explore, &TrialResult::effort), 1);
  EXPECT_GE(study.best, 0);
  const auto explored = std::ranges::count(study.trials, Effort::Explore, &TrialResult::effort);
  const auto full = std::ranges::count(study.trials, Effort::Full, &TrialResult::effort);
  EXPECT_NE(listener.said.find(
                fmt::format(", {}, ", format_counted(explored, "structure explored", "structures explored"))),
            std::string::npos)
      << listener.said;
  EXPECT_NE(listener.said.find(
                fmt::format(", {}, {}, ", format_counted(full, "candidate"),
                            format_counted(static_cast<int64_t>(study.finalists.size()), "finalist"))),
            std::string::npos)
      << listener.said;
  // It is finished: nothing is trained again.
  const size_t trials = study.trials.size();
  EXPECT_EQ(run(folder.path(), 2).trials.size(), trials);
}

TEST_F(ExploreTest, ThePlanSaysWhyThereIsNoTeacher) {
  settings.trials.reset();
  settings.seconds = 2;
  settings.teacher = {.config = "1,1,8,0", .epochs = kMostEpochs};
  const TemporaryFolder folder;
  Listener listener;
  const StudyResult study = run_search(settings, dataset, {.folder = folder.path(), .progress = listener});
  EXPECT_TRUE(std::isnan(study.teacher.validation_accuracy));
  const auto why = Json::parse(study.plan_json).at("no_teacher").get<std::string>();
  EXPECT_NE(why.find("and fewer than 25000 (25% of --teacher-epochs 100000) teach too little."),
            std::string::npos)
      << why;
  EXPECT_NE(listener.said.find(why), std::string::npos) << listener.said;
  EXPECT_EQ(Json::parse(load_study(folder.path()).plan_json).at("no_teacher"), why);
}

// However busy the machine is.
TEST_F(ExploreTest, AClockOfTheProcessorCountsWhatTheSearchComputes) {
  const TemporaryFolder folder;
  settings.trials.reset();
  settings.seconds = 2;
  settings.clock = WorkTime::Cpu;
  const auto cpu_seconds = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  const double before = cpu_seconds();
  const StudyResult study = run(folder.path(), 2);
  const double used = cpu_seconds() - before;
  EXPECT_LE(2 * study.seconds, used);
  EXPECT_GE(2 * study.seconds, 0.9 * used);
  EXPECT_NE(time_text(study).find(" of processor time a core"), std::string::npos);
  settings.clock = WorkTime::Wall;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_NE(thrown.sentence.find("clock is cpu there and wall here"), std::string::npos) << thrown.sentence;
}

TEST_F(ExploreTest, HowOneExploresBelongsToTheSearch) {
  settings.trials = 3;
  settings.exploration.heats = 0;
  const TemporaryFolder folder;
  run(folder.path());
  settings.exploration.first = 5;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("exploration first is 4 there and 5 here"), std::string::npos)
      << thrown.sentence;
}

TEST_F(ExploreTest, WhereNothingFitsItSaysSoAtOnce) {
  settings.limits.macs = 10;
  const TemporaryFolder folder;
  const Thrown thrown = thrown_by([&] { run(folder.path() / "new"); });
  EXPECT_EQ(thrown.code, ErrorCode::Infeasible);
  EXPECT_NE(thrown.sentence.find("the nearest miss is"), std::string::npos) << thrown.sentence;
}

TEST(SpeedModel, FitsWhatComputesAndWhatMoves) {
  std::vector<MeasuredWork> measured;
  for (const auto& [macs, activations] : {std::pair{1e6, 1e4}, {5e6, 2e4}, {2e5, 3e4}, {3e6, 9e4}})
    measured.push_back({{macs, activations}, 2e-6 * macs + 5e-5 * activations});
  const SpeedModel model = fit_speed(measured);
  EXPECT_NEAR(model.seconds_a_mac, 2e-6, 1e-12);
  EXPECT_NEAR(model.seconds_an_activation, 5e-5, 1e-11);
  // What would cost less than nothing costs nothing.
  for (MeasuredWork& each : measured) each.epoch_seconds = 3e-6 * each.work.macs;
  measured.front().epoch_seconds *= 0.5;
  const SpeedModel one = fit_speed(measured);
  EXPECT_GE(one.seconds_a_mac, 0);
  EXPECT_GE(one.seconds_an_activation, 0);
  EXPECT_EQ(fit_speed({}).epoch_seconds({1e6, 1e4}), 0);
}

}  // namespace
}  // namespace retort::search
