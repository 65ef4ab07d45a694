#include "base/temporary.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "temporary_folder.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

TEST(Temporary, NamesAreLongAndNeverTheSame) {
  std::set<std::string> names;
  const std::regex form("\\.retort-[0-9a-f]{32}\\.tmp");
  for (int i = 0; i < 1000; ++i) {
    const fs::path path = make_temporary("folder", [](const fs::path&) { return true; });
    EXPECT_EQ(path.parent_path(), "folder");
    EXPECT_TRUE(std::regex_match(path.filename().string(), form)) << path;
    names.insert(path.filename().string());
  }
  EXPECT_EQ(names.size(), 1000U);
}

TEST(Temporary, TriesOtherNamesWhileTheyAreTaken) {
  int tries = 0;
  make_temporary(".", [&tries](const fs::path&) { return ++tries == 3; });
  EXPECT_EQ(tries, 3);
  EXPECT_THROW(make_temporary(".", [](const fs::path&) { return false; }), Error);
}

// Nothing is left, and the file has the mode of any that the user makes.
TEST(Temporary, FilesHaveTheUsersModeAndLeaveNothing) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  write_text_atomic(folder.path() / "file", "text");
  ::umask(before);
  struct stat status{};
  ASSERT_EQ(::stat((folder.path() / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++entries;
  EXPECT_EQ(entries, 1);
}

TEST(Staging, IsTheUsersAloneAndGoesWithWhatIsLeftInIt) {
  const TemporaryFolder folder;
  fs::path path;
  {
    const StagingFolder staging(folder.path());
    path = staging.path();
    EXPECT_TRUE(is_temporary(path));
    EXPECT_EQ(path.parent_path(), folder.path());
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
    write_text_atomic(path / "one", "text");
    write_text_atomic(path / "two/three", "text");
    staging.move_out("one", folder.path() / "moved");
    EXPECT_THROW(staging.move_out("one", folder.path() / "again"), Error);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(read_text(folder.path() / "moved"), "text");
}

TEST(Staging, RemovesWhatIsOldAndLeavesWhatIsBeingMade) {
  const TemporaryFolder folder;
  const fs::path stale = folder.path() / ".retort-0.tmp";
  const fs::path fresh = folder.path() / ".retort-1.tmp";
  for (const fs::path& left : {stale, fresh}) write_text_atomic(left / "half", "of it");
  fs::last_write_time(stale, fs::file_time_type::clock::now() - 2 * kStaleAge);
  const StagingFolder staging(folder.path());
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_THROW(StagingFolder(folder.path() / "none"), Error);
}

class Homeless : public testing::Test {
 protected:
  Homeless() {
    for (const char* name : {"RETORT_CACHE", "XDG_CACHE_HOME", "HOME", "TMPDIR"}) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
      unsetenv(name);
    }
    setenv("TMPDIR", folder.path().c_str(), 1);
    cache = folder.path() / fmt::format("retort-{}", ::getuid());
  }
  ~Homeless() override {
    for (const auto& [name, value] : before_)
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
  }
  static std::string refusal() {
    try {
      static_cast<void>(cache_directory());
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  TemporaryFolder folder;
  fs::path cache;

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

TEST_F(Homeless, ACacheWhereAllMayWriteIsTheUsersAlone) {
  EXPECT_EQ(cache_directory(), cache);
  EXPECT_EQ(cache_directory(), cache) << "it is there now";
  EXPECT_EQ(fs::status(cache).permissions(), fs::perms::owner_all);
}

TEST_F(Homeless, ACacheThatOthersPutThereIsRefused) {
  fs::create_directory(folder.path() / "theirs");
  fs::create_directory_symlink(folder.path() / "theirs", cache);
  EXPECT_NE(refusal().find("is not a folder of this user's"), std::string::npos);
  fs::remove(cache);
  fs::create_directory(cache);
  fs::permissions(cache, fs::perms::all);
  EXPECT_NE(refusal().find("that nobody else may write to"), std::string::npos);
  fs::remove(cache);
  write_text_atomic(cache, "a file");
  EXPECT_NE(refusal(), "");
}

}  // namespace
}  // namespace retort
