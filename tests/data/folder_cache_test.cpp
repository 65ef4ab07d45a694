// The images of a folder, decoded once: kept as long as the folder stays as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/file.h"
#include "data/folder_fixture.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

TEST_F(Folder, TheCacheGivesTheSameAndNoticesEveryChange) {
  write_pets("train/");
  write_pets("test/", 1);
  Recorder first;
  const auto decoded = load_dataset(spec(), {}, first);
  EXPECT_GT(first.updates, 0);
  Recorder second;
  const auto cached = load_dataset(spec(), {}, second);
  EXPECT_EQ(second.updates, 0) << "decoded again";
  EXPECT_EQ(cached->classes, decoded->classes);
  EXPECT_EQ(cached->train.pixels, decoded->train.pixels);
  EXPECT_EQ(cached->train.labels, decoded->train.labels);
  EXPECT_EQ(cached->test.pixels, decoded->test.pixels);
  EXPECT_EQ(cached->train.shape, decoded->train.shape);
  EXPECT_EQ(cached->content_hash, decoded->content_hash);
  EXPECT_EQ(cached->content_hash, content_hash(*cached));
  EXPECT_EQ(cached->spec, spec());

  LoadOptions options;
  options.use_cache = false;
  Recorder uncached;
  load_dataset(spec(), options, uncached);
  EXPECT_GT(uncached.updates, 0);

  const auto decodes_again = [&] {
    Recorder recorder;
    load_dataset(spec(), {}, recorder);
    return recorder.updates > 0;
  };
  write("train/cat/7.png", png());
  EXPECT_TRUE(decodes_again()) << "a new image";
  EXPECT_FALSE(decodes_again());
  fs::rename(folder_ / "train/cat/7.png", folder_ / "train/cat/8.png");
  EXPECT_TRUE(decodes_again()) << "a new name";
  fs::last_write_time(folder_ / "train/cat/8.png", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(decodes_again()) << "a new time";
  fs::remove(folder_ / "train/cat/8.png");
  EXPECT_TRUE(decodes_again()) << "one less";
  fs::remove(folder_ / "test/dog/0.png");
  write("test/dog/0.png", png());
  EXPECT_TRUE(decodes_again()) << "other bytes";
  // What cp -p and rsync -t leave: another file of the same size and time.
  const fs::path replaced = folder_ / "test/dog/0.png";
  std::vector<uint8_t> bytes = read_file(replaced);
  const auto time = fs::last_write_time(replaced);
  write("elsewhere", bytes);
  fs::last_write_time(folder_ / "elsewhere", time);
  fs::rename(folder_ / "elsewhere", replaced);
  EXPECT_TRUE(decodes_again()) << "another file of the same size and time";
  write("test/dog/0.png", bytes);
  fs::last_write_time(replaced, time);
  EXPECT_TRUE(decodes_again()) << "written anew, the time set back";
  EXPECT_EQ(std::distance(fs::directory_iterator(cache_directory()), fs::directory_iterator()), 1)
      << "a changed folder replaces its cache";
}

TEST_F(Folder, ADamagedCacheIsRebuilt) {
  write_pets();
  const auto decoded = load(spec());
  const fs::path cache = cache_file();
  const std::vector<uint8_t> whole = read_file(cache);
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<uint8_t> damaged = whole;
    const uint32_t at = rng_.below(static_cast<uint32_t>(damaged.size()));
    if (trial % 3 == 0)
      damaged.resize(at);
    else if (trial % 3 == 1)
      damaged[at] ^= static_cast<uint8_t>(1 + rng_.below(255));
    else
      damaged.push_back(0);
    write_bytes(cache, damaged);
    const auto dataset = load(spec());
    ASSERT_EQ(dataset->train.pixels, decoded->train.pixels);
    ASSERT_EQ(dataset->train.labels, decoded->train.labels);
    ASSERT_EQ(dataset->classes, decoded->classes);
    ASSERT_EQ(dataset->content_hash, decoded->content_hash);
  }
}

// A recursive parser would overflow the stack.
TEST_F(Folder, ACacheWhoseHeaderIsNestedTooDeeplyIsRebuilt) {
  write_pets();
  const auto decoded = load(spec());
  const fs::path cache = cache_file();
  std::vector<uint8_t> bytes = read_file(cache);
  constexpr uint64_t kDepth = 3'000'000;
  std::memcpy(bytes.data() + 8, &kDepth, sizeof kDepth);  // after the magic: the header's length
  bytes.resize(24);
  bytes.resize(24 + kDepth, '[');
  write_bytes(cache, bytes);
  EXPECT_EQ(load(spec())->content_hash, decoded->content_hash);
  std::fill(bytes.begin() + 24 + kDepth / 2, bytes.end(), ']');
  write_bytes(cache, bytes);
  EXPECT_EQ(load(spec())->content_hash, decoded->content_hash);
}

TEST_F(Folder, WritingTheCacheRemovesWhatKilledProcessesLeft) {
  write_pets();
  const fs::path stale = cache_directory() / ".retort-12345-0.tmp";
  const fs::path fresh = cache_directory() / ".retort-12346-0.tmp";
  const fs::path other = cache_directory() / "notes.tmp";
  for (const fs::path& path : {stale, fresh, other}) write_bytes(path, {{1, 2, 3}});
  for (const fs::path& path : {stale, other})
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
  load(spec());
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(fresh)) << "another process may be writing it";
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Folder, ACacheThatCannotBeWrittenIsOnlyMentioned) {
  write_pets();
  write("file", {1});
  ::setenv("RETORT_CACHE", folder_.at("file/below").c_str(), 1);
  Recorder recorder;
  EXPECT_EQ(load_dataset(spec(), {}, recorder)->train.count(), 6U);
  ASSERT_EQ(recorder.messages.size(), 1U);
  EXPECT_TRUE(recorder.messages[0].starts_with("the decoded images are not cached: "))
      << recorder.messages[0];
}

}  // namespace
}  // namespace retort::data
