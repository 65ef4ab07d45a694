// What is kept of decoded images, damaged with a right checksum: decoded anew.
#include "data/cache.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "temporary_folder.h"

namespace retort::data {
namespace {

class Cache : public testing::Test {
 protected:
  Cache() {
    dataset_.classes = {"cat", "dog"};
    dataset_.train = {.shape = {2, 2, 1}, .pixels = std::vector<uint8_t>(8, 5), .labels = {0, 1}};
    dataset_.content_hash = "0";
    write_cache(file(), "key", dataset_);
  }
  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "set.images"; }
  // The header with `from` replaced, its length and the checksum made right.
  void replace(std::string_view from, std::string_view to) const {
    constexpr size_t kStart = 24;  // magic, length of the header, checksum
    std::vector<uint8_t> bytes = read_file(file());
    std::string rest(bytes.begin() + kStart, bytes.end());
    const size_t at = rest.find(from);
    ASSERT_NE(at, std::string::npos) << rest;
    rest.replace(at, from.size(), to);
    bytes.resize(kStart);
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + 8, sizeof length);
    length += to.size() - from.size();
    std::memcpy(bytes.data() + 8, &length, sizeof length);
    const uint64_t checksum = crc32_z(0, bytes.data() + kStart, bytes.size() - kStart);
    std::memcpy(bytes.data() + 16, &checksum, sizeof checksum);
    write_file_atomic(file(), bytes);
  }

  TemporaryFolder folder_;
  Dataset dataset_;
};

// This one has no test images, which once gave a checksum of nothing.
TEST_F(Cache, GivesBackWhatWasWritten) {
  EXPECT_TRUE(read_cache(file(), "key", 1));
  replace("[99,97,116]", "[99,97,115]");
  const auto read = read_cache(file(), "key", 1);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->classes, (std::vector<std::string>{"cas", "dog"}));
  EXPECT_EQ(read->train.pixels, dataset_.train.pixels);
}

TEST_F(Cache, NumbersThatAreNoneOfItsOwnAreDamage) {
  for (const auto& [from, to] :
       {std::pair("99,", "5.5e23,"), std::pair("99,", "300,"), std::pair("99,", "-1,"),
        std::pair("\"count\":2", "\"count\":1e300"), std::pair("\"height\":2", "\"height\":99999999999"),
        std::pair("\"skipped\":0", "\"skipped\":\"0\"")}) {
    write_cache(file(), "key", dataset_);
    ASSERT_TRUE(read_cache(file(), "key", 1)) << to;
    replace(from, to);
    EXPECT_FALSE(read_cache(file(), "key", 1)) << to;
  }
}

}  // namespace
}  // namespace retort::data
