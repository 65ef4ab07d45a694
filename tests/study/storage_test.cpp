// One contract, held by every storage: what it keeps. The leases' part is in leases_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <limits>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "study/storage_contract.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

TEST_P(StorageContract, DocumentsAreReplacedAndKept) {
  EXPECT_EQ(storage_->document("settings"), std::nullopt);
  storage_->put_document("settings", R"({"seed":1})");
  storage_->put_document("settings", R"({"seed":2,"name":"Grüße"})");
  storage_->put_document("other", "");
  reopen();
  EXPECT_EQ(storage_->document("settings"), R"({"seed":2,"name":"Grüße"})");
  EXPECT_EQ(storage_->document("other"), "");
}

TEST_P(StorageContract, OneOfThoseWhoProposeWins) {
  EXPECT_TRUE(storage_->add_trials(0, proposals({"a", "b"})));
  EXPECT_FALSE(storage_->add_trials(0, proposals({"c"})));
  EXPECT_FALSE(storage_->add_trials(3, proposals({"c"})));
  EXPECT_TRUE(storage_->add_trials(2, {}));
  std::atomic<int> won = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        if (storage_->add_trials(2, proposals({fmt::format("c of {}", t), "d"}))) ++won;
      });
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(storage_->trials().size(), 4U);
}

TEST_P(StorageContract, StagesAndResultsSurviveReopening) {
  add({"a", "b"});
  const Claim held = claim();
  storage_->put_stage(held, {"quick", "1"});
  storage_->put_stage(held, {"distill", "2"});
  storage_->put_stage(held, {"quick", "3"});
  storage_->finish(held, {TrialState::Complete, "done", {0.5, 1000}});
  reopen();
  const std::vector<TrialRecord> expected = {
      {0, TrialState::Complete, "a", "done", {{"quick", "3"}, {"distill", "2"}}},
      {1, TrialState::Waiting, "b", "", {}}};
  EXPECT_EQ(storage_->trials(), expected);
  EXPECT_EQ(storage_->trial(0), expected[0]);
  EXPECT_EQ(storage_->trial(1), expected[1]);
  EXPECT_THROW(static_cast<void>(storage_->trial(2)), Error);
  EXPECT_EQ(storage_->counts(),
            (std::map<TrialState, int>{{TrialState::Complete, 1}, {TrialState::Waiting, 1}}));
}

TEST_P(StorageContract, WhatOptunaShowsIsKept) {
  const double inf = std::numeric_limits<double>::infinity();
  const NewTrial trial = {.proposal = "a",
                          .parameters = {{"blocks", R"({"name": "IntDistribution"})", 3},
                                         {"rate", R"({"name": "FloatDistribution"})", 0.1}},
                          .constraints = {-0.5, 0.25},
                          .attributes = {{"macs", "123456"}}};
  ASSERT_TRUE(storage_->add_trials(0, std::vector{trial}));
  const Claim held = claim();
  storage_->put_stage(held, {"quick", "1"}, std::vector<IntermediateValue>{{0, 0.1}, {1, inf}});
  storage_->put_stage(held, {"distill", "1"},
                      std::vector<IntermediateValue>{{1, 1.0 / 3}, {2, -inf}, {3, std::nan("")}});
  storage_->finish(held, {TrialState::Complete, "r", {0.7, inf}, {{"macs", "7"}, {"note", "\"x\""}}});
  reopen();
  TrialDetails details = storage_->details(0);
  ASSERT_EQ(details.intermediate_values.size(), 4U);
  EXPECT_TRUE(std::isnan(details.intermediate_values[3].value));
  details.intermediate_values.pop_back();
  EXPECT_EQ(details, (TrialDetails{.parameters = trial.parameters,
                                   .intermediate_values = {{0, 0.1}, {1, 1.0 / 3}, {2, -inf}},
                                   .values = {0.7, inf},
                                   .constraints = {-0.5, 0.25},
                                   .attributes = {{"macs", "7"}, {"note", "\"x\""}}}));
  EXPECT_EQ(storage_->objectives(), kObjectives);
  EXPECT_THROW(static_cast<void>(storage_->details(1)), Error);
}

