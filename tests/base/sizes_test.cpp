#include "base/sizes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/memory.h"

namespace retort {
namespace {

TEST(Sizes, ProductsDoNotOverflow) {
  constexpr uint64_t kMost = UINT64_MAX;
  EXPECT_EQ(saturating_product<int>({}), 1U);
  EXPECT_EQ(saturating_product({3, 4, 5}), 60U);
  EXPECT_EQ(saturating_product({int64_t{1} << 31, int64_t{1} << 32}), uint64_t{1} << 63U);
  EXPECT_EQ(saturating_product({uint64_t{1} << 32U, (uint64_t{1} << 32U) - 1}), kMost - UINT32_MAX);
  EXPECT_EQ(saturating_product({int64_t{1} << 40, int64_t{1} << 40}), kMost);
  EXPECT_EQ(saturating_product({uint64_t{1} << 32U, uint64_t{1} << 32U}), kMost);
  EXPECT_EQ(saturating_product({-1, 1}), kMost);
  // Nothing is nothing, however much of it.
  EXPECT_EQ(saturating_product({INT64_MAX, INT64_MAX, int64_t{0}}), 0U);
  EXPECT_EQ(saturating_product({-1, 0}), 0U);
}

TEST(Sizes, WhatDoesNotFitIsRefusedInASentence) {
  EXPECT_NO_THROW(require_memory(memory_left() / 2, "half of it"));
  try {
    require_memory(UINT64_MAX, "a file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_EQ(std::string(error.what()).find("a file would take 18446744073.7 GB, more than the "), 0U)
        << error.what();
  }
}

}  // namespace
}  // namespace retort
