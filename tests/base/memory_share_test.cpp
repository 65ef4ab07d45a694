#include "base/memory_share.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "base/error.h"
#include "base/memory.h"

namespace retort {
namespace {

TEST(MemoryShare, WaitsUntilWhatOthersHoldIsLeftToo) {
  const uint64_t most = memory_left() / 4 * 3;  // nothing of it is taken
  MemoryShare held(most, "one");
  std::future<MemoryShare> other =
      std::async(std::launch::async, [most] { return MemoryShare(most, "another"); });
  EXPECT_EQ(other.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_NO_THROW(MemoryShare(1000, "little"));
  MemoryShare moved = std::move(held);
  EXPECT_EQ(other.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  moved = {};
  EXPECT_NO_THROW(other.get());
}

TEST(MemoryShare, ThatFitsBesideOthersDoesNotWait) {
  const uint64_t part = memory_left() / 8;
  const MemoryShare held(part, "one");
  std::async(std::launch::async, [part] { const MemoryShare other(part, "another"); }).get();
}

TEST(MemoryShare, OfMoreThanThereIsIsRefused) {
  const auto refuse = [] { const MemoryShare all(UINT64_MAX, "a picture"); };
  EXPECT_THROW(refuse(), Error);
  EXPECT_THROW(refuse(), Error) << "a refused one holds nothing";
}

}  // namespace
}  // namespace retort
