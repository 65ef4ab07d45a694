#include "report/arena_picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>

#include "report/xml.h"

namespace retort::report {
namespace {

ArenaPicture small_picture() {
  return {.title = "a <b> & \"c\"",
          .operators = {"CONV_2D", "MAX_POOL_2D", "MEAN"},
          .boxes = {{ArenaBox::Kind::Ends, "input", 1024, 16'384, -1, 0},
                    {ArenaBox::Kind::Activation, "conv<1>", 16'384, 0, 0, 1},
                    {ArenaBox::Kind::Activation, "pool", 4096, 16'384, 1, 2},
                    {ArenaBox::Kind::Scratch, "scratch of MEAN", 512, 0, 2, 2}},
          .tail_bytes = 2000,
          .capacity_bytes = 32'768};
}

ArenaPicture large_picture(int operators) {
  ArenaPicture picture{.title = "large", .tail_bytes = 100};
  for (int i = 0; i < operators; ++i) {
    picture.operators.emplace_back("DEPTHWISE_CONV_2D");
    picture.boxes.push_back({ArenaBox::Kind::Activation, "block_" + std::to_string(i) + "/depthwise/Relu6",
                             int64_t{16} << (i % 11), (i % 2) * (int64_t{16} << 10), i,
                             std::min(i + 1 + i % 3, operators - 1)});
  }
  return picture;
}

TEST(ArenaPicture, HasARectangleABuffer) {
  const std::string svg = arena_svg(small_picture());
  EXPECT_TRUE(well_formed(svg));
  EXPECT_EQ(count(svg, "class=\"arena-box"), 4U + 1U);  // and the tail
  EXPECT_EQ(count(svg, "arena-box arena-top"), 1U);     // the pool makes the peak
  for (const char* part :
       {"a &lt;b&gt; &amp; &quot;c&quot;",
        "conv&lt;1&gt;: 16,384 bytes at 0, from operator 0 (CONV_2D) to operator 1",
        "input: 1,024 bytes at 16,384, from the start to operator 0", ">16.0 KB<", "peak 20,480 bytes",
        "fullest at 1 MAX_POOL_2D", "with tail 22,480 bytes", "capacity 32,768 bytes", ">scratch<",
        ">0 CONV_2D<", "20,480 bytes at the peak + 2,000 of structures = 22,480, of 32,768",
        "prefers-color-scheme:dark"})
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  EXPECT_EQ(svg.find("<script"), std::string::npos);
}

TEST(ArenaPicture, TellsALimitThatIsFarAwayInWordsAlone) {
  ArenaPicture picture = small_picture();
  picture.capacity_bytes = 1 << 20;
  const std::string svg = arena_svg(picture);
  EXPECT_EQ(svg.find("capacity"), std::string::npos);
  EXPECT_NE(svg.find(", of 1,048,576"), std::string::npos);
}

TEST(ArenaPicture, IsDrawnForAnyNumberOfOperators) {
  for (const int operators : {0, 1, 3, 60, 1000}) {
    const std::string svg = arena_svg(large_picture(operators));
    EXPECT_TRUE(well_formed(svg)) << operators;
    EXPECT_EQ(count(svg, "class=\"arena-box"), static_cast<size_t>(operators) + 1);
    EXPECT_EQ(svg.find("nan"), std::string::npos) << operators;
    EXPECT_EQ(svg.find("inf"), std::string::npos) << operators;
  }
}

// Two buffers of the same place and time have one text there.
TEST(ArenaPicture, TextsDoNotMeet) {
  ArenaPicture picture = small_picture();
  ArenaBox twin = picture.boxes[1];
  twin.label = "twin";
  picture.boxes.push_back(twin);
  const std::string svg = arena_svg(picture);
  EXPECT_NE(svg.find("twin: 16,384 bytes"), std::string::npos);
  EXPECT_EQ(svg.find(">twin<"), std::string::npos);
  // Names of operators, where they stand at a slant, keep a line's distance.
  for (const int operators : {12, 60, 500}) {
    const std::string large = arena_svg(large_picture(operators));
    const std::regex slanted("translate\\(([0-9.]+) [0-9.]+\\) rotate\\(-55\\)");
    double last = -100;
    for (std::sregex_iterator it(large.begin(), large.end(), slanted), end; it != end; ++it) {
      const double x = std::stod((*it)[1]);
      EXPECT_GE((x - last) * 0.82, 12) << operators;
      last = x;
    }
    EXPECT_GT(last, 0);
  }
}

}  // namespace
}  // namespace retort::report
