#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "data/arrays.h"
#include "data/fixtures.h"
#include "data/npy.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

using Shape = std::vector<int64_t>;

class NpyFolder : public testing::Test {
 protected:
  void SetUp() override {
    Rng rng(16);
    pixels_ = random_bytes(4 * 2 * 3 * 2, rng);
    write("x_train.npy", "|u1", {4, 2, 3, 2}, pixels_);
    write_labels("y_train.npy", {0, 1, 0, 1});
  }
  void write(const char* name, const char* dtype, const Shape& shape, std::span<const uint8_t> bytes) {
    write_npy(folder_ / name, dtype, shape, bytes);
  }
  void write_floats(const char* name, const Shape& shape, const std::vector<float>& values) {
    write_npy(folder_ / name, shape, values);
  }
  void write_labels(const char* name, const std::vector<int64_t>& labels) {
    write_npy(folder_ / name, "<i8", Shape{static_cast<int64_t>(labels.size())},
              {reinterpret_cast<const uint8_t*>(labels.data()), labels.size() * 8});
  }
  [[nodiscard]] std::string spec() const { return "npy:" + folder_.path().string(); }
  [[nodiscard]] std::string error() const { return load_error(spec()); }
  [[nodiscard]] std::string x() const { return folder_.at("x_train.npy"); }
  [[nodiscard]] std::string y() const { return folder_.at("y_train.npy"); }

  TestFolder folder_;
  std::vector<uint8_t> pixels_;
};

TEST_F(NpyFolder, ReadsBytesWithAndWithoutChannels) {
  auto dataset = load(spec());
  EXPECT_EQ(dataset->train.shape, (ImageShape{2, 3, 2}));
  EXPECT_EQ(dataset->train.pixels, pixels_);
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 0, 1}));
  EXPECT_EQ(dataset->range, (ValueRange{0, 1}));
  EXPECT_EQ(dataset->test.count(), 0U);
  write("x_train.npy", "|u1", {4, 2, 6}, pixels_);
  EXPECT_EQ(load(spec())->train.shape, (ImageShape{2, 6, 1}));
}

TEST_F(NpyFolder, TakesLabelsOfEveryIntegerTypeAsColumnsAndOneHot) {
  const std::vector<uint16_t> expected = {0, 1, 0, 1};
  write("y_train.npy", "|u1", {4}, std::array<uint8_t, 4>{0, 1, 0, 1});
  EXPECT_EQ(load(spec())->train.labels, expected);
  write("y_train.npy", "<i2", {4, 1}, std::array<uint8_t, 8>{0, 0, 1, 0, 0, 0, 1, 0});
  EXPECT_EQ(load(spec())->train.labels, expected);
  write_floats("y_train.npy", {4, 2}, {1, 0, 0, 1, 1, 0, 0, 1});
  EXPECT_EQ(load(spec())->train.labels, expected);
  write("y_train.npy", "|u1", {4, 2}, std::array<uint8_t, 8>{1, 0, 0, 1, 1, 0, 0, 1});
  EXPECT_EQ(load(spec())->train.labels, expected);
}

