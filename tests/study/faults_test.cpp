// Workers are killed, stopped and cut off, servers go away, disks fill: the study in the end is that of workers whom
// nothing happened to.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <functional>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "study/database.h"
#include "study/lease_keeper.h"
#include "study/postgres_server.h"
#include "study/sql_storage.h"
#include "study/storage.h"
#include "study/wrapped_database.h"
#include "temporary_folder.h"

namespace retort::study {
namespace {

using std::chrono::milliseconds;

const std::vector<Objective> kObjectives = {{"accuracy", Direction::Maximize},
                                            {"flash", Direction::Minimize}};
constexpr int kStages = 3;

void fill(Storage& storage, int trials) {
  std::vector<NewTrial> all;
  for (int i = 0; i < trials; ++i)
    all.push_back(
        {.proposal = fmt::format("{{\"trial\": {}}}", i), .attributes = {{"number", fmt::format("{}", i)}}});
  ASSERT_TRUE(storage.add_trials(0, all));
}

// What a trial comes to depends on the trial alone; a stage that is stored is not run again.
void train(Storage& storage, const ClaimedTrial& claimed, milliseconds stage_time) {
  const int number = claimed.trial.number;
  for (int stage = static_cast<int>(claimed.trial.stages.size()); stage < kStages; ++stage) {
    std::this_thread::sleep_for(stage_time);
    storage.put_stage(claimed.claim, {fmt::format("stage {}", stage), fmt::format("{}", number * stage)},
                      std::vector<IntermediateValue>{{stage, number / 7.0 + stage}});
  }
  if (number % 5 == 0)
    storage.finish(claimed.claim, {TrialState::Skipped, "skipped"});
  else
    storage.finish(claimed.claim, {TrialState::Complete,
                                   fmt::format("{}", number),
                                   {number / 3.0, number * 2.0},
                                   {{"note", "\"done\""}}});
}

// Works until nothing is left, whatever others do.
void work(Storage& storage, const std::string& name, double lease_seconds, milliseconds stage_time) {
  const auto unfinished = [&] {
    int count = 0;
    for (const auto& [state, trials] : storage.counts())
      if (!is_finished(state)) count += trials;
    return count;
  };
  while (unfinished() > 0) {
    const auto claimed = storage.claim(name, lease_seconds);
    if (!claimed) {
      std::this_thread::sleep_for(milliseconds(5));
      continue;
    }
    try {
      train(storage, *claimed, stage_time);
    } catch (const LostLease&) {
      continue;
    }
  }
}

void expect_undisturbed(const Storage& storage, int trials) {
  const auto undisturbed = make_memory_storage(kObjectives);
  fill(*undisturbed, trials);
  work(*undisturbed, "w", 60, milliseconds(0));
  EXPECT_EQ(storage.trials(), undisturbed->trials());
  for (int i = 0; i < trials; ++i) EXPECT_EQ(storage.details(i), undisturbed->details(i)) << "trial " << i;
}

pid_t start(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  int code = 1;
  try {
    body();
    code = 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "worker: {}\n", error.what());
  }
  _exit(code);
}
int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class Faults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    place_ = sqlite_place(folder_.path() / "study.db");
    if (!GetParam()) return;
    if (PostgresServer::shared() == nullptr) GTEST_SKIP() << PostgresServer::why_missing();
    place_.url = PostgresServer::shared()->make_database();
  }
  [[nodiscard]] std::unique_ptr<Storage> open() const { return open_storage(place_, kObjectives); }

  TemporaryFolder folder_;
  Place place_;
};

