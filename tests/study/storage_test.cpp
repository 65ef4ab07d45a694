// One contract, held by every storage.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <limits>
#include <mutex>
#include <set>
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

TEST_P(StorageContract, TrialsAreClaimedInOrderAndOnce) {
  EXPECT_FALSE(storage_->claim("w", kLease));
  add({"a", "b"});
  add({"c"});
  for (const std::string proposal : {"a", "b", "c"}) {
    const auto claimed = storage_->claim("w", kLease);
    ASSERT_TRUE(claimed);
    EXPECT_EQ(claimed->trial.proposal, proposal);
    EXPECT_EQ(claimed->trial.state, TrialState::Running);
    EXPECT_EQ(claimed->claim, (Claim{claimed->trial.number, "w", 1}));
  }
  EXPECT_FALSE(storage_->claim("w", kLease));
}

TEST_P(StorageContract, ABoundaryIsKept) {
  add({"a", "b"});
  EXPECT_EQ(storage_->claim("w", kLease, 1)->claim.trial, 0);
  EXPECT_FALSE(storage_->claim("w", kLease, 1));
  EXPECT_EQ(storage_->claim("w", kLease, 2)->claim.trial, 1);
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

TEST_P(StorageContract, LeasesTellWhoHasWhat) {
  EXPECT_TRUE(storage_->leases().empty());
  add({"a", "b", "c"});
  claim("v");
  const Claim second = claim("w");
  const std::vector<Lease> leases = storage_->leases();
  ASSERT_EQ(leases.size(), 2U);
  EXPECT_EQ(leases[0].trial, 0);
  EXPECT_EQ(leases[0].worker, "v");
  EXPECT_EQ(leases[1].trial, 1);
  EXPECT_EQ(leases[1].worker, "w");
  EXPECT_EQ(leases[1].attempt, 1);
  EXPECT_EQ(leases[1].seconds, kLease);
  EXPECT_GE(leases[1].silent_seconds, 0);
  EXPECT_TRUE(std::isfinite(leases[1].silent_seconds));
  storage_->give_back(second);
  EXPECT_EQ(storage_->leases().size(), 1U);
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

TEST_P(StorageContract, OnlyItsHolderEndsATrial) {
  add({"a"});
  const Claim never = {.trial = 0, .worker = "w", .attempt = 1};
  EXPECT_THROW(storage_->finish(never, {TrialState::Failed, ""}), LostLease);
  EXPECT_THROW(storage_->put_stage(never, {"quick", ""}), LostLease);
  const Claim held = claim();
  for (const Claim& wrong : {Claim{7, "w", 1}, Claim{0, "v", 1}, Claim{0, "w", 2}}) {
    EXPECT_THROW(storage_->finish(wrong, {TrialState::Failed, ""}), LostLease);
    EXPECT_THROW(storage_->put_stage(wrong, {"quick", ""}), LostLease);
    EXPECT_THROW(storage_->crash(wrong, failed(""), 3), LostLease);
    EXPECT_EQ(storage_->heartbeat(std::vector{wrong}), std::vector{wrong});
  }
  EXPECT_TRUE(storage_->heartbeat(std::vector{held}).empty());
  storage_->finish(held, {TrialState::Failed, "x"});
  EXPECT_THROW(storage_->finish(held, {TrialState::Skipped, "y"}), LostLease);
  EXPECT_THROW(storage_->put_stage(held, {"quick", ""}), LostLease);
  EXPECT_EQ(storage_->heartbeat(std::vector{held}), std::vector{held});
  EXPECT_EQ(storage_->trials().at(0).result, "x");
}

TEST_P(StorageContract, ACallWhoseAnswerWasLostMayBeRepeated) {
  add({"a", "b", "c"});
  const Claim first = claim();
  for (int i = 0; i < 2; ++i) storage_->finish(first, {TrialState::Complete, "x", {1, 2}});
  const Claim second = claim();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(storage_->crash(second, failed(""), 2), TrialState::Waiting);
  const Claim again = claim();
  EXPECT_EQ(again, (Claim{1, "w", 2}));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(storage_->crash(again, failed("r"), 2), TrialState::Failed);
  EXPECT_EQ(storage_->details(0).values, (std::vector<double>{1, 2}));
}

TEST_P(StorageContract, ReleasedTrialsComeFirstAgainWithTheirStages) {
  add({"a", "b", "c"});
  const Claim first = claim();
  const Claim second = claim();
  const Claim other = claim("other");
  storage_->put_stage(second, {"quick", "q"});
  storage_->finish(first, {TrialState::Skipped, "s"});
  reopen();
  EXPECT_EQ(storage_->release("w"), 1);
  EXPECT_EQ(storage_->release("w"), 0);
  EXPECT_THROW(storage_->finish(second, {TrialState::Skipped, ""}), LostLease);
  const auto claimed = storage_->claim("w", kLease);
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->claim, (Claim{1, "w", 2}));
  EXPECT_EQ(claimed->trial.stages, (std::vector<StageRecord>{{"quick", "q"}}));
  storage_->finish(other, {TrialState::Skipped, ""});
}

TEST_P(StorageContract, AnExpiredLeaseGoesToAnotherAndTheZombieIsRefused) {
  add({"a", "b"});
  const Claim zombie = storage_->claim("zombie", 0.05)->claim;
  const Claim live = claim("live");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto taken = storage_->claim("next", kLease);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->claim, (Claim{0, "next", 2}));
  EXPECT_EQ(storage_->heartbeat(std::vector{zombie, live}), std::vector{zombie});
  EXPECT_THROW(storage_->put_stage(zombie, {"quick", "late"}), LostLease);
  EXPECT_THROW(storage_->finish(zombie, {TrialState::Complete, "late", {1, 1}}), LostLease);
  storage_->finish(taken->claim, {TrialState::Complete, "right", {2, 2}});
  EXPECT_EQ(storage_->trials().at(0).result, "right");
  EXPECT_TRUE(storage_->trials().at(0).stages.empty());
  EXPECT_EQ(storage_->details(0).values, (std::vector<double>{2, 2}));
}

