// Searches with a limit of time.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/json.h"
#include "graph/notebook.h"
#include "search/finalists.h"
#include "search/study_folder.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

std::string hash_of(const std::string& config) {
  return graph::structural_hash(graph::graph_from_config(config, {8, 8, 1}, 3));
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
  EXPECT_TRUE(Json::parse(study.plan_json).contains("distill")) << study.plan_json;
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
  EXPECT_EQ(Json::parse(load_study(folder.path()).settings_json).at("seconds"), Json());
  run_for(std::nullopt, said);
  EXPECT_NE(said.find("nothing is left to do"), std::string::npos) << said;
}

// Cut after the plan was stored and before its structures were.
TEST_F(SearchTest, AnUntimedSearchMakesNothingOfAPlanWithoutStructures) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const Json plan = {{"quick", 7}, {"limit_seconds", 20}, {"planned", 1}};
  StudyFolder(folder.path()).put_document(kPlanKey, plan);
  Listener listener;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
  EXPECT_EQ(listener.said.find("Plan: "), std::string::npos) << listener.said;
  EXPECT_EQ(StudyFolder(folder.path()).document(kPlanKey), plan);
  EXPECT_EQ(study.trials.at(0).stages.at(0).epochs, settings.pipeline.quick_epochs);
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

}  // namespace
}  // namespace retort::search