class Kills : public Faults {};
TEST_P(Kills, WorkersAreKilledAtTwoHundredMoments) {
  constexpr int kTrials = 800;
  constexpr int kKills = 200;
  fill(*open(), kTrials);
  std::mt19937 random(1);
  // One whose name is its own goes on at once; the others' trials are taken when their leases are over.
  const auto worker = [&](int i) {
    return start([this, i] {
      const auto storage = open();
      const std::string name = i % 2 == 0 ? "the one" : fmt::format("worker {}", i);
      if (i % 2 == 0) storage->release(name);
      work(*storage, name, 0.3, milliseconds(2));
    });
  };
  for (int i = 0; i < kKills; ++i) {
    const pid_t child = worker(i);
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution(5'000, 60'000)(random)));
    kill(child, SIGKILL);
    wait_for(child);
  }
  EXPECT_GT(open()->counts()[TrialState::Waiting], 0) << "the last ones were killed when all was done";
  EXPECT_EQ(wait_for(start([this] { work(*open(), "last", 0.3, milliseconds(0)); })), 0);
  expect_undisturbed(*open(), kTrials);
}

TEST_P(Faults, AStoppedWorkerLosesItsTrialAndIsRefusedWhenItGoesOn) {
  fill(*open(), 2);
  const auto path = folder_.path();
  const pid_t zombie = start([this, path] {
    const auto storage = open();
    const auto claimed = storage->claim("zombie", 0.3);
    write_text_atomic(path / "claimed", "");
    while (!std::filesystem::exists(path / "go on")) std::this_thread::sleep_for(milliseconds(5));
    try {
      storage->finish(claimed.value().claim, {TrialState::Complete, "the zombie's", {0, 0}});
    } catch (const LostLease&) {
      work(*storage, "zombie", 0.3, milliseconds(0));
      return;
    }
    throw std::runtime_error("a zombie's result was taken");
  });
  while (!std::filesystem::exists(path / "claimed")) std::this_thread::sleep_for(milliseconds(5));
  kill(zombie, SIGSTOP);
  std::this_thread::sleep_for(milliseconds(350));
  const pid_t other = start([this] { work(*open(), "other", 60, milliseconds(0)); });
  EXPECT_EQ(wait_for(other), 0);
  write_text_atomic(path / "go on", "");
  kill(zombie, SIGCONT);
  EXPECT_EQ(wait_for(zombie), 0);
  expect_undisturbed(*open(), 2);
}

