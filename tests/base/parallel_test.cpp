#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"

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
