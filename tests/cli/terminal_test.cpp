#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/json.h"

namespace retort::cli {
namespace {

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

TEST(Terminal, StrangersWordsMoveNoCursor) {
  testing::internal::CaptureStdout();
  {
    Terminal terminal(OutputOptions{});
    terminal.message("a\033[2Jb\nc");
    terminal.result("d\033]0;title\007e\nf");
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a [2Jb\nc\nd ]0;title e\nf\n");
}

TEST(Terminal, JsonStandsAloneOnStandardOutput) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    Terminal terminal({.format = ResultFormat::Json, .verbosity = Verbosity::Normal});
    terminal.message("word");
    terminal.result("text");
    terminal.result_json(Json{{"name", "\xff"}});
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
        terminal.refresh();
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