TEST_P(Faults, ALeaseKeeperKeepsLongTrialsAndTellsOfThoseThatAreLost) {
  const auto storage = open();
  fill(*storage, 2);
  LeaseKeeper leases(*storage, 0.4);
  const LeaseKeeper::Hold kept(leases, storage->claim("w", 0.4).value().claim, {});
  const LeaseKeeper::Hold taken(leases, storage->claim("w", 0.4).value().claim, {});
  std::this_thread::sleep_for(milliseconds(900));
  EXPECT_EQ(storage->release_expired(), 0);
  EXPECT_FALSE(kept.stop().stop_requested());
  open()->finish(taken.claim(), {TrialState::Skipped, ""});
  for (int i = 0; i < 200 && !taken.lost(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(taken.lost());
  EXPECT_TRUE(taken.stop().stop_requested());
  EXPECT_FALSE(kept.lost());
}

TEST_P(Faults, WhoHoldsAnEarlierClaimOfATrialInTheSameProcessIsWaitedFor) {
  const auto storage = open();
  fill(*storage, 1);
  LeaseKeeper leases(*storage, 60);
  constexpr double kLease = 0.05;
  std::optional<LeaseKeeper::Hold> earlier;
  earlier.emplace(leases, storage->claim("w", kLease).value().claim, std::stop_token());
  std::optional<ClaimedTrial> again;  // as after a sleep of the process, in which nothing beats
  while (!(again = storage->claim("w", 60))) std::this_thread::sleep_for(milliseconds(10));
  std::atomic<bool> holds = false;
  const std::jthread later([&] {
    const LeaseKeeper::Hold hold(leases, again->claim, {});
    EXPECT_FALSE(hold.lost());
    holds = true;
  });
  while (!earlier->stop().stop_requested()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(earlier->lost());
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(holds) << "both would write the same files";
  earlier.reset();
  while (!holds) std::this_thread::sleep_for(milliseconds(1));
}

TEST_P(Faults, AStopByTheUserReachesWhoeverHolds) {
  const auto storage = open();
  fill(*storage, 1);
  LeaseKeeper leases(*storage, 60);
  std::stop_source user;
  const LeaseKeeper::Hold hold(leases, storage->claim("w", 60).value().claim, user.get_token());
  EXPECT_FALSE(hold.stop().stop_requested());
  user.request_stop();
  EXPECT_TRUE(hold.stop().stop_requested());
  EXPECT_FALSE(hold.lost());
}

const auto kName = [](const auto& kind) { return kind.param ? "Postgres" : "Sqlite"; };
INSTANTIATE_TEST_SUITE_P(Every, Faults, testing::Values(false), kName);
INSTANTIATE_TEST_SUITE_P(Slow, Kills, testing::Values(false), kName);
INSTANTIATE_TEST_SUITE_P(Postgres, Kills, testing::Values(true), kName);
INSTANTIATE_TEST_SUITE_P(Postgres, Faults, testing::Values(true), kName);

class PostgresFaults : public testing::Test {
 protected:
  void SetUp() override {
    if (PostgresServer::shared() == nullptr) GTEST_SKIP() << PostgresServer::why_missing();
    place_.url = PostgresServer::shared()->make_database();
  }
  // Four workers, and what happens meanwhile, again and again until they are done.
  void under_load(const std::function<void()>& fault) {
    constexpr int kTrials = 300;
    fill(*open_storage(place_, kObjectives), kTrials);
    std::atomic<int> working = 4;
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          EXPECT_NO_THROW(
              work(*open_storage(place_, Access::Write), fmt::format("w{}", t), 2, milliseconds(4)));
          --working;
        });
      std::this_thread::sleep_for(milliseconds(200));
      for (int i = 0; i < 4 && working > 0; ++i) {
        fault();
        std::this_thread::sleep_for(milliseconds(150));
      }
    }
    expect_undisturbed(*open_storage(place_, Access::Read), kTrials);
  }
  Place place_;
};

TEST_F(PostgresFaults, TheServerIsStoppedAndStarted) {
  under_load([] {
    PostgresServer::shared()->stop(PostgresServer::Stop::Fast);
    std::this_thread::sleep_for(milliseconds(100));
    PostgresServer::shared()->start();
  });
}

TEST_F(PostgresFaults, TheServerIsKilled) {
  under_load([] {
    PostgresServer::shared()->stop(PostgresServer::Stop::Kill);
    PostgresServer::shared()->start();
  });
}

