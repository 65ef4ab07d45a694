#include "data/export.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/file.h"
#include "data/folder_fixture.h"
#include "data/npy.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

ImageSet random_set(ImageShape shape, std::vector<uint16_t> labels, Rng rng) {
  std::ranges::sort(labels);  // folders are read class by class
  ImageSet set{.shape = shape, .pixels = random_bytes(labels.size() * shape.bytes(), rng), .labels = labels};
  return set;
}

Dataset pets(int channels) {
  const ImageShape shape = {5, 7, channels};
  return {.spec = "pets",
          .classes = {"cat", "dog"},
          .train = random_set(shape, {0, 1, 0, 1, 1}, Rng(1)),
          .test = random_set(shape, {1, 0, 1}, Rng(2))};
}

TEST(ExportImages, ComeBackWithTheirPixelsAndLabels) {
  for (const int channels : {1, 3})
    for (const bool with_test : {false, true}) {
      TestFolder folder;
      Dataset dataset = pets(channels);
      if (!with_test) dataset.test = {};
      export_images(dataset, folder / "new/pictures", 2);
      const auto again = load("images:" + folder.at("new/pictures"));
      EXPECT_EQ(again->train.pixels, dataset.train.pixels);
      EXPECT_EQ(again->train.labels, dataset.train.labels);
      EXPECT_EQ(again->test.pixels, dataset.test.pixels);
      EXPECT_EQ(again->test.labels, dataset.test.labels);
      EXPECT_EQ(again->classes, dataset.classes);
      EXPECT_EQ(std::distance(fs::directory_iterator(folder / "new"), fs::directory_iterator()), 1);
    }
}

TEST(ExportImages, LeavesOtherFilesAloneAndNamesWhatCannotBe) {
  TestFolder folder;
  fs::create_directories(folder / "full/of");
  const auto error = [&](const Dataset& dataset, const char* name) {
    return usage_error([&] { export_images(dataset, folder / name); });
  };
  EXPECT_EQ(error(pets(3), "full"), folder.at("full") + ": is not empty: pictures go into a new folder");
  EXPECT_EQ(error(pets(2), "new"), "pets: its images have 2 channels: pictures have 1 or 3");
  Dataset odd = pets(3);
  odd.classes = {"a/b", "a-b"};
  EXPECT_EQ(error(odd, "new"), "pets: two classes would have the folder \"a-b\"");
  odd.classes = {"..", "b"};
  EXPECT_EQ(error(odd, "new"), "pets: the class \"..\" cannot name a folder");
  EXPECT_FALSE(fs::exists(folder / "new"));
  odd.classes = {"a/b", "c"};
  export_images(odd, folder / "new");
  EXPECT_TRUE(fs::exists(folder / "new/train/a-b/00001.png"));
}

TEST(ExportImages, GoesThroughNoLinkAndHasTheUsersMode) {
  TestFolder folder;
  fs::create_directory(folder / "elsewhere");
  // By the name that an earlier version wrote to, which anybody can guess.
  const fs::path guessed = folder / fmt::format(".new.partial-{}", ::getpid());
  fs::create_directory_symlink(folder / "elsewhere", guessed);
  const mode_t before = ::umask(027);
  export_images(pets(3), folder / "new");
  ::umask(before);
  EXPECT_TRUE(fs::is_empty(folder / "elsewhere"));
  EXPECT_TRUE(fs::is_symlink(guessed));
  struct stat status{};
  ASSERT_EQ(::lstat(folder.at("new").c_str(), &status), 0);
  EXPECT_TRUE(S_ISDIR(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777U, 0750U);
}

TEST(ExportImages, ComeBackWhenClassesAreNamedLikeSets) {
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"test", "train"}, {"train", "val"}, {"Test", "train"}, {"cat", "train"}})
    for (const bool with_test : {false, true}) {
      TestFolder folder;
      Dataset dataset = pets(1);
      dataset.classes = names;
      if (!with_test) dataset.test = {};
      export_images(dataset, folder / "new");
      const auto again = load("images:" + folder.at("new"));
      EXPECT_EQ(again->classes, names);
      EXPECT_EQ(again->train.pixels, dataset.train.pixels);
      EXPECT_EQ(again->test.pixels, dataset.test.pixels);
    }
}

TEST_F(Folder, ExportedArraysReadBackAsTheSameImages) {
  write_pets("train/", 8);
  write_pets("test/", 1);
  const auto dataset = load(spec());
  TestFolder other;
  export_npy(*dataset, stratified_split(*dataset, {}), other / "new/folder");
  const auto again = load("npy:" + other.at("new/folder"));
  EXPECT_EQ(again->train.pixels, dataset->train.pixels);
  EXPECT_EQ(again->train.labels, dataset->train.labels);
  EXPECT_EQ(again->test.pixels, dataset->test.pixels);
  EXPECT_EQ(again->train.shape, dataset->train.shape);
  const std::string json = read_text(other / "new/folder/dataset.json");
  for (const std::string& part :
       {std::string("\"cat\""), dataset->content_hash, spec(), std::string("\"high\": 1.0")})
    EXPECT_NE(json.find(part), std::string::npos) << part;
}

TEST_F(Folder, TheSplitIsExportedAsRowsOfTheTrainingImages) {
  write_pets("", 10);
  const auto dataset = load(spec());
  const Split split =
      stratified_split(*dataset, {.seed = 5, .validation_fraction = 0.25, .test_fraction = 0.2});
  ASSERT_FALSE(split.test.empty());
  TestFolder other;
  write_bytes(other / "x_test.npy", {{1}});
  EXPECT_NE(usage_error([&] {
              export_npy(*dataset, split, other.path());
            }).find("x_test.npy is not of an earlier export"),
            std::string::npos);
  write_bytes(other / "train_indices.npy", {{1}});  // now it is, of other data
  write_bytes(other / "y_test.npy", {{1}});
  export_npy(*dataset, split, other.path());
  const auto rows = [&](const char* name) {
    const std::vector<int64_t> values = read_npy(other / name).as_integer();
    return std::vector<uint32_t>(values.begin(), values.end());
  };
  EXPECT_EQ(rows("train_indices.npy"), split.train);
  EXPECT_EQ(rows("validation_indices.npy"), split.validation);
  EXPECT_EQ(rows("test_indices.npy"), split.test);
  const auto again = load("npy:" + other.path().string());
  EXPECT_EQ(again->content_hash, dataset->content_hash);  // names of classes too
  EXPECT_EQ(again->range, dataset->range);

  write_pets("train/", 10);
  write_pets("test/", 1);
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  const auto with_test = load(spec());
  export_npy(*with_test, stratified_split(*with_test, {}), other.path());
  EXPECT_EQ(read_npy(other / "test_indices.npy").shape, std::vector<int64_t>{0});
  EXPECT_EQ(rows("train_indices.npy").size() + rows("validation_indices.npy").size(), 20U);
}

}  // namespace
}  // namespace retort::data
