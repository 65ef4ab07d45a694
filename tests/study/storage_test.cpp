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
#include "temporary_folder.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

constexpr double kLease = 60;

enum class Kind { Memory, Sqlite, Postgres };

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
    return GetParam() == Kind::Memory ? make_memory_storage(kObjectives) : open_storage(place_, kObjectives);
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
  EXPECT_EQ(storage_->put_document_once("once", "1"), "1");
  EXPECT_EQ(storage_->put_document_once("once", "2"), "1");
  reopen();
  EXPECT_EQ(storage_->document("settings"), R"({"seed":2,"name":"Grüße"})");
  EXPECT_EQ(storage_->document("other"), "");
  EXPECT_EQ(storage_->document("once"), "1");
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
      threads.emplace_back([&] {
        if (storage_->add_trials(2, proposals({"c", "d"}))) ++won;
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
      {0, TrialState::Complete, 0, "a", "done", {{"quick", "3"}, {"distill", "2"}}},
      {1, TrialState::Waiting, 0, "b", "", {}}};
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
    EXPECT_THROW(storage_->pause(wrong), LostLease);
    EXPECT_THROW(storage_->crash(wrong, "", 3), LostLease);
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
  for (int i = 0; i < 2; ++i) storage_->pause(second);
  const Claim third = claim();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(storage_->crash(third, "", 2), TrialState::Waiting);
  const Claim again = claim();
  EXPECT_EQ(again, (Claim{2, "w", 2}));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(storage_->crash(again, "r", 2), TrialState::Failed);
  EXPECT_EQ(storage_->trials().at(1).rung, 1);
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

TEST_P(StorageContract, ALostLeaseIsNoAttemptButACrashIs) {
  add({"a"});
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(claim());
    EXPECT_EQ(storage_->release("w"), 1);
  }
  EXPECT_EQ(storage_->crash(claim(), "r", 2), TrialState::Waiting);
  EXPECT_EQ(state(0), TrialState::Waiting);
  static_cast<void>(claim());
  storage_->release("w");
  EXPECT_EQ(storage_->crash(claim(), "why", 2), TrialState::Failed);
  EXPECT_EQ(state(0), TrialState::Failed);
  EXPECT_EQ(storage_->trials().at(0).result, "why");
}

TEST_P(StorageContract, PausedTrialsWaitForTheirDecision) {
  add({"a", "b", "c"});
  for (int i = 0; i < 2; ++i) storage_->pause(claim());
  EXPECT_EQ(claim().trial, 2);
  EXPECT_FALSE(storage_->claim("w", kLease));
  EXPECT_EQ(state(0), TrialState::Paused);
  const std::vector<Decision> decisions = {{0, 1, ""}, {1, 1, "worse"}, {2, 0, "runs"}};
  EXPECT_EQ(storage_->decide(decisions), 2);
  EXPECT_EQ(storage_->decide(decisions), 0);
  EXPECT_EQ(storage_->trials().at(1).result, "worse");
  EXPECT_EQ(state(1), TrialState::Skipped);
  EXPECT_EQ(state(2), TrialState::Running);
  const auto promoted = storage_->claim("w", kLease);
  ASSERT_TRUE(promoted);
  EXPECT_EQ(promoted->trial.number, 0);
  EXPECT_EQ(promoted->trial.rung, 1);
  storage_->pause(promoted->claim);
  // Another worker's decision of the first rung comes too late.
  EXPECT_EQ(storage_->decide(decisions), 0);
  EXPECT_EQ(storage_->trials().at(0).rung, 2);
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
  return kind.param == Kind::Memory ? "Memory" : kind.param == Kind::Sqlite ? "Sqlite" : "Postgres";
};
INSTANTIATE_TEST_SUITE_P(Every, StorageContract, testing::Values(Kind::Memory, Kind::Sqlite), kKindName);
INSTANTIATE_TEST_SUITE_P(Postgres, StorageContract, testing::Values(Kind::Postgres), kKindName);

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

TEST_P(DatabaseContract, ManyOpenANewOneAtOnce) {
  TemporaryFolder folder;
  const Place place = GetParam() == Kind::Postgres ? Place{.url = PostgresServer::shared()->make_database()}
                                                   : sqlite_place(folder.path() / "new.db");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] { EXPECT_NO_THROW(open_storage(place, kObjectives)->put_document("k", "1")); });
}

TEST_P(DatabaseContract, AClockThatIsSetBackDelaysNothingForLong) {
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
  for (const std::string schema : {"v3.0.0.d", "v3.2.0.a"}) {
    const fs::path copy = folder_.path() / (schema + ".db");
    export_for_optuna(place_.url, schema, copy);
    EXPECT_FALSE(fs::exists(copy.string() + "-wal"));
    open_sqlite(copy, Access::Read)->transact(Transaction::Read, [&](Connection& sql) {
      EXPECT_EQ(sql.run("SELECT version_num FROM alembic_version").rows.at(0).at(0), schema);
      EXPECT_EQ(sql.run("SELECT value FROM trial_values ORDER BY objective").rows.at(0).at(0), "0.1");
      EXPECT_EQ(sql.run("SELECT count(*) FROM trials").rows.at(0).at(0), "2");
      EXPECT_TRUE(sql.run("SELECT 1 FROM sqlite_master WHERE name LIKE 'retort%'").rows.empty());
    });
    EXPECT_THROW(export_for_optuna(place_.url, schema, copy), Error);
  }
  EXPECT_THROW(export_for_optuna(place_.url, "v4", folder_.path() / "x.db"), Error);
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
