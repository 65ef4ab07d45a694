#include <gtest/gtest.h>

#include "base/file.h"
#include "data/fixtures.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

class Cifar10 : public testing::Test {
 protected:
  // Records whose pixel p of plane c is (p + 50 c) modulo 251.
  static std::vector<uint8_t> batch(size_t count, uint8_t first_label = 0) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < count; ++i) {
      bytes.push_back(static_cast<uint8_t>((first_label + i) % 10));
      for (size_t c = 0; c < 3; ++c)
        for (size_t p = 0; p < 1024; ++p) bytes.push_back(static_cast<uint8_t>((p + 50 * c) % 251));
    }
    return bytes;
  }
  // The six files, of two images each: labels 0 and 1, 2 and 3, …, and 0 and 1 for testing.
  void write_all(const fs::path& folder) {
    for (int i = 0; i < 5; ++i)
      write_bytes(folder / fmt::format("data_batch_{}.bin", i + 1), batch(2, static_cast<uint8_t>(2 * i)));
    write_bytes(folder / "test_batch.bin", batch(2));
  }
  [[nodiscard]] std::string spec() const { return "cifar10:" + folder_.path().string(); }
  [[nodiscard]] std::string error() const { return load_error(spec()); }
  TestFolder folder_;
};

TEST_F(Cifar10, ReadsBatchesInOrderAsChannelsLast) {
  write_all(folder_.path());
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(dataset->test.count(), 2U);
  EXPECT_EQ(dataset->train.shape, (ImageShape{32, 32, 3}));
  for (size_t p = 0; p < 1024; ++p)
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(dataset->train.image(7)[3 * p + c], (p + 50 * c) % 251);
  EXPECT_EQ(dataset->classes.front(), "airplane");
  EXPECT_EQ(dataset->classes.back(), "truck");
  EXPECT_EQ(load(spec() + "?gray=1&size=16x16")->test.shape, (ImageShape{16, 16, 1}));
}

TEST_F(Cifar10, ReadsNamesAndTheArchivesOwnFolder) {
  const fs::path inner = folder_ / "cifar-10-batches-bin";
  write_all(inner);
  write_text_atomic(inner / "batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  EXPECT_EQ(load(spec())->classes,
            (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}));
  write_text_atomic(inner / "batches.meta.txt", "a\nb\n");
  EXPECT_EQ(error(), (inner / "batches.meta.txt").string() + ": names 2 classes; CIFAR-10 has 10");
}

TEST_F(Cifar10, RefusesWrongFiles) {
  EXPECT_EQ(load_error("cifar10:" + folder_.at("none")), folder_.at("none") + ": there is no such folder");
  write_all(folder_.path());
  const std::string name = folder_.at("data_batch_1.bin");
  write_bytes(name, {});
  EXPECT_EQ(error(), name + ": has 0 bytes, which is not a whole number of CIFAR-10 records of 3073 bytes");
  std::vector<uint8_t> bytes = batch(10);
  bytes.pop_back();
  write_bytes(name, bytes);
  EXPECT_EQ(error(),
            name + ": has 30729 bytes, which is not a whole number of CIFAR-10 records of 3073 bytes");
  bytes = batch(10);
  bytes[2 * 3073] = 10;
  write_bytes(name, bytes);
  EXPECT_EQ(error(), name + ": record 2 (byte 6146) has label 10; CIFAR-10 labels are 0 to 9");
  write_bytes(name, batch(2));
  write_bytes(folder_ / "data_batch_5.bin", batch(1, 8));
  EXPECT_EQ(error(), spec() + ": class \"truck\" has no training image");
  fs::remove(name);
  fs::create_directory(name);
  EXPECT_EQ(error(), name + ": is a folder where a file is expected");
}

TEST_F(Cifar10, ReadsAllSixFilesAndNothingElse) {
  write_all(folder_.path());
  write_bytes(folder_ / "data_batch_1_copy.bin", batch(7));
  write_bytes(folder_ / "data_batch_6.bin", batch(7));
  EXPECT_EQ(load(spec())->train.count(), 10U);
  for (const char* name : {"test_batch.bin", "data_batch_5.bin", "data_batch_3.bin", "data_batch_1.bin"}) {
    fs::remove(folder_ / name);
    const std::string sentence = fmt::format(
        "{}: has no {}; expected are data_batch_1.bin to data_batch_5.bin and test_batch.bin, the binary "
        "version "
        "of CIFAR-10",
        folder_.path().string(), name);
    EXPECT_EQ(error(), sentence);
    EXPECT_EQ(load_error(spec(), BadImages::Skip), sentence);
  }
}

// A terabyte without any disk behind it.
TEST_F(Cifar10, TakesNoMoreMemoryThanThereIs) {
  write_all(folder_.path());
  fs::resize_file(folder_ / "data_batch_3.bin", uintmax_t{3073} * 400'000'000);
  const std::string sentence = error();
  EXPECT_EQ(sentence.find(folder_.path().string() + ": its images would take 1228.8 GB, more than the "), 0U)
      << sentence;
}

TEST_F(Cifar10, SkipsWrongRecordsAndCountsThem) {
  std::vector<uint8_t> bytes = batch(20);
  bytes[2 * 3073] = 10;
  bytes[5 * 3073] = 255;
  bytes.resize(bytes.size() - 7);
  write_all(folder_.path());
  write_bytes(folder_ / "data_batch_1.bin", bytes);
  bytes = batch(2);
  bytes.resize(3073 + 100);
  write_bytes(folder_ / "test_batch.bin", bytes);
  const auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 4);
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 3, 4, 6, 7, 8, 9, 0, 1, 2, 3, 4,
                                                          5, 6, 7, 8, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(dataset->train.pixels.size(), 25U * 3072);
  EXPECT_EQ(dataset->test.count(), 1U);
  write_bytes(folder_ / "test_batch.bin", {});
  EXPECT_EQ(load_error(spec(), BadImages::Skip),
            folder_.at("test_batch.bin") +
                ": has 0 bytes, which is not a whole number of CIFAR-10 records of 3073 bytes");
}

}  // namespace
}  // namespace retort::data
