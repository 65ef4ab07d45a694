#include "data/inspection.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/fixtures.h"
#include "data/image_file.h"

namespace retort::data {
namespace {

using Names = std::vector<std::string>;

constexpr ImageShape kShape = {6, 5, 3};

class Inspect : public testing::Test {
 protected:
  std::vector<uint8_t> png(ImageShape shape = kShape) {
    return png_file(random_bytes(shape.bytes(), rng_), shape);
  }
  void write(const std::string& name, const std::vector<uint8_t>& bytes) {
    write_bytes(folder_ / name, bytes);
  }
  void write_pets(const std::string& under = "", int cats = 40, int dogs = 40) {
    for (int i = 0; i < cats; ++i) write(fmt::format("{}cat/{}.png", under, i), png());
    for (int i = 0; i < dogs; ++i) write(fmt::format("{}dog/{}.png", under, i), png());
  }
  [[nodiscard]] Inspection look(BadImages bad_images = BadImages::Fail,
                                const std::string& options = "") const {
    LoadOptions load;
    load.bad_images = bad_images;
    return inspect("images:" + folder_.path().string() + options, load, {}, silent_progress());
  }
  static Names names(const std::vector<Finding>& findings) {
    Names names;
    for (const Finding& finding : findings) names.push_back(finding.name);
    return names;
  }

