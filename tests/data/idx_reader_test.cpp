#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cstdlib>

#include "data/fixtures.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

class Idx : public testing::Test {
 protected:
  // Four training images of 2 × 3, labels 0 1 0 1, and two test images.
  void SetUp() override {
    Rng rng(12);
    pixels_ = random_bytes(24, rng);
    write("train-images-idx3-ubyte", encode_idx(std::array{4U, 2U, 3U}, pixels_));
    write("train-labels-idx1-ubyte", encode_idx(std::array{4U}, std::array<uint8_t, 4>{0, 1, 0, 1}));
  }
  void write_test() {
    write("t10k-images-idx3-ubyte", encode_idx(std::array{2U, 2U, 3U}, std::span(pixels_).first(12)));
    write("t10k-labels-idx1-ubyte", encode_idx(std::array{2U}, std::array<uint8_t, 2>{1, 0}));
  }
  void write(const char* name, const std::vector<uint8_t>& bytes) { write_bytes(folder_ / name, bytes); }
  [[nodiscard]] std::string spec() const { return "idx:" + folder_.path().string(); }
  [[nodiscard]] std::string error() const { return load_error(spec()); }
  std::string images() { return folder_.at("train-images-idx3-ubyte"); }
  std::string labels() { return folder_.at("train-labels-idx1-ubyte"); }

  TestFolder folder_;
  std::vector<uint8_t> pixels_;
};

TEST_F(Idx, ReadsTrainAndTest) {
  write_test();
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->spec, spec());
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(dataset->train.shape, (ImageShape{2, 3, 1}));
  EXPECT_EQ(dataset->train.pixels, pixels_);
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 0, 1}));
  EXPECT_EQ(dataset->test.labels, (std::vector<uint16_t>{1, 0}));
  EXPECT_EQ(dataset->range, (ValueRange{0, 1}));
  EXPECT_EQ(dataset->content_hash, content_hash(*dataset));
  EXPECT_EQ(dataset->content_hash.size(), 64U);
}

TEST_F(Idx, ReadsGzippedAndDottedNames) {
  const auto plain = load(spec());
  TestFolder other;
  write_bytes(other / "train-images.idx3-ubyte.gz", gzip(encode_idx(std::array{4U, 2U, 3U}, pixels_)));
  write_bytes(other / "train-labels.idx1-ubyte",
              encode_idx(std::array{4U}, std::array<uint8_t, 4>{0, 1, 0, 1}));
  const auto dataset = load("idx:" + other.path().string());
  EXPECT_EQ(dataset->content_hash, plain->content_hash);
}

TEST_F(Idx, ConvertsSizeAndColor) {
  const auto dataset = load(spec() + "?size=4x6&gray=0");
  EXPECT_EQ(dataset->train.shape, (ImageShape{4, 6, 3}));
  for (size_t i = 0; i < dataset->train.pixels.size(); i += 3) {
    EXPECT_EQ(dataset->train.pixels[i], dataset->train.pixels[i + 1]);
    EXPECT_EQ(dataset->train.pixels[i], dataset->train.pixels[i + 2]);
  }
  EXPECT_EQ(load(spec() + "?gray=1")->train.pixels, pixels_);
}

TEST_F(Idx, NamesMissingFilesAndFolders) {
  EXPECT_EQ(load_error("idx:" + folder_.at("none")), folder_.at("none") + ": there is no such folder");
  EXPECT_EQ(load_error("idx:" + images()), images() + ": is a file where a folder is expected");
  write("t10k-images-idx3-ubyte", {});
  EXPECT_EQ(error(), folder_.path().string() + ": has test images without test labels");
  fs::remove(labels());
  EXPECT_EQ(error(), folder_.path().string() + ": has no train-labels-idx1-ubyte (or .gz)");
  fs::remove(images());
  EXPECT_EQ(error(), folder_.path().string() + ": has no train-images-idx3-ubyte (or .gz)");
  fs::remove(folder_ / "t10k-images-idx3-ubyte");
  fs::create_directory(images());
  write("train-labels-idx1-ubyte", encode_idx(std::array{4U}, std::array<uint8_t, 4>{0, 1, 0, 1}));
  EXPECT_EQ(error(), images() + ": is a folder where a file is expected");
}

