#include "data/export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "data/fixtures.h"

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

}  // namespace
}  // namespace retort::data
