#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>
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

// What a terminal writes to standard error in a pipe.
template <typename Body>
std::string plain_lines(const Body& body) {
  testing::internal::CaptureStderr();
  {
    Terminal terminal(OutputOptions{});
    body(terminal);
  }
  return testing::internal::GetCapturedStderr();
}

size_t count_lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
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

TEST(PlainLines, TellTheEndOnlyOfAShortTask) {
  const std::string text = plain_lines([](Terminal& terminal) {
    for (int i = 0; i <= 1000; ++i) terminal.update("loading", i, 1000, "");
    terminal.update("loading", 1, 1, "");  // an end told twice
  });
  EXPECT_EQ(count_lines(text), 1U) << text;
  EXPECT_NE(text.find("loading: done in"), std::string::npos);
}

TEST(PlainLines, AnEndWithoutWordsKeepsTheLastOnes) {
  const std::string text = plain_lines([](Terminal& terminal) {
    terminal.update("quick", 3, 5, "validation 71.0%");
    terminal.update("quick", 1, 1, "");
  });
  EXPECT_NE(text.find("done in"), std::string::npos);
  EXPECT_EQ(text.rfind("validation 71.0%\n"), text.size() - 17);
}

TEST(PlainLines, ANewTaskOfTheSameNameBeginsAnew) {
  const std::string text = plain_lines([](Terminal& terminal) {
    for (int run = 0; run < 2; ++run)
      for (int i = 0; i <= 2; ++i) terminal.update("quick", i, 2, "");
  });
  EXPECT_EQ(count_lines(text), 2U) << text;
}

TEST(PlainLines, FinishEndsATask) {
  const std::string text = plain_lines([](Terminal& terminal) {
    terminal.update("quick", 1, 5, "");
    terminal.finish("quick");
    terminal.finish("never begun");
  });
  EXPECT_EQ(count_lines(text), 1U) << text;
}

TEST(Terminal, QuietSaysNothingButResults) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    Terminal terminal({.format = ResultFormat::Text, .verbosity = Verbosity::Quiet});
    terminal.update("teacher", 1, 2, "");
    terminal.message("word");
    terminal.result("result");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "result\n");
}

TEST(Terminal, JsonStandsAloneOnStandardOutput) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    Terminal terminal({.format = ResultFormat::Json, .verbosity = Verbosity::Normal});
    terminal.message("word");
    terminal.result("text");
    terminal.result_json(nlohmann::json{{"name", "\xff"}});
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "word\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "{\n  \"name\": \"\ufffd\"\n}\n");
}

TEST(Terminal, LinesOfManyThreadsStayWhole) {
  testing::internal::CaptureStdout();
  const std::string errors = plain_lines([](Terminal& terminal) {
    std::vector<std::jthread> threads;
    for (int k = 0; k < 8; ++k)
      threads.emplace_back([&terminal, k] {
        const std::string name = "trial " + std::to_string(k);
        for (int i = 0; i <= 200; ++i) {
          terminal.update(name, i, 200, "some note");
          if (i % 20 == 0) terminal.message("[" + std::string(200, static_cast<char>('a' + k)) + "]");
        }
        terminal.set_best(name);
        terminal.set_seconds_left(k);
      });
  });
  EXPECT_EQ(count_lines(errors), 8U);
  const std::string output = testing::internal::GetCapturedStdout();
  ASSERT_EQ(output.size(), 8U * 11 * 203);
  for (size_t at = 0; at < output.size(); at += 203) {
    EXPECT_EQ(output[at], '[');
    EXPECT_EQ(output.substr(at + 1, 200), std::string(200, output[at + 1]));
    EXPECT_EQ(output.substr(at + 201, 2), "]\n");
  }
}

}  // namespace
}  // namespace retort::cli
