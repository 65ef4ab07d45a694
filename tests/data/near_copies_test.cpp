#include "data/near_copies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "data/fixtures.h"
#include "data/image_file.h"

namespace retort::data {
namespace {

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;
using Pictures = std::vector<std::vector<uint8_t>>;

constexpr ImageShape kShape = {40, 48, 3};

// A picture of a few soft blobs and fine stripes, as a photograph has outlines and texture. `blobs` and `texture` are
// seeds of their own.
std::vector<uint8_t> picture(uint64_t blobs, uint64_t texture, ImageShape shape = kShape) {
  Rng rng(blobs);
  Rng fine(texture);
  std::vector<double> values(shape.bytes(), 110);
  const auto at = [&](int y, int x, int c) -> double& {
    return values[static_cast<size_t>((y * shape.width + x) * shape.channels + c)];
  };
  for (int blob = 0; blob < 6; ++blob) {
    const double cy = rng.uniform() * static_cast<float>(shape.height);
    const double cx = rng.uniform() * static_cast<float>(shape.width);
    const double size = 4 + 8 * static_cast<double>(rng.uniform());
    for (int c = 0; c < shape.channels; ++c) {
      const double strength = 160 * static_cast<double>(rng.uniform()) - 80;
      for (int y = 0; y < shape.height; ++y)
        for (int x = 0; x < shape.width; ++x)
          at(y, x, c) +=
              strength * std::exp(-((y - cy) * (y - cy) + (x - cx) * (x - cx)) / (2 * size * size));
    }
  }
  for (double& value : values) value += 24 * static_cast<double>(fine.uniform()) - 12;
  std::vector<uint8_t> bytes(values.size());
  std::ranges::transform(values, bytes.begin(),
                         [](double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); });
  return bytes;
}

std::vector<uint8_t> changed(std::vector<uint8_t> bytes, double gain, double offset) {
  for (uint8_t& byte : bytes)
    byte = static_cast<uint8_t>(std::clamp(std::round(gain * byte + offset), 0.0, 255.0));
  return bytes;
}

Pairs pairs_of(const Pictures& pictures, ImageShape shape = kShape, int threads = 2) {
  const std::vector<std::span<const uint8_t>> images(pictures.begin(), pictures.end());
  return find_near_pairs(images, shape, threads).pairs;
}

TEST(NearPairs, FindsAPictureThatWasStoredAnewOrMadeBrighter) {
  Pictures pictures;
  for (uint64_t i = 0; i < 30; ++i) pictures.push_back(picture(i, 100 + i));
  pictures.push_back(decode_image(encode_jpeg(pictures[3], kShape, 90), "x").pixels);
  pictures.push_back(changed(pictures[7], 0.8, 40));
  EXPECT_EQ(pairs_of(pictures), (Pairs{{3, 30}, {7, 31}}));
}

TEST(NearPairs, TellsTheSameOutlinesWithOtherDetailsApart) {
  const std::vector<uint8_t> one = picture(1, 2);
  const std::vector<uint8_t> other = picture(1, 3);
  EXPECT_LE(std::popcount(picture_hash(one, kShape).bits ^ picture_hash(other, kShape).bits), kNearHashBits);
  EXPECT_GT(likeness(one, other, kShape).pixels, 0.9);
  EXPECT_LT(likeness(one, other, kShape).details, 0.6);
  EXPECT_EQ(pairs_of({one, other}), Pairs{});
}

TEST(NearPairs, HoldAllThatComparingAllWithAllFinds) {
  Pictures pictures;
  Rng rng(4);
  for (uint64_t i = 0; i < 120; ++i) {
    pictures.push_back(i % 3 == 0 ? picture(i, i)
                                  : pictures[rng.below(static_cast<uint32_t>(pictures.size()))]);
    for (uint8_t& byte : pictures.back()) {
      const double noisy =
          byte + 40.0 * static_cast<double>(rng.uniform()) * (static_cast<double>(rng.uniform()) - 0.5);
      byte = static_cast<uint8_t>(std::clamp(noisy, 0.0, 255.0));
    }
  }
  Pairs all;
  for (uint32_t a = 0; a < pictures.size(); ++a)
    for (uint32_t b = a + 1; b < pictures.size(); ++b) {
      const uint64_t differing =
          picture_hash(pictures[a], kShape).bits ^ picture_hash(pictures[b], kShape).bits;
      const Likeness alike = likeness(pictures[a], pictures[b], kShape);
      // Of those that differ more some are found too.
      if (std::popcount(differing) <= 7 && alike.pixels >= kNear.pixels && alike.details >= kNear.details)
        all.emplace_back(a, b);
    }
  EXPECT_GT(all.size(), 20U);
  const Pairs found = pairs_of(pictures);
  EXPECT_TRUE(std::ranges::includes(found, all));
  for (const auto& [a, b] : found) {
    const Likeness alike = likeness(pictures[a], pictures[b], kShape);
    EXPECT_GE(alike.pixels, kNear.pixels);
    EXPECT_GE(alike.details, kNear.details);
  }
  EXPECT_EQ(std::ranges::adjacent_find(found), found.end());
  EXPECT_EQ(pairs_of(pictures, kShape, 1), found);
}

TEST(NearPairs, WorkOnGreyImagesSensorsAndLargeOnes) {
  for (const ImageShape shape : {ImageShape{28, 28, 1}, ImageShape{16, 20, 4}, ImageShape{200, 150, 3}}) {
    Pictures pictures = {picture(1, 1, shape), picture(2, 2, shape), changed(picture(1, 1, shape), 1, 10)};
    EXPECT_EQ(pairs_of(pictures, shape), (Pairs{{0, 2}})) << shape.height;
  }
}

TEST(NearPairs, LeaveOutWhatHasNoContrast) {
  const Pictures pictures(5, std::vector<uint8_t>(kShape.bytes(), 77));
  EXPECT_TRUE(picture_hash(pictures[0], kShape).plain);
  EXPECT_EQ(pairs_of(pictures), Pairs{});
  EXPECT_EQ(pairs_of({}), Pairs{});
}

TEST(NearPairs, AskForMoreWhereManyAreAlike) {
  constexpr ImageShape kSmall = {16, 16, 1};
  Rng rng(6);
  Pictures pictures;
  for (uint64_t i = 0; i < 1400; ++i) {
    pictures.push_back(picture(i / 2, i / 2, kSmall));
    for (uint8_t& byte : pictures.back())
      byte = static_cast<uint8_t>(std::min(255U, byte + rng.below(i < 1300 ? 11 : 2)));
  }
  const std::vector<std::span<const uint8_t>> images(pictures.begin(), pictures.end());
  const NearPairs found = find_near_pairs(images, kSmall, 2);
  EXPECT_TRUE(found.among_alike);
  EXPECT_GT(found.pairs.size(), 40U);
  EXPECT_LT(found.pairs.size(), 600U);
  for (const auto& [a, b] : found.pairs) EXPECT_GE(likeness(images[a], images[b], kSmall).details, 0.9);
  EXPECT_FALSE(find_near_pairs(std::span(images).first(800), kSmall, 2).among_alike);
}

TEST(NearPairs, SayWhenTheyGiveUpOnACrowd) {
  const Pictures pictures(200, picture(1, 1));
  const std::vector<std::span<const uint8_t>> images(pictures.begin(), pictures.end());
  EXPECT_EQ(find_near_pairs(images, kShape, 1).pairs.size(), 200U * 199 / 2);
  EXPECT_TRUE(find_near_pairs(images, kShape, 1).complete);
  const NearPairs some = find_near_pairs(images, kShape, 1, 1000);
  EXPECT_FALSE(some.complete);
  EXPECT_TRUE(some.pairs.empty());
}

}  // namespace
}  // namespace retort::data