TEST_F(Idx, RefusesDamagedFiles) {
  const std::vector<uint8_t> whole = encode_idx(std::array{4U, 2U, 3U}, pixels_);
  std::vector<uint8_t> bytes = whole;
  bytes[2] = 0x0d;
  write("train-images-idx3-ubyte", bytes);
  EXPECT_EQ(error(), images() + ": begins with 00000d03 where IDX images begin with 00000803");
  bytes = whole;
  bytes.pop_back();
  write("train-images-idx3-ubyte", bytes);
  EXPECT_EQ(error(), images() + ": is truncated: its header announces 24 bytes of data, it has 23");
  bytes = whole;
  bytes.push_back(0);
  write("train-images-idx3-ubyte", bytes);
  EXPECT_EQ(error(), images() + ": has more data than the 24 bytes that its header announces");
  for (const size_t size : {0, 3, 4, 9, 15}) {
    write("train-images-idx3-ubyte", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_EQ(error(), images() + ": is truncated in its header");
  }
  write("train-images-idx3-ubyte", encode_idx(std::array{4U, 0U, 3U}, {}));
  EXPECT_EQ(error(), images() + ": says that its dimension 1 is 0");
  write("train-images-idx3-ubyte", whole);
  write("train-labels-idx1-ubyte", whole);
  EXPECT_EQ(error(), labels() + ": begins with 00000803 where IDX labels begin with 00000801");
}

TEST_F(Idx, RefusesAbsurdSizesBeforeTakingMemory) {
  constexpr uint32_t kHuge = 0xffffffff;
  write("train-images-idx3-ubyte", encode_idx(std::array{kHuge, kHuge, kHuge}, pixels_));
  EXPECT_EQ(error(), images() +
                         ": is truncated: its header announces 18446744073709551615 bytes of data, more than "
                         "it can hold");
  write("train-images-idx3-ubyte", gzip(encode_idx(std::array{60000U, 1000U, 1000U}, pixels_)));
  EXPECT_EQ(error(), images() +
                         ": is truncated: its header announces 60000000000 bytes of data, more than it can "
                         "hold");
  // It has them, a terabyte without any disk behind it, and no machine has so much memory.
  write("train-images-idx3-ubyte", encode_idx(std::array{uint32_t{1} << 20U, 1024U, 1024U}, {}));
  std::filesystem::resize_file(images(), 16 + (uintmax_t{1} << 40U));
  EXPECT_EQ(error().find(images() + ": its data would take 1099.5 GB, more than the "), 0U) << error();
}

// The gzip file is large enough for what its header announces, yet holds less: memory follows the content.
TEST_F(Idx, TakesNoMoreMemoryThanAGzipFileHolds) {
  Rng rng(14);
  constexpr uint32_t kSide = 4096;
  constexpr uint32_t kCount = 63;
  write("train-images-idx3-ubyte",
        gzip(encode_idx(std::array{kCount, kSide, kSide}, random_bytes(size_t{1} << 20, rng))));
  const auto peak_kilobytes = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kilobytes();
  EXPECT_EQ(error(),
            images() + ": is truncated: its header announces 1056964608 bytes of data, it has 1048576");
  EXPECT_LT(peak_kilobytes() - before, 200 * 1024);
}

TEST_F(Idx, SkipsLabelsOutOfRangeAndCountsThem) {
  write_test();
  write("t10k-labels-idx1-ubyte", encode_idx(std::array{2U}, std::array<uint8_t, 2>{2, 0}));
  const auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 1);
  EXPECT_EQ(dataset->train.count(), 4U);
  EXPECT_EQ(dataset->test.labels, (std::vector<uint16_t>{0}));
  EXPECT_EQ(dataset->test.pixels, (std::vector<uint8_t>{pixels_.begin() + 6, pixels_.begin() + 12}));
}