TEST_F(PostgresFaults, ConnectionsAreCut) {
  under_load([this] {
    for (int i = 0; i < 5; ++i) {
      PostgresServer::shared()->run(
          place_.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid<>pg_backend_pid()");
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
}

// PgBouncer refuses a connection that brings settings along, and hands one connection to one program after the other.
TEST_F(PostgresFaults, WhatATransactionNeedsIsSetForItAlone) {
  const auto database = open_database(place_.url, Access::Write);
  const auto show = [&](Connection& sql, const std::string& name) {
    return sql.run("SELECT current_setting('" + name + "')").rows.at(0).at(0).value_or("");
  };
  // Set by the server's keepers for all programs: claims at that level would fail one another.
  database->transact(Transaction::Write, [&](Connection& sql) {
    sql.run(
        "DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation=serializable',"
        " current_database()); END $do$");
  });
  const auto again = open_database(place_.url, Access::Write);
  again->transact(Transaction::Write, [&](Connection& sql) {
    EXPECT_EQ(show(sql, "transaction_isolation"), "read committed");
    EXPECT_EQ(show(sql, "enable_seqscan"), "off");
    EXPECT_EQ(show(sql, "idle_in_transaction_session_timeout"), "30s");
    EXPECT_EQ(show(sql, "lock_timeout"), "10s");
  });
  again->transact(Transaction::Read, [&](Connection& sql) {
    EXPECT_EQ(show(sql, "transaction_isolation"), "repeatable read");
    EXPECT_EQ(show(sql, "enable_seqscan"), "on");
  });
}

// Of every call that writes the first try is cut off while it ends, and has not yet ended when the second one begins.
class Slow final : public WrappedDatabase {
 public:
  using WrappedDatabase::WrappedDatabase;
  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    if (kind == Transaction::Read) {
      WrappedDatabase::transact(kind, body);
      return;
    }
    std::atomic<bool> ran = false;
    const std::jthread first([&] {
      WrappedDatabase::transact(kind, [&](Connection& sql) {
        body(sql);
        ran = true;
        ran.notify_all();
        std::this_thread::sleep_for(milliseconds(200));
      });
    });
    ran.wait(false);
    WrappedDatabase::transact(kind, body);
  }
};

TEST_F(PostgresFaults, ACallIsRepeatedWhileItsFirstTryIsAboutToEnd) {
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 4);
  SqlStorage slow(std::make_unique<Slow>(open_database(place_.url, Access::Write)), place_, Access::Write,
                  nullptr);
  const auto claim = [&] { return slow.claim("w", 60, INT_MAX).value().claim; };
  const Claim finished = claim();
  EXPECT_EQ(storage->leases().size(), 1U);
  EXPECT_NO_THROW(slow.finish(finished, {TrialState::Complete, "done", {1, 2}}));
  EXPECT_NO_THROW(slow.give_back(claim()));
  EXPECT_EQ(slow.crash(claim(), {TrialState::Failed, "crashed"}, 2), TrialState::Waiting);
  EXPECT_EQ(slow.crash(claim(), {TrialState::Failed, "crashed"}, 2), TrialState::Failed);
  EXPECT_EQ(storage->leases().size(), 0U);
  EXPECT_EQ(storage->trial(1).state, TrialState::Failed);
  EXPECT_EQ(storage->counts()[TrialState::Waiting], 2);
  EXPECT_THROW(storage->finish(finished, {TrialState::Skipped, ""}), LostLease);
}

TEST_F(PostgresFaults, AStudyBesideAnotherWaitsForTheServerToo) {
  const auto storage = open_storage(place_, kObjectives);
  PostgresServer::shared()->stop(PostgresServer::Stop::Fast);
  std::unique_ptr<Storage> beside;
  {
    const std::jthread opening([&] { EXPECT_NO_THROW(beside = storage->beside("beside", kObjectives)); });
    std::this_thread::sleep_for(milliseconds(300));
    PostgresServer::shared()->start();
  }
  ASSERT_TRUE(beside);
  fill(*beside, 1);
  EXPECT_EQ(beside->trial_count(), 1);
  EXPECT_EQ(storage->trial_count(), 0);
}

TEST_F(PostgresFaults, AStopEndsTheWaitForAServerThatIsGone) {
  std::stop_source stop;
  place_.stop = stop.get_token();
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 1);
  PostgresServer::shared()->stop(PostgresServer::Stop::Fast);
  std::atomic<bool> ended = false;
  std::jthread waiting([&] {
    EXPECT_THROW(storage->put_document("key", "{}"), Error);
    ended = true;
  });
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_FALSE(ended);
  stop.request_stop();
  for (int i = 0; i < 3000 && !ended; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(ended);
  PostgresServer::shared()->start();
  // What a stopped one gives back still gets there.
  EXPECT_NO_THROW(storage->put_document("key", "{}"));
}

TEST_F(PostgresFaults, AWriterThatIsStoppedLosesItsRowsAndTriesAgain) {
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 1);
  ASSERT_TRUE(storage->claim("stopped", 0.05));
  ASSERT_FALSE(storage->lead("stopped", 0.05));
  const auto database = open_postgres(place_.url, Access::Write, {.idle = milliseconds(400)});
  std::atomic<int> tries = 0;
  std::atomic<bool> goes_on = false;
  std::jthread stopped([&] {
    EXPECT_NO_THROW(database->transact(Transaction::Write, [&](Connection& sql) {
      sql.run("SELECT * FROM retort_trials FOR UPDATE");
      sql.run("SELECT * FROM retort_leads FOR UPDATE");
      if (++tries == 1) goes_on.wait(false);
    }));
  });
  while (tries == 0) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_FALSE(storage->lead("other", 60));
  std::optional<ClaimedTrial> claimed;
  for (int i = 0; i < 500 && !claimed; ++i) {
    claimed = storage->claim("other", 0.1);
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(claimed);
  goes_on = true;
  goes_on.notify_all();
  stopped.join();
  EXPECT_EQ(tries, 2);
}

TEST_F(PostgresFaults, ALockIsNotWaitedForWithoutEnd) {
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 1);
  const auto holder = open_postgres(place_.url, Access::Write);
  const auto waits = open_postgres(place_.url, Access::Write, {.lock = milliseconds(50)});
  std::atomic<int> tries = 0;
  std::jthread waiting;
  holder->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("SELECT * FROM retort_trials FOR UPDATE");
    waiting = std::jthread([&] {
      EXPECT_NO_THROW(waits->transact(Transaction::Write, [&](Connection& other) {
        ++tries;
        other.run("SELECT * FROM retort_trials FOR UPDATE");
      }));
    });
    for (int i = 0; i < 500 && tries < 3; ++i) std::this_thread::sleep_for(milliseconds(10));
  });
  waiting.join();
  EXPECT_GE(tries, 3);
}

