// A server goes away, stalls or cuts connections: workers wait, and lose nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/error.h"
#include "study/database.h"
#include "study/postgres_server.h"
#include "study/sql_storage.h"
#include "study/storage.h"
#include "study/workers.h"
#include "study/wrapped_database.h"

namespace retort::study {
namespace {

using std::chrono::milliseconds;

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

}  // namespace
}  // namespace retort::study
