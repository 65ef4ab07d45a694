#include "base/work_clock.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"

namespace retort {
namespace {

class WorkClockTest : public testing::Test {
 protected:
  ~WorkClockTest() override { set_work_time(WorkTime::Wall, 1); }
};

// Until the thread has computed for so long, whatever else the machine does.
void compute(std::chrono::nanoseconds time) {
  const auto cpu = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  const auto start = cpu();
  while (cpu() - start < time) continue;
}

constexpr std::chrono::milliseconds kSpan(60);
constexpr double kSeconds = 0.06;

TEST_F(WorkClockTest, OfTheWallCountsSleep) {
  const auto process = ProcessClock::now();
  const auto thread = ThreadClock::now();
  std::this_thread::sleep_for(kSpan);
  EXPECT_GE(seconds_since(process), kSeconds);
  EXPECT_GE(seconds_since(thread), kSeconds);
}

TEST_F(WorkClockTest, OfTheProcessorCountsWhatIsComputed) {
  set_work_time(WorkTime::Cpu, 1);
  const auto process = ProcessClock::now();
  const auto thread = ThreadClock::now();
  std::this_thread::sleep_for(kSpan);
  EXPECT_LT(seconds_since(process), kSeconds / 2);
  EXPECT_LT(seconds_since(thread), kSeconds / 2);
  compute(kSpan);
  EXPECT_GE(seconds_since(process), kSeconds);
  EXPECT_GE(seconds_since(thread), kSeconds);
}

TEST_F(WorkClockTest, OfTheProcessIsSharedByItsCoresAndOfAThreadIsItsOwn) {
  set_work_time(WorkTime::Cpu, 3);
  const auto process = ProcessClock::now();
  const auto thread = ThreadClock::now();
  {
    std::jthread one([] { compute(kSpan); });
    std::jthread other([] { compute(kSpan); });
  }
  const double passed = seconds_since(process);
  EXPECT_GE(passed, 2 * kSeconds / 3);
  EXPECT_LT(passed, 2 * kSeconds);
  EXPECT_LT(seconds_since(thread), kSeconds / 2);
}

TEST_F(WorkClockTest, AreNamed) {
  for (const WorkTime time : {WorkTime::Wall, WorkTime::Cpu})
    EXPECT_EQ(parse_work_time(to_string(time)), time);
  EXPECT_THROW(static_cast<void>(parse_work_time("moon")), Error);
}

}  // namespace
}  // namespace retort
