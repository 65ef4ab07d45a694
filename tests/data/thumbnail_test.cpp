#include "data/thumbnail.h"

#include <gtest/gtest.h>

#include "data/image_file.h"

namespace retort::data {
namespace {

TEST(Thumbnail, SmallPicturesStayAsTheyAre) {
  const std::vector<uint8_t> pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const Thumbnail picture = thumbnail(pixels, {1, 4, 3}, 16);
  EXPECT_EQ(picture.height, 1);
  EXPECT_EQ(picture.width, 4);
  EXPECT_EQ(decode_image(picture.png, "it").pixels, pixels);
}

TEST(Thumbnail, OfOtherChannelsTheFirstIsShown) {
  const std::vector<uint8_t> pixels = {1, 200, 2, 200, 3, 200, 4, 200};
  const Thumbnail picture = thumbnail(pixels, {2, 2, 2}, 16);
  EXPECT_EQ(decode_image(picture.png, "it").pixels, (std::vector<uint8_t>{1, 2, 3, 4}));
}

TEST(Thumbnail, LargeOnesKeepTheirProportions) {
  const ImageShape shape = {60, 200, 1};
  const Thumbnail picture = thumbnail(std::vector<uint8_t>(shape.bytes(), 77), shape, 50);
  EXPECT_EQ(picture.width, 50);
  EXPECT_EQ(picture.height, 15);
  EXPECT_EQ(decode_image(picture.png, "it").pixels, std::vector<uint8_t>(750, 77));
  EXPECT_EQ(thumbnail(std::vector<uint8_t>(1000, 1), {1, 1000, 1}, 50).height, 1);
}

}  // namespace
}  // namespace retort::data
