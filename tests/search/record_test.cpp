// What is stored of a trial, and what of it comes back.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "graph/notebook.h"
#include "search/candidates.h"
#include "search/search.h"
#include "search/study_folder.h"
#include "search/trial_record.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

TrialResult trained(int number) {
  TrialResult trial;
  trial.number = number;
  trial.config = "1 block";
  trial.accuracy_int8 = 0.5 + number * 1e-5;
  for (const char* name : {"quick", "distill"}) {
    StageResult stage{.name = name, .epochs = 4, .trained = 3};
    for (int epoch = 1; epoch <= 3; ++epoch)
      stage.history.epochs.push_back({.epoch = epoch, .validation_accuracy = 0.1 * epoch + number});
    stage.layers = {{1, "conv", 144, 0.5}};
    trial.stages.push_back(stage);
  }
  return trial;
}

study::TrialRecord record_of(const TrialResult& trial) {
  study::TrialRecord record{.number = trial.number, .state = study::TrialState::Complete};
  record.result = to_ending(trial).result;
  for (const StageResult& stage : trial.stages) record.stages.push_back({stage.name, dump_json(Json(stage))});
  return record;
}

TEST(Record, EpochsAreStoredOnceAndComeBackWithTheStages) {
  const TrialResult trial = trained(3);
  study::TrialRecord record = record_of(trial);
  EXPECT_EQ(record.result.find("validation_accuracy\":0.1"), std::string::npos);
  EXPECT_EQ(Json(stored_result(record)), Json(trial));
  record.stages.clear();
  const TrialResult bare = stored_result(record);
  ASSERT_EQ(bare.stages.size(), 2U);
  EXPECT_EQ(bare.stages[0].trained, 3);
  EXPECT_TRUE(bare.stages[0].history.epochs.empty());
  EXPECT_TRUE(bare.stages[0].layers.empty());
  EXPECT_EQ(epochs_text(bare), epochs_text(trial));
  // As it was stored before stages were apart.
  record.result = dump_json(Json(trial));
  EXPECT_EQ(Json(stored_result(record)), Json(trial));
}

TEST(Record, EpochsThatWereNotValidatedCountAndHaveNoValue) {
  const TrialResult before = trained(0);
  engine::History stage;
  stage.epochs = {{.epoch = 1, .validation_accuracy = 0.5},
                  {.epoch = 2, .validation_accuracy = kUnknown},
                  {.epoch = 3, .validation_accuracy = 0.75}};
  const std::vector<study::IntermediateValue> values = intermediate_values(before.stages, stage);
  EXPECT_EQ(values, (std::vector<study::IntermediateValue>{{7, 0.5}, {9, 0.75}}));

  TrialResult trial = before;
  trial.stages.push_back({.name = "prune", .history = stage});
  const TrialResult again = stored_result(record_of(trial));
  EXPECT_TRUE(std::isnan(again.stages.back().history.epochs.at(1).validation_accuracy));
  EXPECT_EQ(again.stages.back().history.epochs.at(2).validation_accuracy, 0.75);
  EXPECT_NE(dump_json(Json(trial)).find("\"validation_accuracy\":null"), std::string::npos);
}

TEST(Record, OfALargeStudyTheFirstTrialsAndTheTopOnesHaveEpochs) {
  constexpr int kTrials = kTrialsShown + 50;
  const auto storage = study::make_memory_storage(objectives());
  SearchSettings settings = preset("notebook");
  settings.top = 2;
  storage->put_document(
      kDescriptionKey,
      dump_json(Json{{"settings", settings},
                     {"data", {{"spec", "s"}, {"content_hash", "h"}, {"classes", {"a", "b"}}}},
                     {"command", ""}}));
  ASSERT_TRUE(storage->add_trials(0, std::vector<study::NewTrial>(kTrials, {.proposal = "{}"})));
  for (int number = 0; number < kTrials; ++number) {
    const auto claimed = storage->claim("w", 60).value();
    const TrialResult trial = trained(number);
    for (const study::StageRecord& stage : record_of(trial).stages) storage->put_stage(claimed.claim, stage);
    storage->finish(claimed.claim, to_ending(trial));
  }
  const StudyResult study = collect(*storage);
  ASSERT_EQ(study.trials.size(), static_cast<size_t>(kTrials));
  EXPECT_EQ(study.top, (std::vector<int>{kTrials - 1, kTrials - 2}));
  for (const TrialResult& trial : study.trials) {
    EXPECT_EQ(trial.stages.at(1).trained, 3);
    const bool shown = trial.number < kTrialsShown || trial.number >= kTrials - 2;
    EXPECT_EQ(shows_epochs(study, trial), shown);
    EXPECT_EQ(trial.stages.at(1).history.epochs.size(), shown ? 3U : 0U) << trial.number;
  }
}

TEST(Record, WhatAnUnfinishedTrialNeedsTravels) {
  const TemporaryFolder folder;
  const fs::path here = folder.path() / "here";
  const fs::path there = folder.path() / "there";
  write_text_atomic(here / "stages.json", "{}");
  write_file_atomic(here / "distill.checkpoint", std::vector<uint8_t>{0, 1, 255});
  write_text_atomic(here / "result.json", "what is finished stays");
  write_text_atomic(there / "quick.retort", "of an earlier attempt");
  const std::vector<uint8_t> packed = pack(here, {.trial = 1, .worker = "w", .attempt = 1});
  EXPECT_NE(packed, pack(here, {.trial = 2, .worker = "w", .attempt = 1}));
  unpack(packed, there);
  EXPECT_EQ(read_text(there / "stages.json"), "{}");
  EXPECT_EQ(read_file(there / "distill.checkpoint"), (std::vector<uint8_t>{0, 1, 255}));
  EXPECT_FALSE(fs::exists(there / "quick.retort"));
  EXPECT_FALSE(fs::exists(there / "result.json"));
  const auto damaged = thrown_by([&] { unpack(std::span(packed).first(packed.size() - 1), there); });
  EXPECT_NE(damaged.sentence.find("a checkpoint from another machine is damaged"), std::string::npos);
  EXPECT_TRUE(fs::exists(there / "stages.json")) << "what was there stays";
}

TEST(Record, AFinalistsRunKnowsItsFolderAndSeed) {
  StoredProposal stored;
  stored.proposal = {
      .config = "1,1,8,0", .graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3), .hash = "h"};
  EXPECT_EQ(candidate_run(stored, 7, 42, {}).file, fs::path("trials/7"));
  stored.confirms = {.trial = 5, .seed = 43, .epochs = {{"distill", 9}}};
  const CandidateRun run = candidate_run(from_stored(to_stored(stored)), 0, 42, {});
  EXPECT_EQ(run.trial, 5);
  EXPECT_EQ(run.seed, 43U);
  EXPECT_EQ(run.name, "trial 5, seed 43");
  EXPECT_EQ(run.file, fs::path("trials/5/seed-43"));
  EXPECT_EQ(run.epochs, stored.confirms->epochs);
}

}  // namespace
}  // namespace retort::search
