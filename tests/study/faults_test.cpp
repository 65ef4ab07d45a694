// Workers are killed, stopped and cut off: the study in the end is that of workers whom nothing happened to.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "base/file.h"
#include "study/lease_keeper.h"
#include "study/postgres_server.h"
#include "study/storage.h"
#include "study/workers.h"
#include "temporary_folder.h"

namespace retort::study {
namespace {

using std::chrono::milliseconds;

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

}  // namespace
}  // namespace retort::study