  TestFolder folder_;
  Rng rng_{8};
};

TEST_F(Inspect, FindsNothingInSoundData) {
  write_pets();
  const Inspection inspection = look();
  EXPECT_TRUE(inspection.problems.empty());
  EXPECT_TRUE(inspection.notes.empty());
  EXPECT_TRUE(inspection.copies.empty());
  EXPECT_EQ(inspection.train_counts, (std::vector<int64_t>{40, 40}));
  ASSERT_EQ(inspection.shapes.size(), 1U);
  EXPECT_EQ(inspection.shapes.front().shape, kShape);
  EXPECT_EQ(inspection.shapes.front().images, 80);
  EXPECT_EQ(inspection.survey.train.at(41).name, folder_.at("dog/1.png"));
  // What is inspected is what is trained on.
  EXPECT_EQ(inspection.dataset->content_hash, load(inspection.spec)->content_hash);
}

TEST_F(Inspect, NamesEveryBrokenFileWithItsReason) {
  write_pets();
  std::vector<uint8_t> cut = png();
  cut.resize(cut.size() / 2);
  write("cat/cut.png", cut);
  write("dog/notes.txt", {'h', 'i'});
  write("dog/empty.jpg", {});
  for (const BadImages bad_images : {BadImages::Fail, BadImages::Skip}) {
    const Inspection inspection = look(bad_images);
    ASSERT_EQ(inspection.survey.left_out.size(), 3U);
    EXPECT_EQ(inspection.survey.left_out[0].name, folder_.at("cat/cut.png"));
    EXPECT_EQ(inspection.survey.left_out[0].reason, "broken PNG: the file is truncated");
    EXPECT_EQ(inspection.survey.left_out[1].reason, "is empty where a JPEG or PNG image is expected");
    EXPECT_EQ(inspection.survey.left_out[2].reason, "is neither a JPEG nor a PNG image");
    EXPECT_EQ(inspection.dataset->skipped, 3);
    EXPECT_EQ(inspection.survey.train.size(), inspection.dataset->train.count());
    // A training that leaves them out has no problem.
    const bool stops = bad_images == BadImages::Fail;
    EXPECT_EQ(names(inspection.problems), stops ? Names{"left-out"} : Names{});
    EXPECT_EQ(names(inspection.notes), stops ? Names{} : Names{"left-out"});
  }
}

TEST_F(Inspect, ListsWhatIsBrokenEvenWhenNothingIsLeft) {
  write_pets("", 0, 5);
  write("cat/1.png", {'x'});
  Inspection inspection = look();
  EXPECT_EQ(inspection.dataset, nullptr);
  EXPECT_EQ(names(inspection.problems), (Names{"left-out", "refused"}));
  EXPECT_NE(inspection.problems[1].sentence.find("class \"cat\" has no training image"), std::string::npos);
  for (int i = 0; i < 5; ++i) write(fmt::format("dog/{}.png", i), {'x'});
  inspection = look();
  EXPECT_EQ(inspection.survey.left_out.size(), 6U);
  EXPECT_EQ(names(inspection.problems), (Names{"left-out", "refused"}));
}

TEST_F(Inspect, TellsKindsOfCopiesApart) {
  write_pets("train/");
  write_pets("test/", 10, 10);
  const std::vector<uint8_t> twice = png();
  write("train/cat/twice.png", twice);
  write("train/cat/again.png", twice);
  // The same pixels in another file format's clothes: a JPEG holds others, an interlaced PNG the same.
  const std::vector<uint8_t> pixels = random_bytes(kShape.bytes(), rng_);
  write("train/dog/leak.png", png_file(pixels, kShape));
  write("test/dog/leak.png", encode_png(pixels, 6, 5, 2, 8, true));
  const std::vector<uint8_t> wrong = png();
  write("train/cat/wrong.png", wrong);
  write("train/dog/wrong.png", wrong);
  const Inspection inspection = look();
  ASSERT_EQ(inspection.copies.size(), 3U);
  EXPECT_EQ(inspection.copies[0].kind, CopyKind::OtherClasses);
  EXPECT_EQ(inspection.copies[1].kind, CopyKind::AcrossSets);
  EXPECT_EQ(inspection.copies[2].kind, CopyKind::SameClass);
  EXPECT_EQ(surveyed(inspection, inspection.copies[1].images[1]).name, folder_.at("test/dog/leak.png"));
  EXPECT_EQ(label_of(inspection, inspection.copies[0].images[0]), 0);
  EXPECT_EQ(names(inspection.problems), (Names{"copies-under-other-classes", "copies-across-sets"}));
  EXPECT_EQ(names(inspection.notes), Names{"copies-within-a-class"});
  EXPECT_EQ(inspection.problems[1].examples, Names{folder_.at("train/dog/leak.png") +
                                                   " (dog) = " + folder_.at("test/dog/leak.png") + " (dog)"});
}

// Photographs of one scene, each a little brighter than the one before.
TEST_F(Inspect, TellsKindsOfNearCopiesApart) {
  write_pets("train/");
  write_pets("test/", 10, 10);
  constexpr ImageShape kScene = {24, 24, 3};
  const auto scene = [&](const std::string& name, uint64_t seed, int brighter) {
    Rng rng(seed);
    std::vector<uint8_t> pixels = random_bytes(kScene.bytes(), rng);
    for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(pixel / 2 + brighter);
    write(name, png_file(pixels, kScene));
  };
  scene("train/cat/a1.png", 1, 0);
  scene("train/cat/a2.png", 1, 9);
  scene("train/dog/b1.png", 2, 0);
  scene("test/dog/b2.png", 2, 9);
  scene("test/dog/b3.png", 2, 18);
  scene("train/cat/c1.png", 3, 0);
  scene("train/dog/c2.png", 3, 9);
  const Inspection inspection = look(BadImages::Fail, "?size=24x24");
  EXPECT_TRUE(inspection.copies.empty());
  ASSERT_EQ(inspection.near_copies.size(), 3U);
  EXPECT_EQ(inspection.near_copies[0].kind, CopyKind::OtherClasses);
  EXPECT_EQ(inspection.near_copies[1].kind, CopyKind::AcrossSets);
  EXPECT_EQ(inspection.near_copies[1].images.size(), 3U);
  EXPECT_EQ(inspection.near_copies[2].kind, CopyKind::SameClass);
  EXPECT_EQ(names(inspection.problems), Names{});
  EXPECT_EQ(names(inspection.notes), (Names{"near-copies-under-other-classes", "near-copies-across-sets",
                                            "near-copies-within-a-class", "shapes"}));
  EXPECT_EQ(
      inspection.notes[1].sentence,
      "2 test images (9.1%) are nearly the same as training images: if they are the same things, what is "
      "measured there is memory");  // 2 of 22
  EXPECT_EQ(inspection.notes[0].examples,
            Names{folder_.at("train/cat/c1.png") + " (cat) ≈ " + folder_.at("train/dog/c2.png") + " (dog)"});
}

TEST_F(Inspect, CopiesSpoilASplitThatIsStillToBeDrawn) {
  write_pets();
  const std::vector<uint8_t> same = png();
  for (int i = 0; i < 4; ++i) write(fmt::format("cat/copy{}.png", i), same);
  EXPECT_EQ(names(look().problems), Names{"copies-within-a-class"});  // 3 of 84
  std::filesystem::remove(folder_ / "cat/copy2.png");
  std::filesystem::remove(folder_ / "cat/copy3.png");
  const Inspection inspection = look();  // 1 of 82
  EXPECT_TRUE(inspection.problems.empty());
  EXPECT_EQ(names(inspection.notes), Names{"copies-within-a-class"});
}

TEST_F(Inspect, WeighsUnevenAndSmallClasses) {
  write_pets("", 40, 12);
  EXPECT_EQ(names(look().notes), Names{"imbalance"});
  for (int i = 40; i < 260; ++i) write(fmt::format("cat/{}.png", i), png());
  EXPECT_EQ(names(look().problems), Names{"imbalance"});
  for (int i = 2; i < 12; ++i) std::filesystem::remove(folder_ / fmt::format("dog/{}.png", i));
  EXPECT_EQ(names(look().problems), (Names{"refused", "imbalance"}));
}

TEST_F(Inspect, CountsStoredShapes) {
  write_pets();
  write("cat/gray.png", png({6, 5, 1}));
  write("cat/wide.png", png({6, 50, 3}));
  const Inspection inspection = look();
  EXPECT_EQ(inspection.shapes.size(), 3U);
  ASSERT_EQ(names(inspection.notes), Names{"shapes"});
  EXPECT_EQ(inspection.notes[0].sentence,
            "Images are stored in 3 shapes and all become 6x5x3; 1 are grey; 1 are stretched by more than a "
            "quarter");
}

TEST_F(Inspect, LooksAtPhotographsForWhichNoSizeIsChosenYet) {
  write_pets("", 20, 20);
  write("cat/.hidden", {});
  write("bear/0.png", png({600, 500, 3}));
  for (int i = 1; i < 20; ++i) write(fmt::format("bear/{}.png", i), png());
  const Inspection inspection = look();
  ASSERT_EQ(names(inspection.problems), Names{"refused"});
  EXPECT_NE(inspection.problems[0].sentence.find("choose a size with ?size=HxW"), std::string::npos);
  EXPECT_EQ(inspection.dataset->train.count(), 60U);
  EXPECT_TRUE(look(BadImages::Fail, "?size=20x20").problems.empty());
}

TEST_F(Inspect, RefusesWhereThereIsNothingToInspect) {
  EXPECT_EQ(usage_error([&] { (void)look(); }), folder_.path().string() +
                                                    ": has no class folders; expected are images as " +
                                                    folder_.path().filename().string() + "/<class>/<image>");
}

TEST(SpecOfFolder, GuessesTheFormatByWhatLiesThere) {
  const TestFolder folder;
  const std::string path = folder.path().string();
  EXPECT_EQ(spec_of_folder(path), "images:" + path);
  EXPECT_EQ(spec_of_folder(path + "?gray=1"), "images:" + path + "?gray=1");
  EXPECT_EQ(spec_of_folder("idx:" + path), "idx:" + path);
  EXPECT_EQ(spec_of_folder("fashion-mnist"), "fashion-mnist");
  EXPECT_EQ(spec_of_folder("nowhere"), "nowhere");
  write_bytes(folder / "x_train.npy", {});
  EXPECT_EQ(spec_of_folder(path), "npy:" + path);
  std::filesystem::remove(folder / "x_train.npy");
  write_bytes(folder / "train-images-idx3-ubyte.gz", {});
  EXPECT_EQ(spec_of_folder(path), "idx:" + path);
  std::filesystem::remove(folder / "train-images-idx3-ubyte.gz");
  std::filesystem::create_directory(folder / "cifar-10-batches-bin");
  EXPECT_EQ(spec_of_folder(path), "cifar10:" + path);
}

TEST(PngFile, ComesBackAsItWas) {
  Rng rng(5);
  for (const ImageShape shape : {ImageShape{7, 3, 1}, ImageShape{1, 1, 3}, ImageShape{40, 41, 3}}) {
    const std::vector<uint8_t> pixels = random_bytes(shape.bytes(), rng);
    const DecodedImage image = decode_image(png_file(pixels, shape), "x");
    EXPECT_EQ(image.shape, shape);
    EXPECT_EQ(image.pixels, pixels);
  }
}

}  // namespace
}  // namespace retort::data
