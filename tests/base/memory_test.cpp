#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/sizes.h"
#include "temporary_folder.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

class Groups : public testing::Test {
 protected:
  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories((folder.path() / file).parent_path());
    std::ofstream(folder.path() / file) << text;
  }
  [[nodiscard]] std::optional<int64_t> left() const {
    return memory_left_in_groups(folder.path() / "mount", folder.path() / "own");
  }
  TemporaryFolder folder;
};

TEST_F(Groups, OfVersion2TheTightestCounts) {
  put("own", "0::/outer/inner\n");
  EXPECT_EQ(left(), std::nullopt);
  put("mount/outer/memory.max", "max\n");
  put("mount/outer/memory.current", "700\n");
  EXPECT_EQ(left(), std::nullopt);
  put("mount/outer/inner/memory.max", "5000\n");
  put("mount/outer/inner/memory.current", "2000\n");
  EXPECT_EQ(left(), 3000);
  put("mount/outer/inner/memory.stat", "anon 500\ninactive_file 1500\nactive_file 10\n");
  EXPECT_EQ(left(), 4500) << "files' pages can be dropped";
  put("mount/outer/memory.max", "1000\n");
  EXPECT_EQ(left(), 300) << "the group around it";
  put("mount/outer/memory.max", "600\n");
  EXPECT_EQ(left(), 0);
}

TEST_F(Groups, OfVersion1TheMemoryControllersCounts) {
  put("own", "5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n");
  put("mount/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  put("mount/memory/a/memory.usage_in_bytes", "1000\n");
  EXPECT_EQ(left(), std::nullopt);
  put("mount/memory/a/memory.limit_in_bytes", "6000\n");
  put("mount/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n");
  EXPECT_EQ(left(), 5400);
}

uint64_t pages_of_address_space() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(Memory, OfThisProcessIsSeen) {
  const int64_t before = resident_memory();
  EXPECT_GT(before, 1 << 20);
  const std::vector<char> large(64 << 20, 1);
  EXPECT_GE(resident_memory() - before, 60 << 20);
  EXPECT_GT(available_memory().value_or(0), 0);
}

TEST(Memory, ThatIsLeftIsNoMoreThanItsLimitsLeave) {
  const uint64_t without = memory_left();
  EXPECT_GT(without, uint64_t{1} << 20U);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  const auto sentence = [](uint64_t bytes) -> std::string {
    try {
      require_memory(bytes, "it");
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  constexpr uint64_t kLeft = uint64_t{100} << 20U;
  const uint64_t taken = pages_of_address_space() * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const rlimit tight{.rlim_cur = taken + kLeft, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  const uint64_t within = memory_left();
  const std::string small = sentence(kLeft / 2);
  const std::string large = sentence(kLeft * 2);
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LE(within, kLeft);
  EXPECT_GE(within, kLeft / 2);
  EXPECT_EQ(small, "no error");
  EXPECT_EQ(large, "it would take 0.2 GB, more than the 0.1 GB of memory that are left");
}

}  // namespace
}  // namespace retort