TEST_P(StorageContract, AHeartbeatRenewsTheLeaseEvenOneThatNobodyTookInTime) {
  add({"a"});
  const Claim held = storage_->claim("w", 0.3)->claim;
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_TRUE(storage_->heartbeat(std::vector{held}).empty());
  EXPECT_EQ(storage_->release_expired(), 0);
  EXPECT_FALSE(storage_->claim("next", kLease));
  storage_->finish(held, {TrialState::Skipped, ""});
}

TEST_P(StorageContract, LeasesLostOneAfterTheOtherAreCountedUntilAStageIsStored) {
  add({"a"});
  const auto losses = [&] { return storage_->claim("w", kLease).value().losses; };
  EXPECT_EQ(losses(), 0);
  storage_->release("w");
  EXPECT_EQ(losses(), 1);
  storage_->release("w");
  const auto claimed = storage_->claim("w", 0.05).value();
  EXPECT_EQ(claimed.losses, 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto next = storage_->claim("next", kLease).value();
  EXPECT_EQ(next.losses, 3);
  // Who ends in order loses nothing.
  storage_->give_back(next.claim);
  storage_->give_back(next.claim);
  EXPECT_EQ(state(0), TrialState::Waiting);
  EXPECT_THROW(storage_->give_back(claimed.claim), LostLease);
  const auto last = storage_->claim("w", kLease).value();
  EXPECT_EQ(last.losses, 3);
  storage_->put_stage(last.claim, {"quick", "q"});
  storage_->release("w");
  EXPECT_EQ(losses(), 1);
}

TEST_P(StorageContract, AnEpochOrACheckpointIsProgressAndAnothersCrashIsNoLoss) {
  add({"a"});
  const auto take = [&] { return storage_->claim("w", kLease).value(); };
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(take());
    storage_->release("w");
  }
  auto claimed = take();
  EXPECT_EQ(claimed.losses, 3);
  storage_->put_values(claimed.claim, std::vector<IntermediateValue>{{1, 0.1}});
  storage_->release("w");
  EXPECT_EQ((claimed = take()).losses, 1) << "an epoch came";
  storage_->put_checkpoint(claimed.claim, std::vector<uint8_t>{1});
  storage_->release("w");
  EXPECT_EQ((claimed = take()).losses, 1) << "a checkpoint came";
  EXPECT_EQ(storage_->release("w", Loss::OthersDoing), 1);
  EXPECT_EQ(take().losses, 1);
}

