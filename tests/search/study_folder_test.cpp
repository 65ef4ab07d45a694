// What a search makes of its folder: finished, foreign, old, damaged, read-only, shared.
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "essence.h"
#include "search/study_folder.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

TEST_F(SearchTest, OtherSettingsOrDataAreRefusedWithWhatDiffers) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  run(folder.path());
  const auto refusal = [&] { return thrown_by([&] { run(folder.path()); }); };
  settings.seed = 43;
  EXPECT_NE(refusal().sentence.find("other settings: seed is 42 there and 43 here"), std::string::npos)
      << refusal().sentence;
  EXPECT_EQ(refusal().code, ErrorCode::Usage);
  settings.seed = 42;
  settings.pipeline.quick_epochs = 3;
  EXPECT_NE(refusal().sentence.find("quick epochs is 2 there and 3 here"), std::string::npos)
      << refusal().sentence;
  settings.pipeline.quick_epochs = 2;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  EXPECT_NE(refusal().sentence.find("configs 1"), std::string::npos) << refusal().sentence;
  settings.configs = {"1,1,8,0"};
  dataset = synthetic(300, 60, 8, 5);
  EXPECT_NE(refusal().sentence.find("holds a search on other data"), std::string::npos) << refusal().sentence;
}

TEST_F(SearchTest, WhatAKilledOneLeftHalfWrittenGoesAsTheNextBegins) {
  const TemporaryFolder folder;
  const std::vector<fs::path> left = {".retort-0.tmp", "best/.retort-0.tmp", "best/c/.retort-0.tmp",
                                      "teacher/.retort-0.tmp", "best/.retort-1.tmp/part"};
  for (const fs::path& file : left) write_text_atomic(folder.path() / file, "half");
  write_text_atomic(folder.path() / "best/c/model.c", "whole");
  const StudyFolder study(folder.path());
  for (const fs::path& file : left) EXPECT_FALSE(fs::exists(folder.path() / file)) << file;
  EXPECT_TRUE(fs::exists(folder.path() / "best/c/model.c"));
}

// Before there were runtimes a limit of flash meant the file.
TEST_F(SearchTest, StudiesOfAnEarlierVersionGoOnWithoutTheirLimits) {
  const auto as_before = [](const fs::path& folder, int64_t flash_limit) {
    const auto storage = study::open_storage(study::sqlite_place(folder / "study.db"), study::Access::Write);
    Json description = Json::parse(*storage->document(kDescriptionKey));
    Json& stored = description.at("settings");
    stored.erase("runtime");
    stored.erase("board");
    stored.at("pipeline").erase("precision");
    stored.at("pipeline").erase("qat_rate");
    stored.at("split").erase("most_validation_images");
    for (const char* later : {"channels_epochs", "wider"}) stored.at("pipeline").erase(later);
    for (const char* later : {"rungs", "recipes", "vary"}) stored.at("exploration").erase(later);
    stored["exploration"]["first"] = 16;  // the default then; nothing was explored
    stored["limits"] = {{"flash_bytes", nullptr}, {"arena_bytes", nullptr}, {"macs", nullptr}};
    if (flash_limit > 0) stored["limits"]["flash_bytes"] = flash_limit;
    storage->put_document(kDescriptionKey, description.dump());
  };
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const TemporaryFolder folder;
  const StudyResult first = run(folder.path());
  as_before(folder.path(), 0);
  EXPECT_EQ(run(folder.path()).best, first.best);
  as_before(folder.path(), 0);
  settings.pipeline.qat_rate = 0.5;
  const Thrown other_rate = thrown_by([&] { run(folder.path()); });
  EXPECT_NE(other_rate.sentence.find("qat rate is 1.0 there and 0.5 here"), std::string::npos)
      << other_rate.sentence;
  settings.pipeline.qat_rate = 1;
  as_before(folder.path(), 0);
  settings.split.most_validation_images = 30;
  const Thrown other_split = thrown_by([&] { run(folder.path()); });
  EXPECT_NE(other_split.sentence.find("split most validation images is none there and 30 here"),
            std::string::npos)
      << other_split.sentence;
  settings.split.most_validation_images.reset();
  as_before(folder.path(), 65'536);
  settings.limits.flash_bytes = 65'536;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("holds a search of an earlier version, whose --flash and --ram limited"),
            std::string::npos)
      << thrown.sentence;
  Json trial = first.trials.at(0);
  trial.erase("footprint");
  trial.erase("latency");
  EXPECT_EQ(trial.get<TrialResult>().footprint, cost::Footprint{});
}

// A preset that has a bound now had none then.
TEST_F(SearchTest, AStudyOfAnEarlierVersionKeepsItsSplit) {
  settings.preset = "micro";
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const TemporaryFolder folder;
  const StudyResult first = run(folder.path());
  {
    const auto storage =
        study::open_storage(study::sqlite_place(folder.path() / "study.db"), study::Access::Write);
    Json description = Json::parse(*storage->document(kDescriptionKey));
    description.at("settings").at("split").erase("most_validation_images");
    storage->put_document(kDescriptionKey, description.dump());
  }
  settings.split.most_validation_images = preset("micro").split.most_validation_images;
  ASSERT_TRUE(settings.split.most_validation_images);
  const StudyResult again = run(folder.path());
  EXPECT_EQ(again.best, first.best);
  EXPECT_EQ(again.validation_images, first.validation_images);
}

