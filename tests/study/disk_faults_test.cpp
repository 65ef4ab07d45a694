// A disk fills or may not be written: what was stored stays, and what went wrong is said.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <string>

#include "base/error.h"
#include "study/storage.h"
#include "study/workers.h"
#include "temporary_folder.h"

namespace retort::study {
namespace {

// A small file system of its own; needs to be root.
class SmallDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=512k") != 0)
      GTEST_SKIP() << "no file system may be mounted here";
    mounted_ = true;
    place_ = sqlite_place(folder_.path() / "study.db");
  }
  void TearDown() override {
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  TemporaryFolder folder_;
  Place place_;
  bool mounted_ = false;
};

TEST_F(SmallDisk, AFullDiskLosesNothingThatWasStored) {
  const auto storage = open_storage(place_, kObjectives);
  fill(*storage, 3);
  const auto before = storage->trials();
  const auto held = storage->claim("w", 60);
  std::string sentence;
  int stored = 0;
  try {
    for (; stored < 1000; ++stored)
      storage->put_document(fmt::format("{}", stored), std::string(20'000, 'x'));
  } catch (const Error& error) {
    sentence = error.what();
  }
  EXPECT_NE(sentence.find("study.db: the disk is full; what was finished before is stored"),
            std::string::npos)
      << sentence;
  EXPECT_THROW(storage->finish(held.value().claim, {TrialState::Skipped, std::string(100'000, 'y')}), Error);
  EXPECT_EQ(storage->trials().at(0).state, TrialState::Running);
  // There is room again: it goes on.
  ASSERT_EQ(mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
  storage->finish(held.value().claim, {TrialState::Skipped, "y"});
  const auto again = open_storage(place_, Access::Read);
  EXPECT_EQ(again->trials().at(0).result, "y");
  EXPECT_EQ(again->trials().at(1), before.at(1));
  EXPECT_EQ(again->document(fmt::format("{}", stored - 1)).value_or("").size(), 20'000U);
  EXPECT_EQ(again->document(fmt::format("{}", stored)), std::nullopt);
}

TEST_F(SmallDisk, AFolderThatIsReadOnlyCanBeReadAndSaysSoWhenWritten) {
  fill(*open_storage(place_, kObjectives), 3);
  ASSERT_EQ(mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
  EXPECT_EQ(open_storage(place_, Access::Read)->trials().size(), 3U);
  try {
    open_storage(place_, kObjectives);
    FAIL() << "it was opened to be written";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("study.db: the study's database cannot be opened or written"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace retort::study
