#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "no_more_threads.h"

namespace retort {
namespace {

TEST(ParallelFor, CallsEachIndexOnce) {
  for (const int threads : {-1, 0, 1, 2, 7})
    for (const size_t count : {0, 1, 5, 1000})
      for (const size_t chunk : {0, 1, 3, 5000}) {
        std::vector<std::atomic<int>> calls(count);
        parallel_for(count, chunk, threads, [&](size_t i) { ++calls[i]; });
        for (const auto& call : calls) EXPECT_EQ(call, 1);
      }
}

TEST(ParallelFor, RethrowsTheFirstExceptionAndStops) {
  for (const int threads : {1, 4}) {
    std::atomic<size_t> calls = 0;
    try {
      parallel_for(100000, 1, threads, [&](size_t i) {
        ++calls;
        if (i == 10) throw std::runtime_error("ten");
      });
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "ten");
    }
    if (threads == 1) {
      EXPECT_EQ(calls, 11U);
    }
  }
}

TEST(AllAtOnce, EachIsThereForTheOthers) {
  for (const size_t count : {0, 1, 2, 9}) {
    std::atomic<size_t> there = 0;
    std::vector<size_t> seen(count);
    all_at_once(count, [&](size_t i, std::barrier<>& together) {
      ++there;
      together.arrive_and_wait();
      seen[i] = there;
    });
    EXPECT_EQ(seen, std::vector<size_t>(count, count));
  }
}

TEST(AllAtOnce, WhoThrowsIsWaitedForNoMore) {
  for (const size_t bad : {0, 2}) {
    std::atomic<int> ended = 0;
    try {
      all_at_once(4, [&](size_t i, std::barrier<>& together) {
        if (i == bad) throw std::runtime_error("bad");
        for (int wait = 0; wait < 3; ++wait) together.arrive_and_wait();
        ++ended;
      });
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "bad");
    }
    EXPECT_EQ(ended, 3);
  }
}

TEST(AllAtOnce, WithoutThreadsNoneBegins) {
#ifdef RETORT_SANITIZED
  GTEST_SKIP() << "a sanitizer has its own stacks";
#endif
  const NoMoreThreads none;
  int calls = 0;
  EXPECT_THROW(all_at_once(3, [&](size_t, std::barrier<>&) { ++calls; }), Error);
  EXPECT_EQ(calls, 0);
  all_at_once(1, [&](size_t, std::barrier<>&) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(ParallelFor, GoesOnWithTheThreadsThatThereAre) {
#ifdef RETORT_SANITIZED
  GTEST_SKIP() << "a sanitizer has its own stacks";
#endif
  const NoMoreThreads none;
  int calls = 0;
  parallel_for(100, 1, 4, [&](size_t) { ++calls; });
  EXPECT_EQ(calls, 100);
}

TEST(AvailableCores, IsAtLeastOne) {
  EXPECT_GE(available_cores(), 1);
}

// Control groups as a kernel shows them, below a folder of the test's own.
class Quota : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             (std::string("retort_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name, const std::string& text) { write_text_atomic(folder / name, text); }
  [[nodiscard]] std::optional<int> cores() const { return quota_cores(folder / "mount", folder / "own"); }

  std::filesystem::path folder;
};

TEST_F(Quota, OfVersion2IsTheLeastUpToTheRoot) {
  write("own", "0::/a/b\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("mount/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("mount/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(cores(), 3);
  write("mount/a/b/cpu.max", "20000 100000\n");
  EXPECT_EQ(cores(), 1);
  // A container's own mount, under the host's path.
  write("own", "0::/docker/0123\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("mount/cpu.max", "200000 100000\n");
  EXPECT_EQ(cores(), 2);
}

TEST_F(Quota, OfVersion1IsThatOfTheCpuController) {
  write("own", "4:memory:/a\n3:cpuset:/a\n2:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/\n");
  write("mount/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
  write("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cores(), std::nullopt);
  write("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(cores(), 2);
}

TEST_F(Quota, IsNoneWithoutGroups) {
  EXPECT_EQ(cores(), std::nullopt);
  write("own", "nonsense\n:\n");
  EXPECT_EQ(cores(), std::nullopt);
}

TEST(SilentProgress, TakesEverything) {
  silent_progress().update("task", 1, 2, "note");
  silent_progress().message("line");
  EXPECT_EQ(&silent_progress(), &silent_progress());
}

}  // namespace
}  // namespace retort
