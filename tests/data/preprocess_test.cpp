#include "data/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/fixtures.h"

namespace retort::data {
namespace {

std::vector<uint8_t> resized(std::span<const uint8_t> image, ImageShape from, ImageShape to) {
  std::vector<uint8_t> out(to.bytes());
  resize(image, from, out, to);
  return out;
}

TEST(Gray, HasTheNotebooksWeightsRoundedToNearest) {
  Rng rng(1);
  for (int i = 0; i < 20000; ++i) {
    const std::vector<uint8_t> rgb = random_bytes(3, rng);
    uint8_t gray = 0;
    to_gray(rgb, std::span(&gray, 1));
    const double exact = 0.2989 * rgb[0] + 0.5870 * rgb[1] + 0.1140 * rgb[2];
    EXPECT_LE(std::abs(gray - exact), 0.5 + 1e-9);
  }
  const std::vector<uint8_t> ends = {0, 0, 0, 255, 255, 255};
  std::vector<uint8_t> gray(2);
  to_gray(ends, gray);
  EXPECT_EQ(gray, (std::vector<uint8_t>{0, 255}));
}

TEST(Gray, MayLieWhereTheColoursWere) {
  Rng rng(5);
  std::vector<uint8_t> pixels = random_bytes(3 * 1000, rng);
  std::vector<uint8_t> gray(1000);
  to_gray(pixels, gray);
  to_gray(pixels, std::span(pixels).first(gray.size()));
  pixels.resize(gray.size());
  EXPECT_EQ(pixels, gray);
}

TEST(Resize, SameSizeIsTheSameImage) {
  Rng rng(2);
  for (int i = 0; i < 20; ++i) {
    const ImageShape shape = {1 + static_cast<int>(rng.below(9)), 1 + static_cast<int>(rng.below(9)), 3};
    const std::vector<uint8_t> image = random_bytes(shape.bytes(), rng);
    EXPECT_EQ(resized(image, shape, shape), image);
  }
}

TEST(Resize, KeepsConstantsAndStaysInRange) {
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    const ImageShape from = {1 + static_cast<int>(rng.below(40)), 1 + static_cast<int>(rng.below(40)), 2};
    const ImageShape to = {1 + static_cast<int>(rng.below(40)), 1 + static_cast<int>(rng.below(40)), 2};
    const auto value = static_cast<uint8_t>(rng.below(256));
    const std::vector<uint8_t> constant(from.bytes(), value);
    EXPECT_EQ(resized(constant, from, to), std::vector<uint8_t>(to.bytes(), value));
    const std::vector<uint8_t> image = random_bytes(from.bytes(), rng);
    const auto [low, high] = std::minmax_element(image.begin(), image.end());
    for (const uint8_t byte : resized(image, from, to)) {
      EXPECT_GE(byte, *low);
      EXPECT_LE(byte, *high);
    }
  }
}

// The formula of the header, summed in two dimensions at once and in double.
TEST(Resize, FollowsItsFormula) {
  Rng rng(4);
  const auto weight = [](int i, int o, int in, int out) {
    const double scale = static_cast<double>(in) / out;
    return std::max(0.0, 1 - std::abs(i + 0.5 - (o + 0.5) * scale) / std::max(scale, 1.0));
  };
  for (int trial = 0; trial < 60; ++trial) {
    const ImageShape from = {1 + static_cast<int>(rng.below(17)), 1 + static_cast<int>(rng.below(17)), 1};
    const ImageShape to = {1 + static_cast<int>(rng.below(17)), 1 + static_cast<int>(rng.below(17)), 1};
    const std::vector<uint8_t> image = random_bytes(from.bytes(), rng);
    const std::vector<uint8_t> out = resized(image, from, to);
    for (int y = 0; y < to.height; ++y)
      for (int x = 0; x < to.width; ++x) {
        double sum = 0;
        double total = 0;
        for (int sy = 0; sy < from.height; ++sy)
          for (int sx = 0; sx < from.width; ++sx) {
            const double w = weight(sy, y, from.height, to.height) * weight(sx, x, from.width, to.width);
            sum += w * image[static_cast<size_t>(sy * from.width + sx)];
            total += w;
          }
        EXPECT_NEAR(out[static_cast<size_t>(y * to.width + x)], sum / total, 0.5 + 1.0 / 256);
      }
  }
}

TEST(Resize, ShrinkingAveragesInsteadOfSkipping) {
  // A one-pixel checkerboard has no detail left at a quarter of its size, only its mean.
  constexpr ImageShape kFrom = {32, 32, 1};
  std::vector<uint8_t> board(kFrom.bytes());
  for (size_t i = 0; i < board.size(); ++i) board[i] = (i / 32 + i % 32) % 2 == 0 ? 255 : 0;
  for (const uint8_t byte : resized(board, kFrom, {8, 8, 1})) EXPECT_NEAR(byte, 127.5, 4);
}

}  // namespace
}  // namespace retort::data
