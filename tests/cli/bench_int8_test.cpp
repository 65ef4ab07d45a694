#include <gtest/gtest.h>

#include "cli/bench.h"

namespace retort::cli {
namespace {

TEST(BenchInt8, ImagesOfAnySizeTakeFourMegabytesOrAreOne) {
  constexpr size_t kMost = 4 << 20;
  size_t before = measured_images(1);
  EXPECT_EQ(before, 4096U);
  for (size_t bytes = 1; bytes < 16 * kMost; bytes += bytes / 3 + 1) {
    const size_t count = measured_images(bytes);
    EXPECT_GE(count, 1U) << bytes;
    EXPECT_LE(count, before) << bytes;
    EXPECT_TRUE(count == 1 || count * bytes <= kMost) << bytes;
    EXPECT_TRUE(count == 4096 || (count + 1) * bytes > kMost) << "there is room for more of " << bytes;
    before = count;
  }
  EXPECT_EQ(before, 1U);
}

}  // namespace
}  // namespace retort::cli