TEST_F(NpyFolder, QuantisesFloatsWithTheTrainingRange) {
  Rng rng(17);
  std::vector<float> values(48);
  for (float& value : values) value = rng.uniform(-3, 7);
  write_floats("x_train.npy", {4, 2, 3, 2}, values);
  std::vector<float> outside = {-100, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  write_floats("x_test.npy", {1, 2, 3, 2}, outside);
  write_labels("y_test.npy", {1});
  const auto dataset = load(spec());
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_EQ(dataset->range, (ValueRange{*low, *high}));
  const float step = (*high - *low) / 255;
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(*low + static_cast<float>(dataset->train.pixels[i]) * step, values[i], step / 2 + 1e-5);
  EXPECT_EQ(dataset->test.pixels[0], 0);
  EXPECT_EQ(dataset->test.pixels[1], 255);
}

TEST_F(NpyFolder, TakesNamesAndRangeFromItsDescription) {
  const auto describe = [&](const std::string& text) {
    write_bytes(folder_ / "dataset.json", std::vector<uint8_t>(text.begin(), text.end()));
  };
  describe(R"({"classes": ["cat", "dog"], "range": {"low": -2, "high": 3}})");
  const auto dataset = load(spec());
  EXPECT_EQ(dataset->classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(dataset->range, (ValueRange{-2, 3}));
  describe(R"({"classes": ["cat"], "range": {"low": -2, "high": 3}})");
  EXPECT_EQ(error(), folder_.at("dataset.json") + ": names 1 classes, and the labels have 2");
  describe(R"({"classes": ["cat", "dog"], "range": {"low": 3, "high": 3}})");
  EXPECT_EQ(error(), folder_.at("dataset.json") +
                         ": the range is 3 to 3: low must be below high, both finite numbers");
  describe("{");
  EXPECT_TRUE(error().starts_with(folder_.at("dataset.json") + ": is no description of a data set"))
      << error();
}

TEST(Values, ThatBytesCannotStandForAreRefused) {
  const std::vector<float> values = {0, 1, 2, std::nanf(""), 4, INFINITY};
  EXPECT_EQ(usage_error([&] { require_finite(values, 2, "x"); }),
            "x: image 1 holds NaN (value 3 of the file); values must be finite numbers");
  EXPECT_EQ(usage_error([&] { require_finite(std::span(values).last(2), 1, "x"); }),
            "x: image 1 holds an infinity (value 1 of the file); values must be finite numbers");
  EXPECT_EQ(usage_error([&] { require_finite(std::span(values).first(3), 1, "x"); }), "no error");
  EXPECT_TRUE(is_range({-1, 3.4e38F}));
  for (const ValueRange range : {ValueRange{1, 1}, {2, 1}, {-INFINITY, 1}, {0, INFINITY}, {NAN, 1}, {0, NAN}})
    EXPECT_FALSE(is_range(range)) << range.low << " " << range.high;
}

TEST_F(NpyFolder, QuantisesTheWidestRange) {
  const float most = 3.4e38F;
  write_floats("x_train.npy", {4, 1, 1}, {-most, most, 0, most});
  EXPECT_EQ(load(spec())->train.pixels, (std::vector<uint8_t>{0, 255, 128, 255}));
}

TEST_F(NpyFolder, NamesWhatIsMissing) {
  EXPECT_EQ(load_error("npy:" + folder_.at("none")), folder_.at("none") + ": there is no such folder");
  write_labels("y_test.npy", {1});
  EXPECT_EQ(error(), folder_.path().string() + ": has y_test.npy without x_test.npy");
  fs::remove(folder_ / "y_test.npy");
  write("x_test.npy", "|u1", {1, 2, 3, 2}, std::span(pixels_).first(12));
  EXPECT_EQ(error(), folder_.path().string() + ": has x_test.npy without y_test.npy");
  fs::remove(y());
  EXPECT_EQ(error(), y() + ": cannot be read: No such file or directory");
}

TEST_F(NpyFolder, RefusesWrongImages) {
  write("x_train.npy", "<i2", {4, 2, 3, 1}, pixels_);
  EXPECT_EQ(error(), x() + ": has dtype <i2; images are uint8 or float32");
  write("x_train.npy", "|u1", {4, 12}, pixels_);
  EXPECT_EQ(error(),
            x() + ": has shape (4, 12); images are N x height x width or N x height x width x channels");
  write("x_train.npy", "|u1", {}, std::span(pixels_).first(1));
  EXPECT_EQ(error(), x() + ": has shape (); images are N x height x width or N x height x width x channels");
  write("x_train.npy", "|u1", {0, 2, 3}, {});
  EXPECT_EQ(error(), x() + ": has shape (0, 2, 3); dimension 0 must be at least 1");
  write("x_train.npy", "|u1", {4, 0, 3}, {});
  EXPECT_EQ(error(), x() + ": has shape (4, 0, 3); dimension 1 must be 1 to 65536");
  write_floats("x_train.npy", {4, 1, 2}, {0, 1, 2, std::nanf(""), 4, 5, 6, 7});
  EXPECT_EQ(error(), x() + ": image 1 holds NaN (value 3 of the file); values must be finite numbers");
  write_floats("x_train.npy", {4, 1, 2}, {0, 1, 2, 3, 4, INFINITY, 6, 7});
  EXPECT_EQ(error(),
            x() + ": image 2 holds an infinity (value 5 of the file); values must be finite numbers");
  write_floats("x_train.npy", {4, 1, 2}, std::vector<float>(8, 2.5F));
  EXPECT_EQ(error(), x() + ": every value is 2.5; there is nothing to learn from");
  SetUp();
  EXPECT_EQ(load_error(spec() + "?gray=1"),
            spec() + "?gray=1: the training images have 2 channels; gray=0|1 is for images of 1 or 3");
  EXPECT_EQ(load(spec() + "?size=4x4")->train.shape, (ImageShape{4, 4, 2}));
}

TEST_F(NpyFolder, RefusesASizeThatMemoryDoesNotHold) {
  write("x_train.npy", "|u1", {4, 1, 1, 65536}, std::vector<uint8_t>(4 * 65536));
  const std::string said = load_error(spec() + "?size=4096x4096");
  EXPECT_EQ(
      said.find(spec() +
                "?size=4096x4096: 4 training images of 4096x4096x65536 would take 4398.0 GB, more than"),
      0U)
      << said;
}

TEST_F(NpyFolder, RefusesWrongLabels) {
  write_labels("y_train.npy", {0, 1, 0});
  EXPECT_EQ(error(), y() + ": has 3 labels for 4 images");
  write_labels("y_train.npy", {0, 1, -1, 1});
  EXPECT_EQ(error(), y() + ": label -1 at index 2 is out of range: labels are 0 to 65534");
  write_labels("y_train.npy", {0, 1, 0, 1000000000000});
  EXPECT_EQ(error(), y() + ": label 1000000000000 at index 3 is out of range: labels are 0 to 65534");
  write_labels("y_train.npy", {0, 2, 0, 2});
  EXPECT_EQ(error(), y() + ": class \"1\" has no training image");
  write_floats("y_train.npy", {4}, {0, 1, 0, 1});
  EXPECT_EQ(error(), y() + ": has dtype <f4; labels are integers, or one-hot rows");
  write_floats("y_train.npy", {4, 2}, {1, 0, 0, 1, 0.5F, 0.5F, 0, 1});
  EXPECT_EQ(error(), y() + ": row 2 is not one-hot: one value must be 1 and the others 0");
  write_floats("y_train.npy", {4, 2}, {1, 0, 0, 1, 1, 1, 0, 1});
  EXPECT_EQ(error(), y() + ": row 2 is not one-hot: one value must be 1 and the others 0");
  write_floats("y_train.npy", {2, 2, 1}, {1, 0, 0, 1});
  EXPECT_EQ(error(), y() + ": has shape (2, 2, 1); labels are N integers or N x classes one-hot rows");
}

TEST_F(NpyFolder, SkipsWrongLabelsAndCountsThem) {
  write_labels("y_train.npy", {0, 1, -1, 1});
  write("x_test.npy", "|u1", {2, 2, 3, 2}, std::span(pixels_).first(24));
  write_labels("y_test.npy", {2, 1});
  auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 2);
  EXPECT_EQ(dataset->train.labels, (std::vector<uint16_t>{0, 1, 1}));
  EXPECT_TRUE(std::ranges::equal(dataset->train.image(2), std::span(pixels_).subspan(36)));
  EXPECT_EQ(dataset->test.labels, (std::vector<uint16_t>{1}));
  write_floats("y_train.npy", {4, 2}, {1, 0, 0.5F, 0.5F, 0, 1, 0, 1});
  EXPECT_EQ(load(spec(), BadImages::Skip)->train.labels, (std::vector<uint16_t>{0, 1, 1}));
  write_labels("y_train.npy", {70000, -1, -1, -5});
  EXPECT_EQ(load_error(spec(), BadImages::Skip), spec() + ": has no training images");
}

TEST_F(NpyFolder, SkipsImagesThatAreNotFiniteAndLeavesThemOutOfTheRange) {
  write_floats("x_train.npy", {4, 1, 2}, {0, 1, -50, std::nanf(""), 4, 5, INFINITY, 9});
  write_labels("y_train.npy", {0, 0, 1, 1});
  const auto dataset = load(spec(), BadImages::Skip);
  EXPECT_EQ(dataset->skipped, 2);
  EXPECT_EQ(dataset->range, (ValueRange{0, 5}));
  EXPECT_EQ(dataset->train.pixels, (std::vector<uint8_t>{0, 51, 204, 255}));
  write_floats("x_train.npy", {4, 1, 2}, std::vector<float>(8, NAN));
  EXPECT_EQ(load_error(spec(), BadImages::Skip), y() + ": class \"0\" has no training image");
}

TEST_F(NpyFolder, RefusesATestSetThatDoesNotMatch) {
  write("x_test.npy", "|u1", {1, 3, 2, 2}, std::span(pixels_).first(12));
  write_labels("y_test.npy", {1});
  EXPECT_EQ(error(), spec() + ": test images are 3x2x2, training images 2x3x2");
  write_floats("x_test.npy", {1, 2, 3, 2}, std::vector<float>(12, 1));
  EXPECT_EQ(error(), folder_.at("x_test.npy") + ": has dtype <f4 where x_train.npy has |u1");
  write("x_test.npy", "|u1", {1, 2, 3, 2}, std::span(pixels_).first(12));
  write_labels("y_test.npy", {2});
  EXPECT_EQ(error(), folder_.at("y_test.npy") + ": has 3 classes where y_train.npy has 2");
}

}  // namespace
}  // namespace retort::data
