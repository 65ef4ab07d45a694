#include "search/learning_curve.h"

#include <gtest/gtest.h>

#include <cmath>

namespace retort::search {
namespace {

TEST(LearningCurve, APowerLawGoesOnAsOne) {
  const auto on_law = [](double scale, double power, double epochs) {
    return scale * std::pow(epochs, -power);
  };
  const LearningCurve one{2, on_law(0.2, 0.3, 2), 4, on_law(0.2, 0.3, 4), 40};
  EXPECT_NEAR(expected_errors({one}).front(), on_law(0.2, 0.3, 40), 1e-12);
  EXPECT_NEAR(expected_errors({one, one}).back(), on_law(0.2, 0.3, 40), 1e-12);
}

TEST(LearningCurve, WhatStillLearnsOvertakesWhatHasLearned) {
  // 90 and 90.6 % against 88.5 and 90 %, both to be trained six times as long.
  const auto errors = expected_errors({{5, 0.100, 10, 0.094, 60}, {3, 0.115, 6, 0.100, 36}});
  EXPECT_LT(errors[1], errors[0]);
  EXPECT_GT(errors[1], 0.07) << "two points are not believed entirely";
}

TEST(LearningCurve, NeverExpectsLessThanWasSeen) {
  const auto errors = expected_errors({{2, 0.1, 4, 0.12, 40},   // fell back
                                       {2, 0.1, 2, 0.09, 40},   // no longer
                                       {2, 0.3, 4, 0.001, 40},  // too steep to go on
                                       {2, 0.2, 4, 0.1, 3}});   // shorter than what is known
  EXPECT_LE(errors[0], 0.12);
  EXPECT_LE(errors[1], 0.09);
  EXPECT_GT(errors[2], 0.0002);
  EXPECT_DOUBLE_EQ(errors[3], 0.1);
  EXPECT_TRUE(expected_errors({}).empty());
}

}  // namespace
}  // namespace retort::search
