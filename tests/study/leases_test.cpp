// Of the storages' contract: who has which trial, for how long, and who leads.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "study/storage_contract.h"

namespace retort::study {
namespace {

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

TEST_P(StorageContract, WhatHasFailedMayBeTriedAgain) {
  ASSERT_TRUE(
      storage_->add_trials(0, std::vector<NewTrial>{{.proposal = "a", .attributes = {{"macs", "7"}}}}));
  const std::vector<Attribute> own = storage_->details(0).attributes;
  const Ending ending = {.state = TrialState::Failed, .result = "why", .attributes = {{"reason", "\"why\""}}};
  storage_->retry(0, ending);
  const Claim first = claim();
  storage_->retry(0, ending);
  EXPECT_EQ(state(0), TrialState::Running) << "one that has not failed stays as it is";
  storage_->put_stage(first, {"quick", "r"});
  EXPECT_EQ(storage_->crash(first, ending, 1), TrialState::Failed);
  storage_->retry(0, ending);
  EXPECT_EQ(storage_->trial(0), (TrialRecord{.number = 0, .proposal = "a", .result = {}, .stages = {}}));
  EXPECT_EQ(storage_->details(0).attributes, own);
  EXPECT_THROW(storage_->finish(first, ending), LostLease) << "whoever failed it has it no more";
  EXPECT_EQ(storage_->crash(claim(), ending, 2), TrialState::Waiting) << "attempts count anew";
  storage_->finish(claim(), {.state = TrialState::Skipped, .result = "r"});
  storage_->retry(0, ending);
  EXPECT_EQ(state(0), TrialState::Skipped);
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
  EXPECT_THROW(again->retry(0, failed("")), LostLead);
  EXPECT_EQ(second->document("k"), "2");
  EXPECT_EQ(second->trial_count(), 1);

  // Who ends in order leaves the lead at once, and late is nothing that comes before the next one.
  second->resign();
  second->put_document("k", "3");
  EXPECT_EQ(another()->lead("three#3", kLease), std::nullopt);
  EXPECT_THROW(second->put_document("k", "late"), LostLead);
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

}  // namespace
}  // namespace retort::study
