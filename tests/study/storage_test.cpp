// One contract, held by every storage.
#include "study/storage.h"

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
#include "study/database.h"
#include "study/postgres_server.h"
#include "study/sql_storage.h"
#include "study/wrapped_database.h"
#include "temporary_folder.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

constexpr double kLease = 60;

// Of Forgetful the answer to every transaction that writes is lost once: it is carried out, and run again.
enum class Kind { Memory, Sqlite, Forgetful, Postgres };

class Forgetful final : public WrappedDatabase {
 public:
  using WrappedDatabase::WrappedDatabase;
  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    WrappedDatabase::transact(kind, body);
    if (kind == Transaction::Write) WrappedDatabase::transact(kind, body);
  }
};

Ending failed(const std::string& result) {
  return {.state = TrialState::Failed, .result = result};
}

std::vector<NewTrial> proposals(const std::vector<std::string>& texts) {
  std::vector<NewTrial> out;
  for (const std::string& text : texts) out.push_back({.proposal = text});
  return out;
}

class StorageContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::Postgres) {
      PostgresServer* server = PostgresServer::shared();
      if (server == nullptr) GTEST_SKIP() << PostgresServer::why_missing();
      place_.url = server->make_database();
    } else {
      place_ = sqlite_place(folder_.path() / "study.db");
    }
    reopen();
  }
  void reopen() {
    if (GetParam() == Kind::Memory && storage_) return;
    storage_.reset();
    storage_ = another();
  }
  // As another process has it.
  [[nodiscard]] std::unique_ptr<Storage> another() const {
    switch (GetParam()) {
      case Kind::Memory:
        return make_memory_storage(kObjectives);
      case Kind::Forgetful:
        return std::make_unique<SqlStorage>(
            std::make_unique<Forgetful>(open_database(place_.url, Access::Write)), place_, Access::Write,
            &kObjectives);
      default:
        return open_storage(place_, kObjectives);
    }
  }
  void add(const std::vector<std::string>& texts) {
    ASSERT_TRUE(storage_->add_trials(static_cast<int>(storage_->trials().size()), proposals(texts)));
  }
  Claim claim(const std::string& worker = "w") {
    const auto claimed = storage_->claim(worker, kLease);
    return claimed ? claimed->claim : Claim{.trial = -1};
  }
  [[nodiscard]] TrialState state(int trial) const {
    return storage_->trials().at(static_cast<size_t>(trial)).state;
  }

  inline static const std::vector<Objective> kObjectives = {{"accuracy", Direction::Maximize},
                                                            {"flash", Direction::Minimize}};
  TemporaryFolder folder_;
  Place place_;
  std::unique_ptr<Storage> storage_;
};

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

const auto kKindName = [](const auto& kind) {
  return kind.param == Kind::Memory      ? "Memory"
         : kind.param == Kind::Sqlite    ? "Sqlite"
         : kind.param == Kind::Forgetful ? "Forgetful"
                                         : "Postgres";
};
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

// What holds for databases that several open at once.
class DatabaseContract : public StorageContract {
 protected:
  // As if the clock had been set: it makes no difference which of them moves.
  void set_clock(double seconds) {
    open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
      sql.run(fmt::format("UPDATE retort_leases SET beat_at=beat_at-({})", seconds));
    });
  }
};

TEST_P(DatabaseContract, StudiesShareADatabase) {
  Place other = place_;
  other.study = "another study";
  const auto second = open_storage(other, {{"loss", Direction::Minimize}});
  add({"a", "b"});
  EXPECT_TRUE(second->add_trials(0, proposals({"c"})));
  second->put_document("k", "2");
  EXPECT_EQ(storage_->document("k"), std::nullopt);
  EXPECT_EQ(second->claim("w", kLease)->trial.proposal, "c");
  EXPECT_EQ(second->release("v"), 0);
  EXPECT_EQ(storage_->release("w"), 0);
  EXPECT_FALSE(second->claim("w", kLease));
  EXPECT_EQ(storage_->trials().size(), 2U);
  EXPECT_EQ(study_names(place_.url), (std::vector<std::string>{"retort", "another study"}));
  EXPECT_THROW(open_storage(other, kObjectives), Error);
  other.study = "none";
  EXPECT_THROW(open_storage(other, Access::Write), Error);
  EXPECT_THROW(open_storage(other, Access::Read), Error);
}