TEST_F(Idx, RefusesLabelsThatDoNotMatch) {
  write("train-labels-idx1-ubyte", encode_idx(std::array{3U}, std::array<uint8_t, 3>{0, 1, 0}));
  EXPECT_EQ(error(), labels() + ": has 3 labels for the 4 images of train-images-idx3-ubyte");
  write("train-labels-idx1-ubyte", encode_idx(std::array{4U}, std::array<uint8_t, 4>{0, 2, 0, 2}));
  EXPECT_EQ(error(), labels() + ": class \"1\" has no training image");
  write("train-labels-idx1-ubyte", encode_idx(std::array{4U}, std::array<uint8_t, 4>{0, 0, 0, 0}));
  EXPECT_EQ(error(), spec() + ": has the single class \"0\"; there is nothing to tell apart");
  SetUp();
  write_test();
  write("t10k-labels-idx1-ubyte", encode_idx(std::array{2U}, std::array<uint8_t, 2>{1, 2}));
  EXPECT_EQ(error(), folder_.at("t10k-labels-idx1-ubyte") +
                         ": label 2 at index 1 is out of range: there are 2 classes");
}

TEST_F(Idx, RefusesTestImagesOfAnotherSizeUnlessResized) {
  write_test();
  write("t10k-images-idx3-ubyte", encode_idx(std::array{2U, 3U, 2U}, std::span(pixels_).first(12)));
  EXPECT_EQ(error(), spec() + ": test images are 3x2x1, training images 2x3x1");
  EXPECT_EQ(load(spec() + "?size=5x5")->test.shape, (ImageShape{5, 5, 1}));
}

TEST_F(Idx, RefusesBrokenGzip) {
  const std::vector<uint8_t> whole = gzip(encode_idx(std::array{4U, 2U, 3U}, pixels_));
  const auto error_with = [&](const std::vector<uint8_t>& bytes) {
    write("train-images-idx3-ubyte", bytes);
    return error();
  };
  std::vector<uint8_t> bytes = whole;
  for (size_t size = 2; size < whole.size(); ++size)
    EXPECT_EQ(error_with({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
              images() + ": broken gzip file: it is truncated");
  bytes = whole;
  bytes[bytes.size() - 6] ^= 0xff;
  EXPECT_EQ(error_with(bytes), images() + ": broken gzip file: incorrect data check");
  bytes = whole;
  bytes.push_back(7);
  EXPECT_EQ(error_with(bytes), images() + ": broken gzip file: there are bytes after its end");
  bytes = gzip(encode_idx(std::array{4U, 2U, 3U}, std::span(pixels_).first(20)));
  EXPECT_EQ(error_with(bytes), images() + ": is truncated: its header announces 24 bytes of data, it has 20");
}

TEST_F(Idx, FashionMnistComesFromItsFolderWithItsNames) {
  ::setenv("RETORT_FASHION_MNIST", folder_.at("none").c_str(), 1);
  EXPECT_EQ(load_error("fashion-mnist"), folder_.at("none") + ": there is no such folder");
  std::vector<uint8_t> labels;
  for (uint8_t i = 0; i < 10; ++i) labels.push_back(i);
  Rng rng(13);
  write("train-images-idx3-ubyte", gzip(encode_idx(std::array{10U, 2U, 3U}, random_bytes(60, rng))));
  write("train-labels-idx1-ubyte", encode_idx(std::array{10U}, labels));
  ::setenv("RETORT_FASHION_MNIST", folder_.path().c_str(), 1);
  const auto dataset = load("fashion-mnist");
  EXPECT_EQ(dataset->classes.front(), "T-shirt/top");
  EXPECT_EQ(dataset->classes.back(), "Ankle boot");
  EXPECT_EQ(dataset->classes.size(), 10U);
  labels[3] = 10;
  write("train-labels-idx1-ubyte", encode_idx(std::array{10U}, labels));
  EXPECT_EQ(load_error("fashion-mnist"), folder_.at("train-labels-idx1-ubyte") +
                                             ": label 10 at index 3 is out of range: there are 10 classes");
  ::unsetenv("RETORT_FASHION_MNIST");
}

TEST(FashionMnist, IsFoundWhereDebianPutsItOrSaysHowToGetIt) {
  try {
    const auto dataset = load("fashion-mnist");
    EXPECT_EQ(dataset->train.count(), 60000U);
    EXPECT_EQ(dataset->test.count(), 10000U);
    EXPECT_EQ(dataset->train.shape, (ImageShape{28, 28, 1}));
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "fashion-mnist: the data set is not installed: run `apt-get install dataset-fashion-mnist` "
                 "or `retort "
                 "data fetch fashion-mnist`, or name its folder as fashion-mnist:DIR");
  }
}

}  // namespace
}  // namespace retort::data
