// What a folder of images may not be, sentence by sentence, and what is left when bad images are skipped.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/folder_fixture.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

TEST_F(Folder, NamesEmptyAndMisplacedFolders) {
  EXPECT_EQ(load_error("images:" + folder_.at("none")), folder_.at("none") + ": there is no such folder");
  EXPECT_EQ(error(), root() + ": has no class folders; expected are images as " +
                         folder_.path().filename().string() + "/<class>/<image>");
  write("file", {1});
  EXPECT_EQ(load_error("images:" + folder_.at("file")),
            folder_.at("file") + ": is a file where a folder is expected");
  write_pets();
  fs::create_directory(folder_ / "eel");
  EXPECT_EQ(error(), folder_.at("eel") + ": the class folder has no image");
  fs::create_directories(folder_ / "eel/more");
  EXPECT_EQ(error(), folder_.at("eel/more") +
                         ": is a folder where an image is expected; the layout is DIR/<class>/<image> or "
                         "DIR/train/<class>/<image> with DIR/test/<class>/<image>");
}

TEST_F(Folder, RefusesValidationFoldersAndClassesThatDiffer) {
  write_pets("train/");
  write_pets("val/", 1);
  EXPECT_EQ(error(), folder_.at("val") +
                         ": validation images are split off train/ by Retort; move these into "
                         "train/<class> or elsewhere");
  fs::remove_all(folder_ / "val");
  write_pets("test/", 1);
  write("test/eel/1.png", png());
  EXPECT_EQ(error(), root() + ": class \"eel\" is in test/ but not in train/");
  fs::remove_all(folder_ / "test/eel");
  fs::remove_all(folder_ / "test/cat");
  EXPECT_EQ(error(), root() + ": class \"cat\" is in train/ but not in test/");
  fs::remove_all(folder_ / "test");
  fs::remove_all(folder_ / "train/cat");
  EXPECT_EQ(error(), spec() + ": has the single class \"dog\"; there is nothing to tell apart");
}

TEST_F(Folder, BrokenImagesAreNamedOrSkippedAndCounted) {
  write_pets();
  const auto whole = load(spec());
  const std::vector<uint8_t> good = png();
  const std::string path = folder_.at("cat/00.png");  // between 0.png and 1.png
  const auto check = [&](const std::string& message) {
    EXPECT_EQ(error(), path + message);
    const auto dataset = load(spec(), BadImages::Skip);
    EXPECT_EQ(dataset->skipped, 1);
    EXPECT_EQ(dataset->content_hash, whole->content_hash);
    const auto again = load(spec(), BadImages::Skip);  // from the cache
    EXPECT_EQ(again->skipped, 1);
    // What it is called gives it again without being told twice.
    EXPECT_EQ(again->spec, spec() + "?skip-bad=1");
    EXPECT_EQ(load(again->spec)->content_hash, again->content_hash);
    EXPECT_EQ(load(spec() + "?gray=1", BadImages::Skip)->spec, spec() + "?gray=1&skip-bad=1");
  };
  write("cat/00.png", {good.begin(), good.end() - 20});
  check(": broken PNG: the file is truncated");
  write("cat/00.png", {});
  check(": is empty where a JPEG or PNG image is expected");
  write("cat/00.png", {'t', 'e', 'x', 't'});
  check(": is neither a JPEG nor a PNG image");
  fs::remove(path);
  fs::create_symlink("nowhere", path);
  check(": cannot be read: No such file or directory");
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  check(": is not a regular file");
  fs::remove(path);
  write("cat/00.png", good);
  fs::permissions(path, fs::perms::none);
  if (::geteuid() != 0) check(": cannot be read: Permission denied");
}

TEST_F(Folder, SkippingLeavesEmptyClassFoldersOutAndCountsThem) {
  write_pets();
  fs::create_directory(folder_ / "ant");
  const auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 1);
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 0, 0, 1, 1, 1}));
  fs::create_directory(folder_ / "zebra");
  EXPECT_EQ(load(spec(), BadImages::Skip)->skipped, 2) << "the count comes from an old cache";
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  EXPECT_EQ(load_error(spec(), BadImages::Skip), root() + ": its class folders have no images");
}

