#include "data/views.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>

#include "data/fixtures.h"

namespace retort::data {
namespace {

std::vector<uint8_t> view_of(const std::vector<uint8_t>& image, ImageShape shape, int view) {
  std::vector<uint8_t> out(shape.bytes());
  write_view(image, shape, view, out);
  return out;
}

TEST(Views, TheDefaultIsTheImageAlone) {
  EXPECT_EQ(view_count({}), 1U);
  EXPECT_EQ(view_numbers({}), std::vector<int>{0});
}

TEST(Views, OptionsChooseAmongFixedNumbers) {
  EXPECT_EQ(view_numbers({Mirror::Horizontal, 0}), (std::vector<int>{0, 1}));
  EXPECT_EQ(view_count({Mirror::None, 1}), 9U);
  EXPECT_EQ(view_count({Mirror::Horizontal, 1}), 18U);
  EXPECT_EQ(view_count({Mirror::Horizontal, 2}), 50U);
  EXPECT_EQ(view_count({Mirror::Horizontal, 4}), static_cast<size_t>(kViewCount));
  EXPECT_EQ(view_numbers({Mirror::Horizontal, 2, 5}), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(view_numbers({Mirror::None, 1, 2}), (std::vector<int>{0, 2}));
  EXPECT_EQ(view_count({Mirror::Horizontal, 0, 7}), 2U);
  EXPECT_EQ(usage_error([] { view_count({Mirror::None, 0, 0}); }),
            "0 views of an image: at least 1 is needed");
  for (const int view : view_numbers({Mirror::None, 2})) EXPECT_EQ(view % 2, 0);
  EXPECT_EQ(usage_error([] { view_count({Mirror::None, 5}); }),
            "views can be shifted by 0 to 4 pixels, not 5");
  EXPECT_EQ(usage_error([] { view_count({Mirror::None, -1}); }),
            "views can be shifted by 0 to 4 pixels, not -1");
}

TEST(Views, AreTheImageItsMirrorAndEveryShiftOnce) {
  Rng rng(6);
  const ImageShape shape = {11, 12, 3};
  const std::vector<uint8_t> image = random_bytes(shape.bytes(), rng);
  EXPECT_EQ(view_of(image, shape, 0), image);
  const std::vector<uint8_t> mirror = view_of(image, shape, 1);
  EXPECT_EQ(view_of(mirror, shape, 1), image);
  EXPECT_EQ(mirror[0], image[11 * 3]);

  std::set<std::string> distinct;
  for (int view = 0; view < kViewCount; ++view) {
    const std::vector<uint8_t> moved = view_of(image, shape, view);
    distinct.emplace(moved.begin(), moved.end());
    // One shift of at most its ring explains every pixel, borders repeating the edge.
    const std::vector<uint8_t>& base = view % 2 == 0 ? image : mirror;
    const int reach = view < 2 ? 0 : view < 18 ? 1 : view < 50 ? 2 : view < 98 ? 3 : 4;
    int explanations = 0;
    for (int down = -reach; down <= reach; ++down)
      for (int right = -reach; right <= reach; ++right) {
        bool same = true;
        for (int y = 0; y < 11; ++y)
          for (int x = 0; x < 12; ++x)
            for (int c = 0; c < 3; ++c) {
              const int from_y = std::clamp(y - down, 0, 10);
              const int from_x = std::clamp(x - right, 0, 11);
              same &= moved[static_cast<size_t>((y * 12 + x) * 3 + c)] ==
                      base[static_cast<size_t>((from_y * 12 + from_x) * 3 + c)];
            }
        explanations += same ? 1 : 0;
      }
    EXPECT_EQ(explanations, 1) << view;
  }
  EXPECT_EQ(distinct.size(), static_cast<size_t>(kViewCount));
}

TEST(Views, WorkOnTheSmallestImage) {
  for (int view = 0; view < kViewCount; ++view)
    EXPECT_EQ(view_of({9, 8}, {1, 1, 2}, view), (std::vector<uint8_t>{9, 8}));
}

// Images narrower than the longest shift included: every view is its unshifted one read at a clamped place.
TEST(Views, AreTheSameAtEverySize) {
  Rng rng(7);
  for (const ImageShape shape : {ImageShape{1, 2, 1}, {2, 1, 3}, {3, 2, 4}, {2, 5, 1}, {4, 4, 3}}) {
    const std::vector<uint8_t> image = random_bytes(shape.bytes(), rng);
    const std::vector<uint8_t> mirror = view_of(image, shape, 1);
    for (int view = 0; view < kViewCount; ++view) {
      const ViewPlace place = view_place(view);
      const std::vector<uint8_t>& base = place.mirrored ? mirror : image;
      std::vector<uint8_t> expected;
      for (int y = 0; y < shape.height; ++y)
        for (int x = 0; x < shape.width; ++x)
          for (int c = 0; c < shape.channels; ++c) {
            const int from_y = std::clamp(y - place.down, 0, shape.height - 1);
            const int from_x = std::clamp(x - place.right, 0, shape.width - 1);
            expected.push_back(
                base[static_cast<size_t>((from_y * shape.width + from_x) * shape.channels + c)]);
          }
      EXPECT_EQ(view_of(image, shape, view), expected) << view;
    }
  }
}

TEST(Views, ArePlacesEachOnceByTheirNumbers) {
  for (int view = 0; view < kViewCount; ++view) EXPECT_EQ(view_number(view_place(view)), view);
  EXPECT_EQ(view_place(0), ViewPlace());
  EXPECT_EQ(view_place(1), ViewPlace{.mirrored = true});
  EXPECT_EQ(view_number({.down = kMaxViewShift + 1}), std::nullopt);
}

// What a timed search cuts from the end leaves nothing shifted to one side, and no direction out for long.
TEST(Views, EverySoManyOfTheFirstAreBalanced) {
  int ring_before = 0;
  int down = 0;
  int right = 0;
  double across =
      0;  // Σ (right² − down²) and Σ 2 · right · down over the ring: 0 where directions are spread
  double slanted = 0;
  for (int view = 0; view < kViewCount; view += 2) {
    const ViewPlace place = view_place(view);
    EXPECT_EQ(view_place(view + 1), (ViewPlace{.down = place.down, .right = place.right, .mirrored = true}));
    const int ring = std::max(std::abs(place.down), std::abs(place.right));
    EXPECT_TRUE(ring == ring_before || ring == ring_before + 1) << view;
    if (ring != ring_before) {
      EXPECT_NEAR(across, 0, 1e-9) << "a whole ring";
      EXPECT_NEAR(slanted, 0, 1e-9);
    }
    ring_before = ring;
    down += place.down;
    right += place.right;
    const bool is_none = down == 0 && right == 0;
    EXPECT_TRUE(is_none || (down == place.down && right == place.right)) << view;
    const double longest = std::max(place.down * place.down + place.right * place.right, 1);
    across += (place.right * place.right - place.down * place.down) / longest;
    slanted += 2 * place.right * place.down / longest;
    EXPECT_LE(std::hypot(across, slanted), 2 + 1e-9)
        << "more than one pair of shifts in one direction: " << view;
  }
  EXPECT_EQ(down, 0);
  EXPECT_EQ(right, 0);
}

}  // namespace
}  // namespace retort::data
