#include "cli/search_display.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace retort::cli {
namespace {

SearchStatus in_the_heats() {
  SearchStatus status;
  status.phases = {{SearchPhase::Teacher, "teacher", "91.20%"},
                   {SearchPhase::Exploring, "exploring", "42"},
                   {SearchPhase::Heats, "heats", "3 of 8"},
                   {SearchPhase::Candidates, "candidates", ""},
                   {SearchPhase::Finalists, "finalists", ""}};
  status.now = SearchPhase::Heats;
  status.complete = 44;
  status.infeasible = 3;
  status.failed = 1;
  status.best = {.accuracy = 0.8412, .flash_bytes = 21811, .ram_bytes = 10035, .config = "conv 8, gap"};
  status.limits.flash_bytes = 64 * 1024;
  status.models = {{9000, 0.7}, {21811, 0.8412}};
  status.images_per_second = 31240.4;
  status.seconds_left = 252;
  return status;
}

TEST(SearchLines, SayEverythingWhereThereIsRoom) {
  const auto lines = search_lines(in_the_heats(), {.columns = 99}, 4);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0], "search  + teacher 91.20%  + exploring 42  > heats 3 of 8  - candidates  - finalists");
  EXPECT_EQ(lines[1], "trials  44 complete, 1 failed, 3 infeasible");
  EXPECT_EQ(lines[2], "best    84.12%  21.3 KB of 64.0 KB flash  9.8 KB RAM  conv 8, gap");
  EXPECT_EQ(lines[3], "time    4m 12s left  31,240 images/s in all");
}

TEST(SearchLines, NarrowOnesKeepThePhaseThatRuns) {
  const auto at_39 = search_lines(in_the_heats(), {.columns = 39}, 4);
  EXPECT_EQ(at_39[0], "search  > heats 3 of 8  - candidates");
  EXPECT_EQ(at_39[2], "best    84.12%  21.3 KB flash");
  const auto at_19 = search_lines(in_the_heats(), {.columns = 19}, 4);
  EXPECT_EQ(at_19[0], "> heats 3 of 8");
  EXPECT_EQ(at_19[2], "84.12%");
  EXPECT_EQ(at_19[3], "4m 12s left");
}

TEST(SearchLines, FewKeepTheBest) {
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 80}, 1).at(0).find("best    84.12%"), 0U);
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 80}, 2).at(1).find("best    84.12%"), 0U);
  SearchStatus status = in_the_heats();
  status.best.reset();
  EXPECT_EQ(search_lines(status, {.columns = 30}, 1).at(0), "> heats 3 of 8  - candidates");
}

TEST(SearchLines, HaveThePlotWhereItFits) {
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 80}, 8).size(), 4U);
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 80}, 9).size(), 9U);
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 80}, 50).size(), 12U);
  EXPECT_EQ(search_lines(in_the_heats(), {.columns = 20}, 50).size(), 4U);
}

TEST(SearchLines, ColoursTakeNoColumns) {
  for (std::string line : search_lines(in_the_heats(), {.columns = 70, .colours = Colours::On}, 20)) {
    EXPECT_NE(line.find('\033'), std::string::npos);
    for (size_t at = line.find('\033'); at != std::string::npos; at = line.find('\033'))
      line.erase(at, line.find('m', at) - at + 1);
    EXPECT_LE(display_columns(line), 70);
  }
}

TEST(SearchLines, NeverAreWiderOrMoreThanAsked) {
  Rng rng(5);
  for (int round = 0; round < 2000; ++round) {
    SearchStatus status = in_the_heats();
    status.now = static_cast<SearchPhase>(rng.below(5));
    if (rng.below(3) == 0) status.best.reset();
    if (rng.below(3) == 0) status.seconds_left.reset();
    if (rng.below(3) == 0) status.images_per_second = 0;
    if (rng.below(3) == 0) status.phases.erase(status.phases.begin() + 1, status.phases.begin() + 3);
    LineStyle style;
    style.columns = static_cast<int>(1 + rng.below(130));
    style.charset = rng.below(2) == 0 ? Charset::Ascii : Charset::Utf8;
    const int rows = static_cast<int>(1 + rng.below(30));
    const auto lines = search_lines(status, style, rows);
    EXPECT_LE(static_cast<int>(lines.size()), rows);
    EXPECT_FALSE(lines.empty());
    for (const std::string& line : lines) EXPECT_LE(display_columns(line), style.columns) << line;
  }
}

TEST(SpeedMeter, IsAMeanOfTheLastSeconds) {
  SpeedMeter meter;
  EXPECT_EQ(meter.images_per_second(0), 0);
  for (int i = 0; i <= 20; ++i) meter.add(i, 100);
  EXPECT_NEAR(meter.images_per_second(20), 100, 1e-9);
  for (int i = 21; i <= 60; ++i) meter.add(i, 300);
  EXPECT_NEAR(meter.images_per_second(60), 300, 1e-9);
}

TEST(SpeedMeter, KnowsNothingAtTheStartAndAfterASilence) {
  SpeedMeter meter;
  meter.add(0, 1000);
  meter.add(0.1, 1000);
  EXPECT_EQ(meter.images_per_second(0.1), 0);
  meter.add(2, 1000);
  EXPECT_GT(meter.images_per_second(2), 0);
  EXPECT_EQ(meter.images_per_second(100), 0);
}

TEST(SearchDisplay, InAPipePassesTasksOn) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  {
    Terminal terminal(OutputOptions{});
    SearchDisplay display(terminal, search::preset("micro"));
    display.message("Heats: 2 of them again.");
    display.update("heats", 1, 2, "");
    display.update("heats", 2, 2, "");
    display.trained(1000);
    display.set_seconds_left(10);
    display.changed({});
  }
  const std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_EQ(errors.find("heats: done in "), 0U) << errors;
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 1);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "Heats: 2 of them again.\n");
}

}  // namespace
}  // namespace retort::cli
