#include "report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "report/sample_study.h"
#include "report/svg.h"

namespace retort::report {
namespace {

size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// Every element that is opened is closed, in order: enough XML for what Chart writes.
bool well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    if (end == std::string::npos) return false;
    const bool closing = svg[at + 1] == '/';
    const size_t start = at + (closing ? 2 : 1);
    const std::string name = svg.substr(start, svg.find_first_of(" />", start) - start);
    if (closing) {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    } else if (svg[end - 1] != '/') {
      open.push_back(name);
    }
  }
  return open.empty();
}

TEST(Svg, ViridisEndsAndMonotoneGreen) {
  EXPECT_EQ(viridis(0), "#440154");
  EXPECT_EQ(viridis(1), "#fde725");
  EXPECT_EQ(viridis(-3), viridis(0));
  int previous = -1;
  for (int i = 0; i <= 20; ++i) {
    const int green = std::stoi(viridis(i / 20.0).substr(3, 2), nullptr, 16);
    EXPECT_GE(green, previous);
    previous = green;
  }
}

TEST(Svg, EscapesEverythingThatXmlReserves) {
  EXPECT_EQ(escape_xml("<a&'\"\x01>"), "&lt;a&amp;&#39;&quot;&gt;");
}

TEST(Svg, FittedAxisHoldsItsValuesAndSkipsUnknownOnes) {
  const Axis axis = fitted_axis("x", {5, search::kUnknown, 50}, Scale::Log, "{:g}");
  EXPECT_LT(axis.low, 5);
  EXPECT_GT(axis.high, 50);
  const Axis single = fitted_axis("x", {0.7}, Scale::Linear, "{:g}");
  EXPECT_LT(single.low, 0.7);
  EXPECT_GT(single.high, 0.7);
}

TEST(Report, ScatterIsTheNotebooksFigure) {
  const std::string svg = scatter_svg(sample_study(7, 2));
  EXPECT_TRUE(well_formed(svg));
  EXPECT_NE(svg.find("Top 5 Models: Accuracy vs Number of Parameters"), std::string::npos);
  EXPECT_NE(svg.find("Model Size (MB)"), std::string::npos);
  EXPECT_EQ(count(svg, "<circle"), 5U);
  for (int i = 1; i <= 5; ++i) EXPECT_NE(svg.find(">Model " + std::to_string(i) + "<"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Report, PageHoldsEveryTrialAndEscapesTheData) {
  for (const int complete : {0, 1, 7}) {
    const search::StudyResult study = sample_study(complete, 2);
    const std::string html = html_report(study);
    EXPECT_EQ(html.find("<more>"), std::string::npos);
    EXPECT_EQ(html.find("nan"), std::string::npos);
    EXPECT_EQ(html.find("http://") == std::string::npos ||
                  count(html, "http://") == count(html, "http://www.w3.org"),
              true);
    for (const search::TrialResult& trial : study.trials)
      EXPECT_NE(html.find(">" + std::to_string(trial.number) + ". " + trial.config), std::string::npos);
    EXPECT_EQ(count(html, "<svg"), complete > 0 ? 3U : 0U);
  }
}

TEST(Report, CsvHasALineATrialAndQuotesCommas) {
  const std::string csv = trials_csv(sample_study(2, 1));
  EXPECT_EQ(count(csv, "\r\n"), 4U);
  EXPECT_NE(csv.find("\"2 blocks, 1 layer, 16 filters\""), std::string::npos);
  // The same number of columns in each line, quotes respected.
  std::vector<size_t> columns{1};
  bool quoted = false;
  for (const char c : csv) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) ++columns.back();
    if (c == '\n') columns.push_back(1);
  }
  columns.pop_back();
  EXPECT_EQ(std::ranges::count(columns, columns.front()), static_cast<std::ptrdiff_t>(columns.size()));
}

TEST(Report, JsonRoundTripKeepsUnknownNumbersUnknown) {
  const search::StudyResult study = sample_study(1, 1);
  const std::string text = study_json(study);
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_NE(text.find("\"accuracy_int8\""), std::string::npos);
}

}  // namespace
}  // namespace retort::report