TEST_P(DatabaseContract, AReaderChangesNothing) {
  add({"a"});
  const auto reader = open_storage(place_, Access::Read);
  EXPECT_EQ(reader->trials(), storage_->trials());
  EXPECT_EQ(reader->objectives(), kObjectives);
  EXPECT_THROW(reader->put_document("k", "2"), Error);
  EXPECT_THROW(reader->claim("w", kLease), Error);
  EXPECT_THROW(reader->add_trials(1, proposals({"b"})), Error);
}

// Else a claim reads all that a long search has finished.
TEST_P(DatabaseContract, AClaimLooksItsTrialUp) {
  if (GetParam() != Kind::Sqlite) return;  // PostgreSQL plans by what tables hold
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    const Result plan = sql.run(
        "EXPLAIN QUERY PLAN SELECT trial_id FROM retort_trials WHERE study_id=1 AND state='WAITING' AND "
        "number<9"
        " ORDER BY number LIMIT 1");
    ASSERT_EQ(plan.rows.size(), 1U);  // no sorting
    const std::string detail = plan.rows[0].back().value_or("");
    EXPECT_NE(detail.find("retort_trials_state (study_id=? AND state=? AND number<?)"), std::string::npos)
        << detail;
  });
}

TEST_P(DatabaseContract, ManyOpenANewOneAtOnce) {
  TemporaryFolder folder;
  const Place place = GetParam() == Kind::Postgres ? Place{.url = PostgresServer::shared()->make_database()}
                                                   : sqlite_place(folder.path() / "new.db");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] { EXPECT_NO_THROW(open_storage(place, kObjectives)->put_document("k", "1")); });
}

TEST_P(DatabaseContract, AClockThatIsSetBackDelaysNothingForLong) {
  if (GetParam() == Kind::Sqlite) return;  // the steady clock is never set back
  add({"a"});
  static_cast<void>(storage_->claim("dead", 0.2));
  set_clock(-3600);
  EXPECT_EQ(storage_->release_expired(), 0);  // from here it counts
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(storage_->release_expired(), 1);
}

TEST_P(DatabaseContract, AClockThatIsSetForwardLosesNoResult) {
  add({"a"});
  const Claim held = claim();
  set_clock(3600);
  // Nobody asked: the holder goes on.
  EXPECT_TRUE(storage_->heartbeat(std::vector{held}).empty());
  set_clock(3600);
  const Claim next = claim("next");
  EXPECT_EQ(next, (Claim{0, "next", 2}));
  EXPECT_THROW(storage_->finish(held, {TrialState::Skipped, ""}), LostLease);
  storage_->finish(next, {TrialState::Skipped, "r"});
}

TEST_P(DatabaseContract, LeasesOfAnotherClockAreOver) {
  add({"a"});
  static_cast<void>(claim());
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("UPDATE retort_leases SET clock='before the reboot'");
  });
  EXPECT_EQ(storage_->release_expired(), 1);
}

TEST_P(DatabaseContract, CheckpointsInAFolderGoWithTheirTrials) {
  Place place = place_;
  place.artefacts = folder_.path() / "shared";
  const auto storage = open_storage(place, kObjectives);
  ASSERT_TRUE(storage->add_trials(0, proposals({"a"})));
  const Claim held = storage->claim("w", kLease).value().claim;
  const auto files = [&] { return std::distance(fs::directory_iterator(place.artefacts), {}); };
  storage->put_checkpoint(held, std::vector<uint8_t>{1});
  storage->put_checkpoint(held, std::vector<uint8_t>{2});
  EXPECT_EQ(files(), 1);
  storage->finish(held, {TrialState::Skipped, ""});
  EXPECT_EQ(files(), 0);
  EXPECT_THROW(storage->put_checkpoint(held, std::vector<uint8_t>{3}), LostLease);
  EXPECT_EQ(files(), 0);
}

TEST_P(DatabaseContract, AStudyOfTheFormatBeforeIsReadAsItIsAndBroughtUpToDateToBeWritten) {
  add({"a"});
  const Claim held = claim();
  const auto database = open_database(place_.url, Access::Write);
  database->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("DROP TABLE retort_checkpoints");
    sql.run("DROP TABLE retort_leads");
    sql.run("ALTER TABLE retort_leases DROP COLUMN token");
    sql.run("UPDATE retort_version SET version=2");
  });
  EXPECT_EQ(open_storage(place_, Access::Read)->trials().size(), 1U);
  EXPECT_EQ(open_storage(place_, Access::Read)->leases().size(), 1U);
  reopen();
  EXPECT_EQ(storage_->lead("w", kLease), std::nullopt);
  storage_->put_checkpoint(held, std::vector<uint8_t>{1});
  storage_->release("w");
  EXPECT_TRUE(storage_->claim("w", kLease).value().checkpoint);
  database->transact(Transaction::Write,
                     [&](Connection& sql) { sql.run("UPDATE retort_version SET version=5"); });
  try {
    open_storage(place_, Access::Read);
    FAIL() << "a later format was opened";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another version of this program (format 5, this one knows 4)"),
              std::string::npos)
        << error.what();
  }
}