TEST_P(StorageContract, WhatOptunaShowsOfSeveralTrialsIsReadAtOnce) {
  std::vector<NewTrial> trials(4);
  for (size_t i = 0; i < trials.size(); ++i) {
    trials[i] = {.proposal = "p",
                 .parameters = {{"blocks", "{}", static_cast<double>(i)}},
                 .constraints = {-static_cast<double>(i)},
                 .attributes = {{"macs", std::to_string(i)}}};
    if (i == 2) trials[i] = {.proposal = "p"};  // has nothing to show
  }
  ASSERT_TRUE(storage_->add_trials(0, trials));
  for (size_t i = 0; i < trials.size(); ++i) {
    const Claim held = claim();
    storage_->put_stage(held, {"quick", "1"},
                        std::vector<IntermediateValue>{{1, 0.5}, {2, 1.0 * held.trial}});
    storage_->finish(held, {TrialState::Complete, "r", {1.0 * held.trial, 2}});
  }
  const auto others = storage_->beside("another", kObjectives);
  ASSERT_TRUE(others->add_trials(0, std::vector{trials[1]}));
  const std::vector<TrialDetails> some = storage_->details(1, 2);
  ASSERT_EQ(some.size(), 2U);
  EXPECT_EQ(some[0], storage_->details(1));
  EXPECT_EQ(some[1], storage_->details(2));
  EXPECT_EQ(some[0], (TrialDetails{.parameters = trials[1].parameters,
                                   .intermediate_values = {{1, 0.5}, {2, 1}},
                                   .values = {1, 2},
                                   .constraints = {-1},
                                   .attributes = trials[1].attributes}));
  EXPECT_EQ(storage_->details(3, 9).size(), 1U);
  EXPECT_TRUE(storage_->details(4, 9).empty());
}

TEST_P(StorageContract, ValuesOfAnUnfinishedStageAreSeenAndSaidAgain) {
  add({"a"});
  const Claim held = claim();
  storage_->put_values(held, std::vector<IntermediateValue>{{1, 0.1}, {2, 0.2}});
  storage_->put_values(held, {});
  const std::vector<IntermediateValue> so_far = {{1, 0.1}, {2, 0.2}};
  EXPECT_EQ(storage_->details(0).intermediate_values, so_far);
  EXPECT_TRUE(storage_->trial(0).stages.empty());
  // An attempt that went another way.
  storage_->put_stage(held, {"quick", "1"}, std::vector<IntermediateValue>{{1, 0.1}, {2, 0.25}});
  const std::vector<IntermediateValue> in_the_end = {{1, 0.1}, {2, 0.25}};
  EXPECT_EQ(storage_->details(0).intermediate_values, in_the_end);
  storage_->finish(held, {TrialState::Failed, "x"});
  EXPECT_THROW(storage_->put_values(held, so_far), LostLease);
  EXPECT_EQ(storage_->details(0).intermediate_values, in_the_end);
}

TEST_P(StorageContract, AnEndNeedsItsValues) {
  add({"a"});
  const Claim held = claim();
  EXPECT_THROW(storage_->finish(held, {TrialState::Complete, "", {0.5}}), Error);
  EXPECT_THROW(storage_->finish(held, {TrialState::Complete, "", {0.5, std::nan("")}}), Error);
  EXPECT_THROW(storage_->finish(held, {TrialState::Running, ""}), Error);
  storage_->finish(held, {TrialState::Infeasible, "too large"});
  EXPECT_EQ(state(0), TrialState::Infeasible);
}

TEST_P(StorageContract, UnfinishedOnesAreCountedBelowABoundary) {
  EXPECT_EQ(storage_->unfinished(), 0);
  add({"a", "b", "c"});
  const Claim held = claim();
  EXPECT_EQ(storage_->unfinished(), 3);
  EXPECT_EQ(storage_->unfinished(2), 2);
  storage_->finish(held, {TrialState::Skipped, ""});
  EXPECT_EQ(storage_->unfinished(2), 1);
  EXPECT_EQ(storage_->unfinished(1), 0);
}

