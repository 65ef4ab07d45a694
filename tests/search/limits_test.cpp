// What fits the limits, and what a gate lets through.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

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
  const Json stored = Json::parse(read_text(folder.path() / "trials" / "0" / "result.json"));
  EXPECT_EQ(stored.at("footprint").at("flash").at("total"), trial.footprint.flash_bytes());
  EXPECT_EQ(stored.at("latency").at("milliseconds"), trial.latency->milliseconds);
  const Json card = Json::parse(read_text(folder.path() / "best" / "model.json"));
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

}  // namespace
}  // namespace retort::search