TEST_F(Folder, SetsWithoutTrainAreNoClasses) {
  const auto sentence = [&](const char* name) {
    return root() + ": train/ is missing beside " + name +
           "/; the layout is DIR/train/<class>/<image>, with or without DIR/test/<class>/<image>, or "
           "DIR/<class>/<image>";
  };
  write_pets("test/");
  EXPECT_EQ(error(), sentence("test"));
  fs::rename(folder_ / "test", folder_ / "Test");
  write_pets("Train/");
  EXPECT_EQ(error(), sentence("Test"));
  fs::rename(folder_ / "Train", folder_ / "train");
  fs::rename(folder_ / "Test", folder_ / "test");
  EXPECT_EQ(load(spec())->test.count(), 6U);
}

TEST_F(Folder, ClassNamesMustBeUtf8AndOtherNamesNeedNot) {
  write_pets("s\xe4tze/");
  EXPECT_EQ(load(spec() + "/s\xe4tze")->train.count(), 6U);
  for (int i = 0; i < 3; ++i) write(fmt::format("s\xe4tze/\xff\xe4/{}.png", i), png());
  for (int again = 0; again < 2; ++again)  // decoded, and from the cache
    EXPECT_EQ(load_error(spec() + "/s\xe4tze"),
              spec() + "/s\xe4tze: the name of class 3 of 3, \"\ufffd\ufffd\", is not UTF-8: rename it");
}

TEST_F(Folder, LargeImagesNeedASize) {
  const ImageShape shape = {513, 512, 1};
  write("cat/0.png", encode_png(std::vector<uint8_t>(shape.bytes()), shape));
  write("dog/0.png", png());
  EXPECT_EQ(error(),
            folder_.at("cat/0.png") +
                ": is 513x512, and all images would be resized to that: choose a size with ?size=HxW, "
                "like images:" +
                root() + "?size=96x96");
  EXPECT_EQ(load(spec() + "?size=8x8")->train.count(), 2U);
}

TEST_F(Folder, RefusesMoreThanTheMemoryBeforeTakingAny) {
  const auto memory =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t needed = memory / (4096 * 4096 * 3) + 1;
  if (needed > 10'000) GTEST_SKIP() << "this machine has " << memory << " bytes of memory";
  write_pets();
  for (uint64_t i = 0; i < needed; ++i)
    fs::create_hard_link(folder_ / "cat/0.png", folder_ / fmt::format("cat/more{}.png", i));
  const std::string message = load_error(spec() + "?size=4096x4096");
  EXPECT_TRUE(message.starts_with(fmt::format("{}: {} images of 4096x4096 are ", root(), needed + 6)))
      << message;
  EXPECT_TRUE(message.ends_with(" GB of memory that are left: choose a smaller size with ?size=HxW"))
      << message;
}

TEST_F(Folder, SkippingCannotEmptyAClass) {
  write_pets();
  write("eel/1.png", {'x'});
  EXPECT_EQ(load_error(spec(), BadImages::Skip), spec() + ": class \"eel\" has no training image");
  fs::remove_all(folder_ / "cat");
  fs::remove_all(folder_ / "dog");
  EXPECT_EQ(load_error(spec(), BadImages::Skip), root() + ": has no whole image");
}

// Eight gigabytes without any disk behind them.
TEST_F(Folder, FilesThatAreTooLargeForPicturesAreNotRead) {
  write_pets();
  write("cat/large.png", png());
  fs::resize_file(folder_ / "cat/large.png", uintmax_t{1} << 33U);
  EXPECT_EQ(error(), folder_.at("cat/large.png") + ": has 8589934592 bytes; at most 268435456 are read");
  EXPECT_EQ(load(spec(), BadImages::Skip)->skipped, 1);
}

}  // namespace
}  // namespace retort::data
