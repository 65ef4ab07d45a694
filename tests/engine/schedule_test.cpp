#include "engine/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace retort::engine {
namespace {

TEST(Schedule, ConstantStaysAtItsPeak) {
  const Schedule schedule{ScheduleKind::Constant, 0.02F};
  for (const int64_t step : {0, 1, 500, 999}) EXPECT_EQ(schedule.rate(step, 1000), 0.02F);
}

TEST(Schedule, CosineFallsFromPeakToZero) {
  const Schedule schedule{ScheduleKind::Cosine, 0.1F};
  EXPECT_FLOAT_EQ(schedule.rate(0, 1000), 0.1F);
  EXPECT_NEAR(schedule.rate(500, 1000), 0.05F, 1e-7);
  EXPECT_NEAR(schedule.rate(250, 1000), 0.1 * (1 + 0.70710678) / 2, 1e-7);
  EXPECT_LT(schedule.rate(999, 1000), 1e-6F);
  for (int64_t step = 1; step < 1000; ++step)
    EXPECT_LT(schedule.rate(step, 1000), schedule.rate(step - 1, 1000));
}

TEST(Schedule, OneCycleClimbsForThreeTenthsThenFallsToAlmostZero) {
  const Schedule schedule{ScheduleKind::OneCycle, 0.5F};
  EXPECT_FLOAT_EQ(schedule.rate(0, 1000), 0.02F);
  EXPECT_NEAR(schedule.rate(150, 1000), 0.26, 1e-6);
  EXPECT_FLOAT_EQ(schedule.rate(300, 1000), 0.5F);
  EXPECT_GT(schedule.rate(999, 1000), 0);
  EXPECT_LT(schedule.rate(999, 1000), 1e-4F);
  for (int64_t step = 1; step < 1000; ++step) {
    const float change = schedule.rate(step, 1000) - schedule.rate(step - 1, 1000);
    EXPECT_GT(step <= 300 ? change : -change, 0) << "step " << step;
  }
}

TEST(Schedule, NamesGoBothWays) {
  for (const auto kind : {ScheduleKind::Constant, ScheduleKind::Cosine, ScheduleKind::OneCycle})
    EXPECT_EQ(parse_schedule(to_string(kind)), kind);
  try {
    parse_schedule("linear");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_STREQ(error.what(), "there is no schedule 'linear'; known: constant, cosine, one-cycle");
  }
}

}  // namespace
}  // namespace retort::engine
