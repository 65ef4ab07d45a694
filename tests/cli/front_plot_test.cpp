#include "cli/front_plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace retort::cli {
namespace {

size_t count_of(const std::vector<std::string>& lines, std::string_view mark) {
  size_t count = 0;
  for (const std::string& line : lines)
    for (size_t at = line.find(mark); at != std::string::npos; at = line.find(mark, at + 1)) ++count;
  return count;
}

TEST(FrontOf, KeepsWhatNoOtherBeats) {
  const auto front = front_of({{300, 0.9}, {100, 0.5}, {200, 0.4}, {300, 0.8}, {100, 0.5}, {400, 0.9}});
  ASSERT_EQ(front.size(), 2U);
  EXPECT_EQ(front[0].flash_bytes, 100);
  EXPECT_EQ(front[1].flash_bytes, 300);
  EXPECT_EQ(front[1].accuracy, 0.9);
}

TEST(FrontOf, IsTheSameAsComparingAllPairs) {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<PlotPoint> points(1 + rng.below(30));
    for (PlotPoint& point : points)
      point = {static_cast<double>(1 + rng.below(10)), static_cast<double>(rng.below(10)) / 10};
    const auto front = front_of(points);
    for (const PlotPoint& point : points) {
      const bool beaten = std::ranges::any_of(points, [&](const PlotPoint& other) {
        return other.flash_bytes <= point.flash_bytes && other.accuracy >= point.accuracy &&
               (other.flash_bytes < point.flash_bytes || other.accuracy > point.accuracy);
      });
      const auto same = std::ranges::count_if(front, [&](const PlotPoint& other) {
        return other.flash_bytes == point.flash_bytes && other.accuracy == point.accuracy;
      });
      EXPECT_EQ(same, beaten ? 0 : 1);
    }
  }
}

TEST(FrontPlot, PutsTheMostAccurateAtTheTopAndTheSmallestAtTheLeft) {
  const LineStyle style{.columns = 40};
  const auto lines = front_plot({{8 * 1024, 0.70}, {64 * 1024, 0.90}, {64 * 1024, 0.72}}, style, 6);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0].find(" 90.0% |"), 0U) << lines[0];
  EXPECT_EQ(lines[4].find(" 70.0% |"), 0U) << lines[4];
  EXPECT_EQ(lines[5].find("       + 7.3 KB ---"), 0U) << lines[5];
  EXPECT_TRUE(lines[5].ends_with(" 70.4 KB of flash")) << lines[5];
  EXPECT_EQ(count_of(lines, "o"), 3U);                             // one is in "of flash"
  EXPECT_EQ(count_of({lines.begin(), lines.end() - 1}, "."), 3U);  // two are in the labels
  EXPECT_GT(lines[0].find('o'), 30U);
  EXPECT_LT(lines[4].find('o'), 12U);
}

TEST(FrontPlot, LeavesOutWhatIsFarBelowTheBest) {
  const auto lines = front_plot({{1000, 0.10}, {2000, 0.80}, {4000, 0.90}}, {.columns = 60}, 8);
  EXPECT_EQ(lines[0].find(" 90.0% |"), 0U);
  EXPECT_EQ(lines[6].find(" 50.0% |"), 0U);
  EXPECT_EQ(count_of(lines, "o"), 3U);
}

TEST(FrontPlot, ShowsTheTwoBestOfTheFrontHoweverFarApart) {
  const auto lines = front_plot({{1000, 0.10}, {2000, 0.20}, {4000, 0.90}}, {.columns = 60}, 8);
  EXPECT_EQ(lines[6].find(" 20.0% |"), 0U);
  EXPECT_EQ(count_of(lines, "o"), 3U);
}

TEST(FrontPlot, DrawsDotsOfBraille) {
  const LineStyle style{.columns = 60, .charset = Charset::Utf8};
  const auto lines =
      front_plot({{1000, 0.80}, {4000, 0.90}, {2000, 0.799999}, {3000, 0.85}, {3500, 0.81}}, style, 5);
  EXPECT_EQ(count_of(lines, "●"), 3U);
  size_t braille = 0;
  for (const std::string& line : lines)
    for (size_t i = 0; i + 2 < line.size(); ++i)
      if (static_cast<uint8_t>(line[i]) == 0xE2 && static_cast<uint8_t>(line[i + 1]) >= 0xA0 &&
          static_cast<uint8_t>(line[i + 1]) <= 0xA3)
        ++braille;
  EXPECT_EQ(braille, 1U);  // one is below the front's least accurate
}

TEST(FrontPlot, HasAScaleForOneModelAndForUselessOnes) {
  EXPECT_EQ(count_of(front_plot({{5000, 0.8}}, {.columns = 50}, 4), "o"), 2U);
  EXPECT_EQ(front_plot({{5000, 0}}, {.columns = 50}, 4).size(), 4U);
}

TEST(FrontPlot, IsNothingWhereItHasNoRoom) {
  EXPECT_TRUE(front_plot({}, {.columns = 60}, 8).empty());
  EXPECT_TRUE(front_plot({{5000, 0.8}}, {.columns = 35}, 8).empty());
  EXPECT_TRUE(front_plot({{5000, 0.8}}, {.columns = 60}, 2).empty());
}

TEST(FrontPlot, NeverIsWiderOrHigherThanAsked) {
  Rng rng(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<PlotPoint> points(rng.below(40));
    for (PlotPoint& point : points) point = {std::exp(rng.uniform(0, 20)), rng.uniform()};
    LineStyle style;
    style.columns = static_cast<int>(1 + rng.below(150));
    style.charset = rng.below(2) == 0 ? Charset::Ascii : Charset::Utf8;
    const int rows = static_cast<int>(rng.below(12));
    const auto lines = front_plot(points, style, rows);
    EXPECT_LE(static_cast<int>(lines.size()), std::max(rows, 0));
    for (const std::string& line : lines) EXPECT_LE(display_columns(line), style.columns);
  }
}

}  // namespace
}  // namespace retort::cli
