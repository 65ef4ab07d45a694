#include "data/curriculum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/fixtures.h"

namespace retort::data {
namespace {

TEST(Curriculum, EntropyIsThatOfTheSoftmax) {
  const std::vector<float> logits = {0, 0, 0, 0, 1000, 0, 0, 0, 1, 2, 3, 4};
  const std::vector<float> entropies = prediction_entropies(logits, 4);
  ASSERT_EQ(entropies.size(), 3U);
  EXPECT_NEAR(entropies[0], std::log(4.0), 1e-6);
  EXPECT_NEAR(entropies[1], 0, 1e-6);
  double expected = 0;
  for (int i = 1; i <= 4; ++i) {
    const double p = std::exp(i) / (std::exp(1) + std::exp(2) + std::exp(3) + std::exp(4));
    expected -= p * std::log(p + 1e-10);
  }
  EXPECT_NEAR(entropies[2], expected, 1e-6);
}

TEST(Curriculum, RefusesLogitsThatAreNoNumbers) {
  EXPECT_EQ(usage_error([] { prediction_entropies(std::vector<float>{1, 2, 3}, 2); }),
            "3 logits do not make rows of 2 classes");
  EXPECT_EQ(usage_error([] { prediction_entropies(std::vector<float>{1, 2, 3, std::nanf("")}, 2); }),
            "the logits of image 1 hold a value that is no finite number");
}

TEST(Curriculum, EasyFirstSortsByEntropyThenIndex) {
  const std::vector<float> entropies = {0.5F, 0.1F, 0.5F, 0.0F, 0.1F};
  EXPECT_EQ(easy_first(std::vector<uint32_t>{4, 2, 0, 1}, entropies), (std::vector<uint32_t>{1, 4, 0, 2}));
  Rng rng(7);
  std::vector<float> many(500);
  for (float& value : many) value = static_cast<float>(rng.below(20));
  const std::vector<uint32_t> order = easy_first(rng.permutation(500), many);
  for (size_t i = 1; i < order.size(); ++i)
    EXPECT_TRUE(std::pair(many[order[i - 1]], order[i - 1]) < std::pair(many[order[i]], order[i]));
}

TEST(Curriculum, TheControlIsASeededPermutation) {
  std::vector<uint32_t> indices = {3, 5, 8, 13, 21, 34, 55};
  const std::vector<uint32_t> order = random_order(indices, Rng(1));
  EXPECT_EQ(order, random_order(indices, Rng(1)));
  EXPECT_NE(order, random_order(indices, Rng(2)));
  EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), indices.begin(), indices.end()));
}

TEST(Curriculum, PacingGrowsFromAFifthToAllOverTheFirstHalf) {
  EXPECT_EQ(usable_images(40000, 0), 8000U);
  EXPECT_EQ(usable_images(40000, 0.25), 24000U);
  EXPECT_EQ(usable_images(40000, 0.5), 40000U);
  EXPECT_EQ(usable_images(40000, 1), 40000U);
  EXPECT_EQ(usable_images(0, 0.3), 0U);
  EXPECT_EQ(usable_images(1, 0), 1U);
  EXPECT_EQ(usable_images(100, 0, {1, 0}), 100U);
  size_t previous = 0;
  for (int step = 0; step <= 1000; ++step) {
    const size_t usable = usable_images(997, step / 1000.0);
    EXPECT_GE(usable, previous);
    previous = usable;
  }
  EXPECT_EQ(previous, 997U);
}

}  // namespace
}  // namespace retort::data
