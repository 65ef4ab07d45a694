#include "base/nearest.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Nearest, FindsTypos) {
  const std::vector<std::string> known = {"search", "teacher", "distill", "--data", "--epochs"};
  EXPECT_EQ(nearest("serach", known), "search");
  EXPECT_EQ(nearest("distil", known), "distill");
  EXPECT_EQ(nearest("--dta", known), "--data");
  EXPECT_EQ(nearest("--epoch", known), "--epochs");
  EXPECT_EQ(nearest("bananas", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
}

}  // namespace
}  // namespace retort
