#include "base/memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

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

TEST(Memory, OfThisProcessIsSeen) {
  const int64_t before = resident_memory();
  EXPECT_GT(before, 1 << 20);
  const std::vector<char> large(64 << 20, 1);
  EXPECT_GE(resident_memory() - before, 60 << 20);
  EXPECT_GT(available_memory().value_or(0), 0);
}

}  // namespace
}  // namespace retort
