#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace retort {
namespace {

// kat_vectors of Random123 for philox4x32-10.
TEST(Philox, MatchesPublishedVectors) {
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, DrawsTheBlocksInOrder) {
  Rng rng(0);
  for (uint32_t block = 0; block < 5; ++block)
    for (const uint32_t expected : philox4x32({block, 0, 0, 0}, {0, 0})) EXPECT_EQ(rng.next_u32(), expected);
}

TEST(Rng, ResumesFromItsStateAnywhere) {
  Rng rng = Rng(7).fork("resume");
  for (int i = 0; i < 50; ++i) {
    Rng resumed(rng.state());
    EXPECT_EQ(resumed.next_u32(), rng.next_u32());
    rng.normal();
    Rng again(rng.state());
    EXPECT_EQ(again.next_u32(), Rng(rng.state()).next_u32());
  }
}

TEST(Rng, ForkDependsOnNameIndexParentAndNotOnDraws) {
  Rng parent(42);
  const Rng::State before = parent.fork("split").state();
  parent.next_u32();
  EXPECT_EQ(parent.fork("split").state(), before);

  std::set<std::pair<uint64_t, uint64_t>> states;
  int made = 0;
  const auto add = [&](const Rng& rng) {
    states.insert({rng.state().key, rng.state().stream});
    ++made;
  };
  for (const uint64_t seed : {0, 1, 42}) {
    for (const char* name : {"", "a", "b", "split"})
      for (uint64_t index = 0; index < 50; ++index) {
        add(Rng(seed).fork(name, index));
        add(Rng(seed).fork(name, index).fork(name, index));
      }
  }
  EXPECT_EQ(states.size(), static_cast<size_t>(made));
}

TEST(Rng, BelowIsInRangeAndEven) {
  Rng rng(3);
  for (const uint32_t bound : {1U, 2U, 3U, 10U, 0x80000001U, std::numeric_limits<uint32_t>::max()})
    for (int i = 0; i < 200; ++i) EXPECT_LT(rng.below(bound), bound);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60000; ++i) ++counts[rng.below(6)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // 5 standard deviations
}

TEST(Rng, UniformAndNormalHaveTheirMoments) {
  Rng rng(5);
  double sum = 0;
  double normal_sum = 0;
  double normal_squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const float value = rng.uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
    const float normal = rng.normal();
    ASSERT_TRUE(std::isfinite(normal));
    normal_sum += normal;
    normal_squares += normal * normal;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_NEAR(normal_sum / kDraws, 0, 0.016);
  EXPECT_NEAR(normal_squares / kDraws, 1, 0.025);
}

TEST(Rng, PermutationHoldsEachNumberOnce) {
  Rng rng(9);
  for (const uint32_t n : {0U, 1U, 2U, 1000U}) {
    std::vector<uint32_t> values = rng.permutation(n);
    if (n == 1000) {
      EXPECT_FALSE(std::is_sorted(values.begin(), values.end()));
    }
    std::sort(values.begin(), values.end());
    ASSERT_EQ(values.size(), n);
    for (uint32_t i = 0; i < n; ++i) EXPECT_EQ(values[i], i);
  }
}

}  // namespace
}  // namespace retort
