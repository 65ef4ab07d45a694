// One contract, held by every storage.
#include "study/storage.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "retort_study_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

enum class Kind { Memory, Sqlite };

class StorageContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { reopen(); }
  void reopen() {
    if (GetParam() == Kind::Memory) {
      if (!storage_) storage_ = make_memory_storage();
      return;
    }
    storage_.reset();
    storage_ = open_sqlite_storage(folder_.path() / "study.db");
  }

  TemporaryFolder folder_;
  std::unique_ptr<Storage> storage_;
};

TEST_P(StorageContract, DocumentsAreReplacedAndKept) {
  EXPECT_EQ(storage_->document("settings"), std::nullopt);
  storage_->put_document("settings", R"({"seed":1})");
  storage_->put_document("settings", R"({"seed":2,"name":"Grüße"})");
  storage_->put_document("other", "");
  reopen();
  EXPECT_EQ(storage_->document("settings"), R"({"seed":2,"name":"Grüße"})");
  EXPECT_EQ(storage_->document("other"), "");
}

TEST_P(StorageContract, TrialsAreClaimedInOrderAndOnce) {
  EXPECT_EQ(storage_->claim(), std::nullopt);
  EXPECT_EQ(storage_->add_trials({"a", "b"}), 0);
  EXPECT_EQ(storage_->add_trials({"c"}), 2);
  for (const std::string proposal : {"a", "b", "c"}) {
    const auto trial = storage_->claim();
    ASSERT_TRUE(trial);
    EXPECT_EQ(trial->proposal, proposal);
    EXPECT_EQ(trial->state, TrialState::Running);
  }
  EXPECT_EQ(storage_->claim(), std::nullopt);
}

TEST_P(StorageContract, StagesAndResultsSurviveReopening) {
  storage_->add_trials({"a", "b"});
  storage_->claim();
  storage_->put_stage(0, {"quick", "1"});
  storage_->put_stage(0, {"distill", "2"});
  storage_->put_stage(0, {"quick", "3"});
  storage_->finish(0, TrialState::Complete, "done");
  reopen();
  const std::vector<TrialRecord> expected = {
      {0, TrialState::Complete, "a", "done", {{"quick", "3"}, {"distill", "2"}}},
      {1, TrialState::Waiting, "b", "", {}}};
  EXPECT_EQ(storage_->trials(), expected);
}

TEST_P(StorageContract, OnlyARunningTrialCanBeEnded) {
  storage_->add_trials({"a"});
  EXPECT_THROW(storage_->finish(0, TrialState::Complete, ""), Error);
  EXPECT_THROW(storage_->put_stage(0, {"quick", ""}), Error);
  EXPECT_THROW(storage_->finish(7, TrialState::Complete, ""), Error);
  storage_->claim();
  storage_->finish(0, TrialState::Failed, "x");
  EXPECT_THROW(storage_->finish(0, TrialState::Complete, "y"), Error);
  EXPECT_EQ(storage_->trials().at(0).result, "x");
}

TEST_P(StorageContract, ReleasedTrialsComeFirstAgainWithTheirStages) {
  storage_->add_trials({"a", "b", "c"});
  storage_->claim();
  storage_->claim();
  storage_->put_stage(1, {"quick", "q"});
  storage_->finish(0, TrialState::Skipped, "s");
  reopen();
  EXPECT_EQ(storage_->release_running(), 1);
  const auto trial = storage_->claim();
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->number, 1);
  EXPECT_EQ(trial->stages, (std::vector<StageRecord>{{"quick", "q"}}));
}

TEST_P(StorageContract, ThreadsNeverShareATrial) {
  constexpr int kTrials = 60;
  storage_->add_trials(std::vector<std::string>(kTrials, "p"));
  std::mutex mutex;
  std::multiset<int> seen;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        while (const auto trial = storage_->claim()) {
          storage_->finish(trial->number, TrialState::Complete, "r");
          const std::lock_guard lock(mutex);
          seen.insert(trial->number);
        }
      });
  }
  ASSERT_EQ(seen.size(), kTrials);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), kTrials);
}

INSTANTIATE_TEST_SUITE_P(Every, StorageContract, testing::Values(Kind::Memory, Kind::Sqlite),
                         [](const auto& kind) { return kind.param == Kind::Memory ? "Memory" : "Sqlite"; });

std::string failure_of(const fs::path& path) {
  try {
    const auto storage = open_sqlite_storage(path);
    static_cast<void>(storage->trials());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Failure);
    return error.what();
  }
  return "";
}

TEST(SqliteStorage, AForeignFileIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  write_text_atomic(path, std::string(5000, 'x'));
  EXPECT_NE(failure_of(path).find("study.db: is not a study's database"), std::string::npos)
      << failure_of(path);
}

TEST(SqliteStorage, ADamagedPageIsReported) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  {
    const auto storage = open_sqlite_storage(path);
    storage->add_trials(std::vector<std::string>(50, std::string(2000, 'p')));
  }
  std::vector<uint8_t> bytes = read_file(path);
  ASSERT_GT(bytes.size(), 20'000U);
  std::fill(bytes.begin() + 4096, bytes.begin() + 20'000, uint8_t{0x5A});
  write_file_atomic(path, bytes);
  EXPECT_NE(failure_of(path).find("damaged"), std::string::npos) << failure_of(path);
}

TEST(SqliteStorage, AFolderThatIsMissingIsNamed) {
  const std::string failure = failure_of("/nonexistent/folder/study.db");
  EXPECT_NE(failure.find("/nonexistent/folder/study.db: the study's database cannot be opened or written"),
            std::string::npos)
      << failure;
}

TEST(SqliteToRead, SeesWhatALiveWriterStoredAndWritesNothing) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "a 100% #1?.db";
  EXPECT_THROW(open_sqlite_storage_to_read(path), Error);
  EXPECT_FALSE(std::filesystem::exists(path));
  auto writer = open_sqlite_storage(path);
  writer->put_document("k", "1");
  EXPECT_EQ(open_sqlite_storage_to_read(path)->document("k"), "1");
  writer.reset();
  const auto reader = open_sqlite_storage_to_read(path);
  EXPECT_EQ(reader->document("k"), "1");
  EXPECT_THROW(reader->put_document("k", "2"), Error);
  EXPECT_THROW(reader->add_trials({"{}"}), Error);
}

}  // namespace
}  // namespace retort::study