// Its beat waits its turn to write for longer than a second, and somebody looks for lost leases meanwhile.
TEST_P(DatabaseContract, ALateBeatIsNotTakenForAClockThatWasSetBack) {
  if (GetParam() != Kind::Sqlite) return;  // there a writer waits for a row, and the server's clock does not
  add({"a"});
  const auto held = storage_->claim("w", 2).value();
  const auto database = open_database(place_.url, Access::Write);
  {
    std::jthread beat;
    std::jthread look;
    database->transact(Transaction::Write, [&](Connection&) {
      beat = std::jthread([&] { storage_->heartbeat(std::vector{held.claim}); });
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      look = std::jthread([&] { storage_->release_expired(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    });
  }
  const auto leases = storage_->leases();
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_LT(leases[0].silent_seconds, 1) << "the beat was put back to when the look began";
}

TEST_P(DatabaseContract, ArtefactsInAFolderAreChecked) {
  Place place = place_;
  place.artefacts = folder_.path() / "shared";
  const auto storage = open_storage(place, kObjectives);
  const std::vector<uint8_t> bytes = {1, 2, 3};
  const std::string hash = storage->put_artefact(bytes);
  EXPECT_EQ(storage->artefact(hash), bytes);
  EXPECT_THROW(static_cast<void>(storage_->artefact(hash)), Error);
  write_file_atomic(place.artefacts / hash, std::vector<uint8_t>{1, 2, 4});
  EXPECT_THROW(static_cast<void>(storage->artefact(hash)), Error);
  // Put before there was a folder.
  const std::string old = storage_->put_artefact(std::vector<uint8_t>{9});
  EXPECT_EQ(storage->artefact(old), std::vector<uint8_t>{9});
}

TEST_P(DatabaseContract, ACopyForAnotherOptunaHasItsSchema) {
  add({"a", "b"});
  storage_->finish(claim(), {TrialState::Complete, "r", {0.1, 2}});
  // PostgreSQL gives both without the last zeros.
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    sql.run(
        "UPDATE trials SET datetime_start='2026-01-01 01:00:00.5', datetime_complete='2026-01-01 01:00:01'");
  });
  for (const std::string schema : {"v3.0.0.d", "v3.2.0.a"}) {
    const fs::path copy = folder_.path() / (schema + ".db");
    export_for_optuna(place_.url, schema, copy);
    EXPECT_FALSE(fs::exists(copy.string() + "-wal"));
    open_sqlite(copy, Access::Read)->transact(Transaction::Read, [&](Connection& sql) {
      EXPECT_EQ(sql.run("SELECT version_num FROM alembic_version").rows.at(0).at(0), schema);
      EXPECT_EQ(sql.run("SELECT value FROM trial_values ORDER BY objective").rows.at(0).at(0), "0.1");
      EXPECT_EQ(sql.run("SELECT count(*) FROM trials").rows.at(0).at(0), "2");
      const auto times = sql.run("SELECT datetime_start, datetime_complete FROM trials").rows.at(0);
      EXPECT_EQ(times.at(0), "2026-01-01 01:00:00.500000") << "SQLAlchemy takes the digits for microseconds";
      EXPECT_EQ(times.at(1), "2026-01-01 01:00:01.000000");
      EXPECT_TRUE(sql.run("SELECT 1 FROM sqlite_master WHERE name LIKE 'retort%'").rows.empty());
    });
    EXPECT_THROW(export_for_optuna(place_.url, schema, copy), Error);
  }
  EXPECT_THROW(export_for_optuna(place_.url, "v4", folder_.path() / "x.db"), Error);
}

TEST_P(DatabaseContract, ACopyHasAllStudiesOrThoseThatAreNamed) {
  // More trials than are copied at once, those of two studies in turn.
  const auto other = storage_->beside("other", {{"accuracy"}});
  constexpr int kTimes = 3;
  const NewTrial trial = {.proposal = "p",
                          .parameters = {{"blocks", "{}", 3}},
                          .constraints = {-1},
                          .attributes = {{"macs", "7"}}};
  for (int i = 0; i < kTimes; ++i) {
    ASSERT_TRUE(storage_->add_trials(100 * i, std::vector(100, trial)));
    ASSERT_TRUE(other->add_trials(150 * i, std::vector(150, trial)));
  }
  const Claim held = other->claim("w", kLease).value().claim;
  other->put_stage(held, {"quick", "1"}, std::vector<IntermediateValue>{{1, 0.5}});
  other->finish(held, {TrialState::Complete, "r", {0.25}});
  const std::vector<std::string> tables = {"studies",
                                           "study_directions",
                                           "study_system_attributes",
                                           "trials",
                                           "trial_params",
                                           "trial_user_attributes",
                                           "trial_system_attributes",
                                           "trial_values",
                                           "trial_intermediate_values"};
  const auto rows_of = [&](std::string_view name, const std::vector<std::string>& studies) {
    const fs::path copy = folder_.path() / name;
    export_for_optuna(place_.url, kOptunaSchema, copy, studies);
    std::vector<int> counts;
    open_sqlite(copy, Access::Read)->transact(Transaction::Read, [&](Connection& sql) {
      for (const std::string& table : tables)
        counts.push_back(integer(sql.run("SELECT count(*) FROM " + table).rows.at(0).at(0)));
      const int numbers = integer(sql.run("SELECT count(DISTINCT number) FROM trials WHERE study_id=(SELECT "
                                          "max(study_id) FROM studies)")
                                      .rows.at(0)
                                      .at(0));
      EXPECT_EQ(numbers, studies.empty() || studies[0] == "other" ? 450 : 300);
    });
    return counts;
  };
  EXPECT_EQ(rows_of("all.db", {}), (std::vector{2, 3, 2, 750, 750, 750, 750, 1, 1}));
  EXPECT_EQ(rows_of("both.db", {"other", "retort"}), (std::vector{2, 3, 2, 750, 750, 750, 750, 1, 1}));
  EXPECT_EQ(rows_of("retort.db", {"retort"}), (std::vector{1, 2, 1, 300, 300, 300, 300, 0, 0}));
  EXPECT_EQ(rows_of("other.db", {"other"}), (std::vector{1, 1, 1, 450, 450, 450, 450, 1, 1}));
  const std::vector<std::string> missing = {"retort", "nobody"};
  EXPECT_THROW(export_for_optuna(place_.url, kOptunaSchema, folder_.path() / "x.db", missing), Error);
  EXPECT_FALSE(fs::exists(folder_.path() / "x.db"));
  EXPECT_FALSE(fs::exists(folder_.path() / "x.db.part"));
}

INSTANTIATE_TEST_SUITE_P(Every, DatabaseContract, testing::Values(Kind::Sqlite), kKindName);
INSTANTIATE_TEST_SUITE_P(Postgres, DatabaseContract, testing::Values(Kind::Postgres), kKindName);

std::string failure_of(const Place& place, ErrorCode code = ErrorCode::Failure) {
  try {
    const auto storage = open_storage(place, {{"accuracy"}});
    static_cast<void>(storage->trials());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

TEST(SqliteStorage, AForeignFileIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  write_text_atomic(path, std::string(5000, 'x'));
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("study.db: is not a study's database"), std::string::npos) << failure;
}

TEST(SqliteStorage, AnotherProgramsDatabaseIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_sqlite(path, Access::Write)->transact(Transaction::Write, [](Connection& sql) {
    sql.run("CREATE TABLE books(title)");
  });
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("is a database of another program"), std::string::npos) << failure;
}

TEST(SqliteStorage, AStudyOfTheFirstFormatIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_sqlite(path, Access::Write)->transact(Transaction::Write, [](Connection& sql) {
    sql.run("CREATE TABLE document(key TEXT)");
    sql.run("CREATE TABLE stage(trial INTEGER)");
  });
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("was written by an earlier version of this program (format 1"), std::string::npos)
      << failure;
}