TEST_P(StorageContract, AWorkerIsWhoItsNameEndsIn) {
  add({"a", "b", "c"});
  static_cast<void>(claim("here:/work#0123"));
  const Claim other = claim("here:/work#4567");
  EXPECT_EQ(storage_->release("there:/work#0123"), 1) << "the same one, on another machine by now";
  EXPECT_EQ(state(0), TrialState::Waiting);
  storage_->finish(other, {TrialState::Skipped, ""});
  EXPECT_EQ(identity_of("here:/work#0123"), "0123");
  EXPECT_EQ(identity_of("w"), "w");
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

TEST_P(StorageContract, ACheckpointIsForWhoeverClaimsNextAndGoesWithItsTrial) {
  add({"a", "b"});
  const auto bytes = [](uint8_t value) { return std::vector<uint8_t>(100, value); };
  const auto is_kept = [&](uint8_t value) {
    try {
      return storage_->artefact(sha256_hex(bytes(value))) == bytes(value);
    } catch (const Error&) {
      return false;
    }
  };
  const auto first = storage_->claim("first", kLease).value();
  EXPECT_EQ(first.checkpoint, std::nullopt);
  storage_->put_checkpoint(first.claim, bytes(1));
  storage_->put_checkpoint(first.claim, bytes(2));
  storage_->put_checkpoint(first.claim, bytes(2));
  EXPECT_FALSE(is_kept(1)) << "only the last one is kept";
  EXPECT_TRUE(is_kept(2));
  storage_->release("first");
  EXPECT_THROW(storage_->put_checkpoint(first.claim, bytes(3)), LostLease);
  EXPECT_FALSE(is_kept(3)) << "a zombie leaves nothing";
  EXPECT_THROW(storage_->put_checkpoint(first.claim, bytes(2)), LostLease);
  EXPECT_TRUE(is_kept(2)) << "a zombie takes nothing away";

  const auto second = storage_->claim("second", kLease).value();
  EXPECT_EQ(second.claim.trial, 0);
  EXPECT_EQ(second.checkpoint, (Checkpoint{"first", sha256_hex(bytes(2))}));
  storage_->put_checkpoint(second.claim, bytes(4));
  EXPECT_EQ(storage_->crash(second.claim, failed(""), 2), TrialState::Waiting);
  const auto third = storage_->claim("third", kLease).value();
  EXPECT_EQ(third.checkpoint, (Checkpoint{"second", sha256_hex(bytes(4))}));
  storage_->finish(third.claim, {TrialState::Skipped, ""});
  EXPECT_FALSE(is_kept(4));

  const Claim crashing = claim();
  storage_->put_checkpoint(crashing, bytes(5));
  EXPECT_EQ(storage_->crash(crashing, failed(""), 1), TrialState::Failed);
  EXPECT_FALSE(is_kept(5));
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

TEST_P(StorageContract, ALostLeaseIsNoAttemptButACrashIs) {
  add({"a"});
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(claim());
    EXPECT_EQ(storage_->release("w"), 1);
  }
  EXPECT_EQ(storage_->crash(claim(), failed("r"), 2), TrialState::Waiting);
  EXPECT_EQ(state(0), TrialState::Waiting);
  EXPECT_TRUE(storage_->details(0).attributes.empty());
  static_cast<void>(claim());
  storage_->release("w");
  const Ending ending = {.state = TrialState::Failed, .result = "why", .attributes = {{"reason", "\"why\""}}};
  EXPECT_EQ(storage_->crash(claim(), ending, 2), TrialState::Failed);
  EXPECT_EQ(state(0), TrialState::Failed);
  EXPECT_EQ(storage_->trials().at(0).result, "why");
  EXPECT_EQ(storage_->details(0).attributes, ending.attributes) << "what Optuna shows";
}

TEST_P(StorageContract, OneLeadsAndWhoLostTheLeadWritesNothing) {
  EXPECT_EQ(storage_->lead("one#1", kLease), std::nullopt);
  storage_->put_document("k", "1");
  EXPECT_TRUE(storage_->renew_lead());
  if (GetParam() == Kind::Memory) return;
  const auto second = another();
  const auto leader = second->lead("two#2", kLease);
  ASSERT_TRUE(leader);
  EXPECT_EQ(leader->name, "one#1");
  EXPECT_EQ(leader->seconds, kLease);
  EXPECT_GE(leader->silent_seconds, 0);
  second->put_document("k", "2");  // it does not lead, as somebody's who asks the search to stop

  // An earlier process of the same place is gone; on another machine it may have another name.
  const auto again = another();
  EXPECT_EQ(again->lead("elsewhere#1", 0.05), std::nullopt);
  EXPECT_FALSE(storage_->renew_lead());
  EXPECT_THROW(storage_->put_document("k", "late"), LostLead);
  EXPECT_THROW(storage_->add_trials(0, proposals({"late"})), LostLead);
  EXPECT_TRUE(again->add_trials(0, proposals({"a"})));

  // Silent for longer than it said.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(second->lead("two#2", kLease), std::nullopt);
  EXPECT_THROW(again->put_document("k", "late"), LostLead);
  EXPECT_THROW(again->add_trials(1, proposals({"late"})), LostLead);
  EXPECT_EQ(second->document("k"), "2");
  EXPECT_EQ(second->trial_count(), 1);

  // Who ends in order leaves the lead at once, and late is nothing that comes before the next one.
  second->resign();
  second->put_document("k", "3");
  EXPECT_EQ(another()->lead("three#3", kLease), std::nullopt);
  EXPECT_THROW(second->put_document("k", "late"), LostLead);
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

TEST_P(StorageContract, ThreadsNeverShareATrial) {
  constexpr int kTrials = 200;
  add(std::vector<std::string>(kTrials, "p"));
  std::mutex mutex;
  std::multiset<int> seen;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        // Half of them as other processes have it.
        const auto own = t % 2 == 0 && GetParam() != Kind::Memory ? another() : nullptr;
        Storage& storage = own ? *own : *storage_;
        while (const auto claimed = storage.claim(fmt::format("w{}", t), kLease)) {
          storage.finish(claimed->claim, {TrialState::Complete, "r", {1, 2}});
          const std::lock_guard lock(mutex);
          seen.insert(claimed->claim.trial);
        }
      });
  }
  ASSERT_EQ(seen.size(), kTrials);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), kTrials);
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