TEST_F(SearchTest, ANewRunOnAFinishedFolderTrainsNothing) {
  const TemporaryFolder folder;
  const StudyResult first = run(folder.path());
  const auto written = fs::last_write_time(folder.path() / first.trials[0].file);
  const StudyResult again = run(folder.path());
  EXPECT_EQ(essence(again, folder.path()), essence(first, folder.path()));
  EXPECT_DOUBLE_EQ(again.seconds, first.seconds);
  EXPECT_EQ(fs::last_write_time(folder.path() / first.trials[0].file), written);
}

TEST_F(SearchTest, WhatARunThatDiedLeftIsTidiedUp) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  std::stop_source stop;
  const auto stops = [&](const StudyResult& study) {
    if (!study.trials.empty()) stop.request_stop();
  };
  thrown_by([&] {
    run_search(settings, dataset,
               {.folder = folder.path(), .workers = 1, .stop = stop.get_token(), .changed = stops});
  });
  const fs::path left = folder.path() / "trials" / "0" / "quantize.retort";
  const fs::path stages = left.parent_path() / "stages.json";  // the last to be tidied up
  write_text_atomic(left, "left behind");
  write_text_atomic(stages, "{}");
  run(folder.path());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_FALSE(fs::exists(stages));
}

TEST_F(SearchTest, AFolderThatCannotBeWrittenEndsTheSearch) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path());
  write_text_atomic(folder.path() / "trials", "a file where a folder is needed");
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Failure);
  EXPECT_NE(thrown.sentence.find("trials/"), std::string::npos) << thrown.sentence;
  fs::remove(folder.path() / "trials");
  EXPECT_EQ(run(folder.path()).trials.size(), 3U);
}

TEST_F(SearchTest, TwoProcessesCannotShareAFolder) {
  const TemporaryFolder folder;
  const FileLock lock(folder.path() / ".lock");
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Failure);
  EXPECT_NE(thrown.sentence.find("in use by another process"), std::string::npos) << thrown.sentence;
}

// Every file of a folder with its size and time.
std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> listing(const fs::path& folder) {
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> files;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    files[file.path().filename().string()] = {file.is_directory() ? 0 : file.file_size(),
                                              file.last_write_time()};
  return files;
}

TEST_F(SearchTest, AStudyIsReadWhereNothingMayBeWritten) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const StudyResult study = run(folder.path());
  const auto before = listing(folder.path());
  constexpr auto kReadOnly = fs::perms(0555);
  fs::permissions(folder.path(), kReadOnly);
  // Root may write everywhere: another user reads.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(seteuid(65534), 0);
  }
  const Thrown thrown = thrown_by([&] { EXPECT_EQ(load_study(folder.path()).best, study.best); });
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_EQ(thrown.sentence, "");
  EXPECT_EQ(listing(folder.path()), before);
}

TEST_F(SearchTest, ARefusedSplitLeavesNoSearch) {
  const TemporaryFolder folder;
  settings.split.most_validation_images = 2;  // of three classes
  EXPECT_EQ(thrown_by([&] { run(folder.path()); }).code, ErrorCode::Usage);
  settings.split.most_validation_images = 12;
  EXPECT_EQ(thrown_by([&] { run(folder.path()); }).sentence, "");
}

TEST_F(SearchTest, LinksInAStudysFolderLeadNowhere) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  for (const char* part : {"trials", "teacher", "best"}) {
    fs::create_directory_symlink(elsewhere.path(), folder.path() / part);
    const Thrown thrown = thrown_by([&] { StudyFolder(folder.path()); });
    EXPECT_NE(thrown.sentence.find(std::string(part) + ": is a link"), std::string::npos) << thrown.sentence;
    fs::remove(folder.path() / part);
  }
  fs::create_symlink(elsewhere.path() / "study.db", folder.path() / "study.db");
  EXPECT_NE(thrown_by([&] { StudyFolder(folder.path()); }).sentence.find("study.db: is a link"),
            std::string::npos);
  EXPECT_NE(thrown_by([&] { load_study(folder.path()); }).sentence.find("study.db: is a link"),
            std::string::npos);
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
}

TEST_F(SearchTest, AFileInTheFoldersPlaceIsTheUsersMistake) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "file";
  write_text_atomic(file, "text");
  const Thrown thrown = thrown_by([&] { run(file); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("is a file: a search needs a folder"), std::string::npos) << thrown.sentence;
  EXPECT_EQ(thrown_by([&] { run(""); }).code, ErrorCode::Usage);
}

TEST(LoadStudy, AFolderWithoutOneIsNamed) {
  const TemporaryFolder folder;
  EXPECT_NE(thrown_by([&] { load_study(folder.path()); }).sentence.find("holds no search"),
            std::string::npos);
}

}  // namespace
}  // namespace retort::search