// A small file system of its own; needs to be root.
class SmallDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=512k") != 0)
      GTEST_SKIP() << "no file system may be mounted here";
    mounted_ = true;
    place_ = sqlite_place(folder_.path() / "study.db");
  }
  void TearDown() override {
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  TemporaryFolder folder_;
  Place place_;
  bool mounted_ = false;
};

TEST_F(SmallDisk, AFullDiskLosesNothingThatWasStored) {
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 3);
  const auto before = storage->trials();
  const auto held = storage->claim("w", 60);
  std::string sentence;
  int stored = 0;
  try {
    for (; stored < 1000; ++stored)
      storage->put_document(fmt::format("{}", stored), std::string(20'000, 'x'));
  } catch (const Error& error) {
    sentence = error.what();
  }
  EXPECT_NE(sentence.find("study.db: the disk is full; what was finished before is stored"),
            std::string::npos)
      << sentence;
  EXPECT_THROW(storage->finish(held.value().claim, {TrialState::Skipped, std::string(100'000, 'y')}), Error);
  EXPECT_EQ(storage->trials().at(0).state, TrialState::Running);
  // There is room again: it goes on.
  ASSERT_EQ(mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
  storage->finish(held.value().claim, {TrialState::Skipped, "y"});
  const auto again = open_storage(place_, Access::Read);
  EXPECT_EQ(again->trials().at(0).result, "y");
  EXPECT_EQ(again->trials().at(1), before.at(1));
  EXPECT_EQ(again->document(fmt::format("{}", stored - 1)).value_or("").size(), 20'000U);
  EXPECT_EQ(again->document(fmt::format("{}", stored)), std::nullopt);
}

TEST_F(SmallDisk, AFolderThatIsReadOnlyCanBeReadAndSaysSoWhenWritten) {
  fill(*open_storage(place_, kObjectives), 3);
  ASSERT_EQ(mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
  EXPECT_EQ(open_storage(place_, Access::Read)->trials().size(), 3U);
  try {
    open_storage(place_, kObjectives);
    FAIL() << "it was opened to be written";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("study.db: the study's database cannot be opened or written"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace retort::study
