#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "data/folder_fixture.h"
#include "data/image_file.h"
#include "data/image_files.h"
#include "data/preprocess.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

TEST_F(Folder, ReadsClassesAndImagesInTheOrderOfTheirNames) {
  write("dog/b.png", png());
  write("dog/a.jpg", encode_jpeg(random_bytes(kRgb.bytes(), rng_), kRgb));
  write("cat/x.PNG", png());
  write("zebra/ünïcode name.png", png());
  write("readme.txt", {'h', 'i'});
  write("cat/.DS_Store", {0});
  write("cat/Thumbs.db", {0});
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"cat", "dog", "zebra"}));
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 1, 2}));
  EXPECT_EQ(dataset->train.shape, kRgb);
  EXPECT_EQ(dataset->test.count(), 0U);
  size_t index = 0;
  for (const char* name : {"cat/x.PNG", "dog/a.jpg", "dog/b.png", "zebra/ünïcode name.png"}) {
    const DecodedImage image = decode_image(read_file(folder_ / name), name);
    EXPECT_TRUE(std::ranges::equal(dataset->train.image(index++), image.pixels)) << name;
  }
}

TEST_F(Folder, ReadsTrainAndTestAndFollowsLinks) {
  write_pets("train/");
  write_pets("elsewhere/test/", 1);
  TestFolder other;
  fs::rename(folder_ / "elsewhere", other / "elsewhere");
  fs::create_symlink(other / "elsewhere/test", folder_ / "test");
  fs::rename(folder_ / "train/cat/0.png", other / "moved");
  fs::create_symlink(other / "moved", folder_ / "train/cat/0.png");
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->train.count(), 6U);
  EXPECT_EQ(dataset->test.count(), 2U);
}

TEST_F(Folder, ItsImagesHaveFilesAsLongAsItStaysAsItWas) {
  write_pets("train/", 2);
  write_pets("test/", 1);
  const auto dataset = load(spec());
  const ImageFiles files = image_files(*dataset);
  EXPECT_EQ(files.train, (std::vector<std::string>{"train/cat/0.png", "train/cat/1.png", "train/dog/0.png",
                                                   "train/dog/1.png"}));
  EXPECT_EQ(files.test, (std::vector<std::string>{"test/cat/0.png", "test/dog/0.png"}));
  write("train/cat/2.png", png());
  EXPECT_TRUE(image_files(*dataset).train.empty()) << "which file is which is not known any more";
  EXPECT_TRUE(image_files(*dataset).test.empty());
  Dataset other = *dataset;
  other.spec = "made up";
  EXPECT_TRUE(image_files(other).train.empty());
}

TEST_F(Folder, FilesOfWhatIsSplitLaterAreThoseOfTheTrainingSet) {
  write_pets();
  write("cat/3.png", {1, 2, 3});
  EXPECT_TRUE(image_files(*load(spec(), BadImages::Skip)).train.empty()) << "one was left out";
  fs::remove(folder_ / "cat/3.png");
  const ImageFiles files = image_files(*load(spec()));
  EXPECT_EQ(files.train.size(), 6U);
  EXPECT_EQ(files.train.back(), "dog/2.png");
}

TEST_F(Folder, AClassMayBeCalledTrain) {
  write("train/1.png", png());
  write("plane/1.png", png());
  EXPECT_EQ(load(spec())->classes, (std::vector<std::string>{"plane", "train"}));
}

TEST_F(Folder, GrayStaysGrayAndMixturesBecomeRgb) {
  const std::vector<uint8_t> gray = random_bytes(kGray.bytes(), rng_);
  write("cat/1.png", encode_png(gray, kGray));
  write("dog/1.png", png(kGray));
  auto dataset = load(spec());
  EXPECT_EQ(dataset->train.shape, kGray);
  EXPECT_TRUE(std::ranges::equal(dataset->train.image(0), gray));
  EXPECT_EQ(load(spec() + "?gray=0")->train.shape, kRgb);
  write("dog/2.png", png());
  dataset = load(spec());
  EXPECT_EQ(dataset->train.shape, kRgb);
  for (size_t i = 0; i < gray.size(); ++i)
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(dataset->train.image(0)[3 * i + c], gray[i]);
}

TEST_F(Folder, GrayOfAJpegIsThatOfItsRgb) {
  write("cat/1.jpg", encode_jpeg(random_bytes(kRgb.bytes(), rng_), kRgb));
  write("dog/1.png", png());
  const auto color = load(spec());
  const auto gray = load(spec() + "?gray=1");
  for (size_t i = 0; i < 2; ++i) {
    std::vector<uint8_t> expected(kGray.bytes());
    to_gray(color->train.image(i), expected);
    EXPECT_TRUE(std::ranges::equal(gray->train.image(i), expected));
  }
}

TEST_F(Folder, OtherSizesBecomeTheFirstOnesOrTheOneAskedFor) {
  write_pets();
  const ImageShape large = {12, 10, 3};
  const std::vector<uint8_t> pixels = random_bytes(large.bytes(), rng_);
  write("dog/9.png", encode_png(pixels, large));
  Recorder recorder;
  const auto dataset = load_dataset(spec(), {}, recorder);
  EXPECT_EQ(dataset->train.shape, kRgb);
  std::vector<uint8_t> expected(kRgb.bytes());
  resize(pixels, large, expected, kRgb);
  EXPECT_TRUE(std::ranges::equal(dataset->train.image(6), expected));
  ASSERT_EQ(recorder.messages.size(), 1U);
  EXPECT_EQ(
      recorder.messages[0],
      root() + ": images differ in size; all are resized to the first one's 6x5 (?size=HxW chooses another)");
  EXPECT_EQ(recorder.last_task, "loading images");
  EXPECT_EQ(recorder.last_share, 1);
  EXPECT_EQ(load(spec() + "?size=3x9")->train.shape, (ImageShape{3, 9, 3}));
}

TEST_F(Folder, ContentHashFollowsContentAlone) {
  write_pets();
  const auto dataset = load(spec());
  Dataset copy = *dataset;
  copy.spec = "other";
  copy.skipped = 3;
  EXPECT_EQ(content_hash(copy), dataset->content_hash);
  copy.classes[0] = "kitten";
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  copy.train.pixels[0] ^= 1;
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  copy.train.labels[0] ^= 1;
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  std::swap(copy.train.shape.height, copy.train.shape.width);
  EXPECT_NE(content_hash(copy), dataset->content_hash);
  copy = *dataset;
  std::swap(copy.train, copy.test);
  EXPECT_NE(content_hash(copy), dataset->content_hash);
}

}  // namespace
}  // namespace retort::data
