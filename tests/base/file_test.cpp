#include "base/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "retort-file-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] size_t file_count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_;
};

template <typename Function>
Error caught(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::Failure, "no error"};
}

TEST_F(FileTest, ReadsWhatItWrote) {
  const fs::path path = folder_ / "new" / "földer" / "name with spaces";
  for (const std::string& text : {std::string("first"), std::string(), std::string(1000000, 'x')}) {
    write_text_atomic(path, text);
    EXPECT_EQ(read_text(path), text);
    const std::vector<uint8_t> bytes = read_file(path);
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), text);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator()), 1);
}

TEST_F(FileTest, ALinkIsReplacedAndFollowedWhereOneSaysSo) {
  write_text_atomic(folder_ / "real", "old");
  fs::create_symlink("real", folder_ / "link");
  write_text_atomic(through_link(folder_ / "link"), "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_text(folder_ / "real"), "new");
  EXPECT_EQ(through_link(folder_ / "real"), folder_ / "real");
  EXPECT_NE(std::string(caught([&] { refuse_link(folder_ / "link"); }).what()).find("is a link"),
            std::string::npos);
  refuse_link(folder_ / "real");
  EXPECT_EQ(without_links(folder_, "a/b"), folder_ / "a" / "b");
  EXPECT_EQ(caught([&] { without_links(folder_, "link/b"); }).code(), ErrorCode::Usage);
  write_text_atomic(folder_ / "link", "newer");
  EXPECT_FALSE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_text(folder_ / "real"), "new");
}

TEST_F(FileTest, ReadErrorsNameThePath) {
  const std::string name = (folder_ / "missing").string();
  const Error missing = caught([&] { read_file(name); });
  EXPECT_EQ(missing.code(), ErrorCode::Usage);
  EXPECT_EQ(std::string(missing.what()), name + ": cannot be read: No such file or directory");
  EXPECT_EQ(std::string(caught([&] { read_text(folder_); }).what()),
            folder_.string() + ": is a folder where a file is expected");
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(std::string(caught([&] { read_file(pipe); }).what()), pipe.string() + ": is not a regular file");
}

TEST_F(FileTest, FilesThatAreTooLargeAreRefusedUnread) {
  const fs::path file = folder_ / "large";
  write_text_atomic(file, "0123456789");
  EXPECT_EQ(read_text(file, 10), "0123456789");
  EXPECT_EQ(std::string(caught([&] { read_text(file, 9); }).what()),
            file.string() + ": has 10 bytes; at most 9 are read");
  fs::resize_file(file, uintmax_t{1} << 42U);  // without any disk behind it
  const Error error = caught([&] { read_file(file); });
  EXPECT_EQ(
      std::string(error.what()).find(file.string() + ": its bytes would take 4398.0 GB, more than the "), 0U)
      << error.what();
}

TEST_F(FileTest, IsReadPieceByPiece) {
  write_text_atomic(folder_ / "file", "0123456789");
  InputFile file(folder_ / "file");
  EXPECT_EQ(file.bytes(), 10U);
  std::vector<uint8_t> piece(4);
  std::string all;
  for (size_t got = 0; (got = file.read(piece)) > 0;)
    all.append(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
  EXPECT_EQ(all, "0123456789");
  EXPECT_EQ(std::string(caught([&] { const InputFile none(folder_); }).what()),
            folder_.string() + ": is a folder where a file is expected");
}

TEST_F(FileTest, AFailedWriteLeavesNothingBehind) {
  fs::create_directory(folder_ / "target");
  const Error error = caught([&] { write_text_atomic(folder_ / "target", "text"); });
  EXPECT_EQ(error.code(), ErrorCode::Failure);
  EXPECT_EQ(std::string(error.what()), (folder_ / "target").string() + ": cannot be written: Is a directory");
  EXPECT_EQ(file_count(), 1U);

  write_text_atomic(folder_ / "file", "text");
  const Error below_file = caught([&] { write_text_atomic(folder_ / "file" / "below", "text"); });
  EXPECT_EQ(below_file.code(), ErrorCode::Failure);
  EXPECT_NE(std::string(below_file.what()).find((folder_ / "file" / "below").string()), std::string::npos);
}

TEST_F(FileTest, ManyWritersLeaveOneWholeFile) {
  parallel_for(64, 1, 4, [&](size_t i) {
    write_text_atomic(folder_ / "shared", std::string(10000, static_cast<char>('a' + i % 26)));
  });
  const std::string text = read_text(folder_ / "shared");
  EXPECT_EQ(text, std::string(10000, text.at(0)));
  EXPECT_EQ(file_count(), 1U);
}

// Every process of a container has the number 1: names that follow from it are another's, too.
TEST_F(FileTest, NoNameOfATemporaryFileCanBeGuessed) {
  write_text_atomic(folder_ / "victim", "untouched");
  for (int serial = 0; serial < 2000; ++serial)
    fs::create_symlink("victim", folder_ / fmt::format(".retort-{}-{}.tmp", ::getpid(), serial));
  write_text_atomic(folder_ / "file", "text");
  EXPECT_EQ(read_text(folder_ / "victim"), "untouched");
  EXPECT_EQ(read_text(folder_ / "file"), "text");
  EXPECT_FALSE(fs::is_symlink(folder_ / "file"));
  remove_temporaries(folder_);
  EXPECT_EQ(file_count(), 2U);
}

TEST_F(FileTest, AFileHasTheModesThatTheUserWants) {
  const mode_t before = ::umask(027);
  write_text_atomic(folder_ / "file", "text");
  ::umask(before);
  EXPECT_EQ(fs::status(folder_ / "file").permissions(), fs::perms(0640));
}

TEST_F(FileTest, LockExcludesASecondHolder) {
  const fs::path path = folder_ / "study" / "lock";
  std::optional<FileLock> lock(std::in_place, path);
  const Error error = caught([&] { const FileLock second(path); });
  EXPECT_EQ(error.code(), ErrorCode::Failure);
  EXPECT_EQ(std::string(error.what()), path.string() + ": is in use by another process");
  lock.reset();
  const FileLock third(path);
}

TEST(Sha256, MatchesPublishedDigests) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 pieces;
  pieces.update("a");
  pieces.update(std::vector<uint8_t>{'b', 'c'});
  EXPECT_EQ(pieces.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(CacheDirectory, FollowsTheEnvironment) {
  const auto saved = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  };
  const auto restore = [](const char* name, const std::optional<std::string>& value) {
    if (value)
      ::setenv(name, value->c_str(), 1);
    else
      ::unsetenv(name);
  };
  const auto own = saved("RETORT_CACHE");
  const auto xdg = saved("XDG_CACHE_HOME");
  const auto home = saved("HOME");
  ::setenv("RETORT_CACHE", "/own", 1);
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  ::setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(cache_directory(), "/own");
  ::unsetenv("RETORT_CACHE");
  EXPECT_EQ(cache_directory(), "/xdg/retort");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(cache_directory(), "/home/someone/.cache/retort");
  ::unsetenv("HOME");
  EXPECT_TRUE(cache_directory().is_absolute());
  restore("RETORT_CACHE", own);
  restore("XDG_CACHE_HOME", xdg);
  restore("HOME", home);
}

}  // namespace
}  // namespace retort
