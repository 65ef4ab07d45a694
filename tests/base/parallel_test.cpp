#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

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

TEST(SilentProgress, TakesEverything) {
  silent_progress().update("task", 1, 2, "note");
  silent_progress().message("line");
  EXPECT_EQ(&silent_progress(), &silent_progress());
}

}  // namespace
}  // namespace retort