TEST(SqliteStorage, OptunasOwnDatabaseIsJoinedWhenItsSchemaIsTheSame) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "optuna.db";
  const auto database = open_sqlite(path, Access::Write);
  database->transact(Transaction::Write, [&](Connection& sql) {
    make_optuna_tables(sql, database->dialect(), kOldOptunaSchema);
  });
  EXPECT_NE(failure_of(sqlite_place(path)).find("Optuna's tables of version v3.0.0.d"), std::string::npos);
  database->transact(Transaction::Write,
                     [&](Connection& sql) { sql.run("UPDATE alembic_version SET version_num='v3.2.0.a'"); });
  EXPECT_EQ(failure_of(sqlite_place(path)), "");
}

TEST(SqliteStorage, ADamagedPageIsReported) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_storage(sqlite_place(path), {{"accuracy"}})
      ->add_trials(0, proposals(std::vector<std::string>(50, std::string(2000, 'p'))));
  std::vector<uint8_t> bytes = read_file(path);
  ASSERT_GT(bytes.size(), 20'000U);
  std::fill(bytes.begin() + 4096, bytes.end() - 4096, uint8_t{0x5A});
  write_file_atomic(path, bytes);
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("damaged"), std::string::npos) << failure;
}

TEST(SqliteStorage, WhatNoStudyHasIsReported) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"UPDATE study_system_attributes SET value_json='['", "parse error"},
      {"UPDATE trial_system_attributes SET value_json='{}'", "type must be array"},
      {"DELETE FROM retort_version", "rows are missing in it"},
      {"DELETE FROM alembic_version", "rows are missing in it"}};
  for (const auto& [change, why] : changes) {
    const TemporaryFolder folder;
    const Place place = sqlite_place(folder.path() / "study.db");
    {
      const auto storage = open_storage(place, {{"accuracy"}});
      const std::vector<NewTrial> trial = {{.proposal = "p", .constraints = {0.5}}};
      ASSERT_TRUE(storage->add_trials(0, trial));
      const auto claimed = storage->claim("w", kLease);
      ASSERT_TRUE(claimed);
      storage->put_stage(claimed->claim, {"quick", "1"});
    }
    open_sqlite(folder.path() / "study.db", Access::Write)
        ->transact(Transaction::Write, [&](Connection& sql) { ASSERT_GT(sql.run(change).changed, 0); });
    try {
      const auto storage = open_storage(place, Access::Read);
      static_cast<void>(storage->objectives());
      static_cast<void>(storage->details(storage->trials().at(0).number));
      ADD_FAILURE() << change;
    } catch (const Error& error) {
      const std::string sentence = error.what();
      EXPECT_NE(sentence.find("study.db: the study's database is damaged: "), std::string::npos) << sentence;
      EXPECT_NE(sentence.find(why), std::string::npos) << sentence;
    }
  }
}