TEST_P(StorageContract, WhatIsNotReadIsEmpty) {
  add({"a", "b", "c"});
  const Claim first = claim();
  storage_->put_stage(first, {"quick", "q"});
  storage_->put_stage(first, {"distill", "d"});
  storage_->finish(first, {TrialState::Skipped, "r"});
  EXPECT_EQ(storage_->trial_count(), 3);
  const auto read = [&](const Reading& reading) { return storage_->trials(reading); };
  const TrialRecord whole = {.number = 0,
                             .state = TrialState::Skipped,
                             .proposal = "a",
                             .result = "r",
                             .stages = {{"quick", "q"}, {"distill", "d"}}};
  EXPECT_EQ(read({}).at(0), whole);
  TrialRecord part = whole;
  part.proposal.clear();
  EXPECT_EQ(read({.proposals = false}).at(0), part);
  part = whole;
  part.result.clear();
  part.stages = {{"quick", ""}, {"distill", ""}};
  EXPECT_EQ(read({.results = false, .stages = Stages::Names}).at(0), part);
  part.stages.clear();
  EXPECT_EQ(read({.results = false, .stages = Stages::None}).at(0), part);
  const auto later = read({.first = 1, .last = 1});
  ASSERT_EQ(later.size(), 1U);
  EXPECT_EQ(later.at(0).number, 1);
  EXPECT_EQ(read({.first = 3}).size(), 0U);
  // Those that wait or run, whose stages find their trials where others are left out.
  storage_->put_stage(claim(), {"quick", "of 1"});
  storage_->finish(storage_->claim("w", kLease).value().claim, {TrialState::Skipped, "r"});
  add({"d"});
  const auto unfinished = read({.finished = false});
  ASSERT_EQ(unfinished.size(), 2U);
  EXPECT_EQ(unfinished[0].number, 1);
  EXPECT_EQ(unfinished[0].stages, (std::vector<StageRecord>{{"quick", "of 1"}}));
  EXPECT_EQ(unfinished[1], (TrialRecord{.number = 3, .state = TrialState::Waiting, .proposal = "d"}));
}

TEST_P(StorageContract, ArtefactsAreKeptUnderTheirHash) {
  std::vector<uint8_t> bytes(10'000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i);
  const std::string hash = storage_->put_artefact(bytes);
  EXPECT_EQ(storage_->put_artefact(bytes), hash);
  const std::string nothing = storage_->put_artefact({});
  reopen();
  EXPECT_EQ(hash, sha256_hex(bytes));
  EXPECT_EQ(storage_->artefact(hash), bytes);
  EXPECT_TRUE(storage_->artefact(nothing).empty());
  EXPECT_THROW(static_cast<void>(storage_->artefact(sha256_hex(std::vector<uint8_t>{1}))), Error);
}

INSTANTIATE_TEST_SUITE_P(Every, StorageContract, testing::Values(Kind::Memory, Kind::Sqlite, Kind::Forgetful),
                         kKindName);
INSTANTIATE_TEST_SUITE_P(Postgres, StorageContract, testing::Values(Kind::Postgres), kKindName);

// ---- a database that forgets its answers

TEST(ForgetfulStorage, OutdatedCheckpointsAreNotLeftInTheFolder) {
  const TemporaryFolder folder;
  const Place place = {.url = "sqlite:" + (folder.path() / "study.db").string(),
                       .artefacts = folder.path() / "artefacts"};
  const std::vector<Objective> objectives = {{"accuracy"}};
  SqlStorage made(std::make_unique<Forgetful>(open_database(place.url, Access::Write)), place, Access::Write,
                  &objectives);
  Storage& storage = made;
  storage.add_trials(0, proposals({"a"}));
  const Claim held = storage.claim("w", kLease).value().claim;
  const auto files = [&] {
    return std::distance(fs::directory_iterator(place.artefacts), fs::directory_iterator());
  };
  for (const uint8_t value : std::vector<uint8_t>{1, 2, 3})
    storage.put_checkpoint(held, std::vector<uint8_t>(10, value));
  EXPECT_EQ(files(), 1);
  storage.finish(held, failed("x"));
  EXPECT_EQ(files(), 0);
}

}  // namespace
}  // namespace retort::study
