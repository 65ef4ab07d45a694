#include "cli/progress_line.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace retort::cli {
namespace {

TaskState halfway() {
  return {.name = "teacher",
          .done = 5,
          .total = 10,
          .note = "loss 0.412",
          .first_done = 0,
          .elapsed_seconds = 20,
          .silent_seconds = 0};
}

TEST(SecondsLeft, FollowsTheSpeedSoFar) {
  TaskState task = halfway();
  EXPECT_NEAR(*seconds_left(task), 20, 1e-9);
  task.first_done = 4;  // resumed: one unit in 20 seconds
  EXPECT_NEAR(*seconds_left(task), 100, 1e-9);
  task.silent_seconds = 30;
  EXPECT_NEAR(*seconds_left(task), 70, 1e-9);
  task.silent_seconds = 1000;
  EXPECT_EQ(*seconds_left(task), 0);
}

TEST(SecondsLeft, IsUnknownAtTheStartAndWithoutATotal) {
  TaskState task = halfway();
  task.elapsed_seconds = 0.5;
  EXPECT_FALSE(seconds_left(task));
  task = halfway();
  task.first_done = 5;
  EXPECT_FALSE(seconds_left(task));
  task = halfway();
  task.total = 0;
  EXPECT_FALSE(seconds_left(task));
}

TEST(DisplayColumns, CountsCharactersNotBytes) {
  EXPECT_EQ(display_columns("abc"), 3);
  EXPECT_EQ(display_columns("\u00e9t\u00e9"), 3);
  EXPECT_EQ(display_columns("\u732b"), 2);   // a wide character
  EXPECT_EQ(display_columns("e\u0301"), 1);  // a combining accent
  EXPECT_EQ(display_columns("\xff\xfe"), 2);
}

TEST(FitColumns, CutsAtCharacters) {
  EXPECT_EQ(fit_columns("teacher", 7, Charset::Utf8), "teacher");
  EXPECT_EQ(fit_columns("teacher", 4, Charset::Utf8), "tea\u2026");
  EXPECT_EQ(fit_columns("teacher", 4, Charset::Ascii), "tea~");
  EXPECT_EQ(fit_columns("\u732b\u732b\u732b", 4, Charset::Ascii), "\u732b~");
  EXPECT_EQ(fit_columns("teacher", 0, Charset::Utf8), "");
}

TEST(ProgressLine, ShowsEverythingWhereThereIsRoom) {
  const LineStyle style{
      .columns = 119, .name_columns = 9, .charset = Charset::Ascii, .colours = Colours::Off};
  EXPECT_EQ(progress_line(halfway(), style),
            "teacher    ##########..........  50%  5/10  20s left  loss 0.412");
}

TEST(ProgressLine, KeepsNameAndPercentageWhereThereIsLittle) {
  const LineStyle style{
      .columns = 19, .name_columns = 14, .charset = Charset::Ascii, .colours = Colours::Off};
  EXPECT_EQ(progress_line(halfway(), style), "teacher         50%");
}

TEST(ProgressLine, SaysAHundredPercentOnlyAtTheEnd) {
  const LineStyle style{.columns = 40, .name_columns = 8};
  TaskState task = halfway();
  task.done = 9.9999;
  EXPECT_NE(progress_line(task, style).find("99%"), std::string::npos);
}

TEST(ProgressLine, LeavesOutControlCharacters) {
  TaskState task = halfway();
  task.name = "a\nb";
  task.note = "c\033[2Jd";
  const std::string line = progress_line(task, {.columns = 119, .name_columns = 5});
  EXPECT_EQ(line.find_first_of("\n\033"), std::string::npos);
}

TEST(WithoutControls, LeavesNothingThatMovesACursor) {
  EXPECT_EQ(without_controls("a\033[2Jb\nc\td\x7f"), "a [2Jb c d ");
  EXPECT_EQ(lines_without_controls("a\033[2Jb\nc\td\r"), "a [2Jb\nc\td ");
  EXPECT_EQ(without_controls("\xC2\x9B"
                             "2J é … 漢"),
            " 2J é … 漢")
      << "the one byte CSI as UTF-8";
}

TEST(ProgressLine, ColoursTakeNoColumns) {
  LineStyle style{.columns = 119, .name_columns = 9, .charset = Charset::Ascii, .colours = Colours::On};
  std::string line = progress_line(halfway(), style);
  EXPECT_NE(line.find('\033'), std::string::npos);
  for (size_t at = line.find('\033'); at != std::string::npos; at = line.find('\033'))
    line.erase(at, line.find('m', at) - at + 1);
  style.colours = Colours::Off;
  EXPECT_EQ(line, progress_line(halfway(), style));
}

TEST(ProgressLine, NeverIsWiderThanTheTerminal) {
  Rng rng(7);
  const std::vector<std::string> words = {"trial 12 quick", "\u732b\u732b\u732b", "", "x",
                                          "a rather long name of a task"};
  for (int i = 0; i < 3000; ++i) {
    TaskState task;
    task.name = words[rng.below(5)];
    task.note = words[rng.below(5)];
    task.total = rng.below(4) == 0 ? 0 : rng.uniform(0.5F, 1e7F);
    task.done = task.total * static_cast<double>(rng.uniform());
    task.elapsed_seconds = rng.uniform(0, 1e5F);
    LineStyle style;
    style.columns = static_cast<int>(1 + rng.below(130));
    style.name_columns = static_cast<int>(1 + rng.below(30));
    style.charset = rng.below(2) == 0 ? Charset::Ascii : Charset::Utf8;
    EXPECT_LE(display_columns(progress_line(task, style)), style.columns);
  }
}

TEST(Forgotten, IsATaskThatWasLeftAndNotOneThatIsSlow) {
  TaskState candidates{.name = "candidates", .done = 1, .total = 12, .silent_seconds = 1000, .updates = 1};
  EXPECT_FALSE(is_forgotten(candidates));  // the second may take as long as it likes
  candidates.updates = 4;
  candidates.elapsed_seconds = 600;
  EXPECT_FALSE(is_forgotten(candidates));
  TaskState failed = halfway();
  failed.updates = 200;
  failed.silent_seconds = 50;
  EXPECT_FALSE(is_forgotten(failed));
  failed.silent_seconds = 70;
  EXPECT_TRUE(is_forgotten(failed));
}

TEST(PlainLines, AreDueByFifthsOfTheWorkWithinReason) {
  EXPECT_FALSE(plain_line_due({.seconds_since_begin = 1, .lines = 0}));
  EXPECT_TRUE(plain_line_due({.seconds_since_begin = 4, .lines = 0}));
  EXPECT_FALSE(plain_line_due({.seconds_since_line = 9, .share_since_line = 0.5, .lines = 1}));
  EXPECT_FALSE(plain_line_due({.seconds_since_line = 30, .share_since_line = 0.1, .lines = 1}));
  EXPECT_TRUE(plain_line_due({.seconds_since_line = 11, .share_since_line = 0.2, .lines = 1}));
  EXPECT_TRUE(plain_line_due({.seconds_since_line = 61, .share_since_line = 0, .lines = 1}));
}

TEST(PlainText, HasTheFiguresInWords) {
  EXPECT_EQ(plain_text(halfway()), "50%, 5/10, 20s left, loss 0.412");
  EXPECT_EQ(plain_text({.name = "counting", .done = 3}), "3");
}

}  // namespace
}  // namespace retort::cli