TEST(SqliteStorage, AFolderThatIsMissingIsNamed) {
  const std::string failure = failure_of({.url = "sqlite:/nonexistent/folder/study.db"});
  EXPECT_NE(failure.find("/nonexistent/folder/study.db: the study's database cannot be opened or written"),
            std::string::npos)
      << failure;
}

TEST(SqliteStorage, OtherFormsOfNamesAreRefused) {
  EXPECT_NE(failure_of({.url = "mysql://host/db"}, ErrorCode::Usage).find("no kind of database"),
            std::string::npos);
  EXPECT_NE(failure_of({.url = "sqlite:"}, ErrorCode::Usage).find("no name"), std::string::npos);
  EXPECT_NE(
      failure_of({.url = "postgresql://host/db?nonsense=1"}, ErrorCode::Usage).find("no URL of PostgreSQL"),
      std::string::npos);
  // Nobody listens there: said at once.
  EXPECT_NE(failure_of({.url = "postgresql://user:secret@127.0.0.1:1/db"})
                .find("postgresql://127.0.0.1:1/db: the database's server cannot be reached"),
            std::string::npos);
}

TEST(SqliteToRead, SeesWhatALiveWriterStoredAndWritesNothing) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a 100% #1?.db";
  EXPECT_THROW(open_storage(sqlite_place(path), Access::Read), Error);
  EXPECT_FALSE(fs::exists(path));
  auto writer = open_storage(sqlite_place(path), {{"accuracy"}});
  writer->put_document("k", "1");
  EXPECT_EQ(open_storage(sqlite_place(path), Access::Read)->document("k"), "1");
  writer.reset();
  const auto reader = open_storage(sqlite_place(path), Access::Read);
  EXPECT_EQ(reader->document("k"), "1");
  EXPECT_THROW(reader->put_document("k", "2"), Error);
}

}  // namespace
}  // namespace retort::study
