#include "report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "report/html.h"
#include "report/sample_study.h"
#include "report/svg.h"
#include "report/xml.h"

namespace retort::report {
namespace {

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
  const Axis axis = fitted_axis("x", {5, search::kUnknown, 50}, Scale::Log);
  EXPECT_LT(axis.low, 5);
  EXPECT_GT(axis.high, 50);
  const Axis single = fitted_axis("x", {0.7}, Scale::Linear);
  EXPECT_LT(single.low, 0.7);
  EXPECT_GT(single.high, 0.7);
}

// Every text between <text …> and </text>.
std::vector<std::string> texts(const std::string& svg) {
  std::vector<std::string> found;
  for (size_t at = svg.find("<text"); at != std::string::npos; at = svg.find("<text", at + 1)) {
    const size_t begin = svg.find('>', at) + 1;
    found.push_back(svg.substr(begin, svg.find('<', begin) - begin));
  }
  return found;
}

// The ticks of such axes had no end.
TEST(Chart, AbsurdValuesHaveAnAxis) {
  for (const Scale scale : {Scale::Linear, Scale::Log}) {
    const std::vector<double> values = {1e-300, 1e300, -1e300, 3};
    const Axis axis = fitted_axis("x", values, scale);
    EXPECT_GT(axis.low, -1e60);
    EXPECT_LT(axis.high, 1e60);
    Chart chart("c", axis, axis);
    for (const double value : values) chart.point(value, value, {});
    EXPECT_NE(chart.svg().find("</svg>"), std::string::npos);
  }
}

TEST(Svg, TicksOfCloseValuesDiffer) {
  Chart chart("c", fitted_axis("x", {1, 2}, Scale::Linear), fitted_axis("y", {3, 4}, Scale::Linear));
  chart.colour_bar("size", 0.31052, 0.31061);
  std::vector<std::string> labels;
  for (const std::string& text : texts(chart.svg()))
    if (text.starts_with("0.3105") || text.starts_with("0.3106")) labels.push_back(text);
  EXPECT_GE(labels.size(), 4U);
  std::ranges::sort(labels);
  EXPECT_EQ(std::ranges::adjacent_find(labels), labels.end());
}

TEST(Svg, ALogAxisWithinADecadeHasTicks) {
  for (const auto& [low, high] : {std::pair{5.2, 9.8}, std::pair{210.0, 340.0}, std::pair{1.02, 1.7}}) {
    const std::string svg =
        Chart("", {.label = "x", .low = low, .high = high, .scale = Scale::Log}, {.label = "y"}).svg();
    const auto found = texts(svg);
    EXPECT_GE(std::ranges::count_if(found,
                                    [&](const std::string& text) {
                                      const double value = std::strtod(text.c_str(), nullptr);
                                      return value >= low && value <= high;
                                    }),
              1)
        << low;
  }
}

TEST(Svg, AnAxisThatBeginsJustBelowZeroHasNoMinusZero) {
  Axis epochs{.label = "epoch", .low = -0.3, .high = 7.4, .scale = Scale::Linear};
  const std::string svg = Chart("", epochs, epochs).svg();
  EXPECT_NE(svg.find(">0<"), std::string::npos);
  EXPECT_EQ(svg.find(">-0<"), std::string::npos);
}

TEST(Svg, LabelsOfTheSamePlaceStandOnDifferentLines) {
  Chart chart("c", fitted_axis("x", {1, 2}, Scale::Linear), fitted_axis("y", {3, 4}, Scale::Linear));
  for (int i = 0; i < 5; ++i) chart.annotate(1.5, 3.5, 7, -7, "Model");
  chart.rule(1.2, "distill");
  chart.rule(1.21, "prune");
  const std::string svg = chart.svg();
  std::vector<std::string> lines;
  for (size_t at = svg.find("class=\"note\""); at != std::string::npos;
       at = svg.find("class=\"note\"", at + 1)) {
    const size_t y = svg.rfind(" y=\"", at) + 4;
    lines.push_back(svg.substr(y, svg.find('"', y) - y));
  }
  ASSERT_EQ(lines.size(), 7U);
  std::ranges::sort(lines);
  EXPECT_EQ(std::ranges::adjacent_find(lines), lines.end());
}

TEST(Svg, TextsStayInTheDrawing) {
  Chart chart("Accuracy against multiply-accumulates (one model in 6, the front, the top ones)",
              {.label = "epoch", .low = 0, .high = 10}, {.label = "y"});
  chart.rule(9.9, "quantize done");
  chart.rule(0.1, "quick done");
  chart.legend({"best so far", "explored", "explored, changed", "heat", "all stages"},
               std::vector<std::string>(5, "red"));
  const std::string svg = chart.svg();
  EXPECT_TRUE(well_formed(svg));
  EXPECT_NE(svg.find(R"(text-anchor="end" class="note">quantize done<)"), std::string::npos) << svg;
  EXPECT_NE(svg.find(R"(text-anchor="start" class="note">quick done<)"), std::string::npos);
  EXPECT_EQ(count(svg, "class=\"title\""), 2U) << "a long title takes two lines";
  // Of each text its end, were it drawn in large letters.
  constexpr double kLetter = 8.5;
  for (size_t at = svg.find("<text x=\""); at != std::string::npos; at = svg.find("<text x=\"", at + 1)) {
    const std::string tag = svg.substr(at, svg.find('>', at) - at);
    const std::string text =
        svg.substr(at + tag.size() + 1, svg.find('<', at + tag.size()) - at - tag.size() - 1);
    const double x = std::stod(tag.substr(9));
    const double width = kLetter * static_cast<double>(text.size());
    const bool end = tag.find("\"end\"") != std::string::npos;
    const bool middle = tag.find("\"middle\"") != std::string::npos;
    EXPECT_GE(x - (end ? width : middle ? width / 2 : 0), 0) << text;
    EXPECT_LE(x + (end ? 0 : middle ? width / 2 : width), 520) << text;
  }
}

TEST(Svg, WhatIsCountedHasWholeTicks) {
  for (const double high : {1.5, 2.5, 3.5, 40.5}) {
    Axis epochs{.label = "epoch", .low = 0, .high = high, .ticks = Ticks::Whole};
    for (const std::string& text : texts(Chart("", epochs, epochs).svg()))
      EXPECT_EQ(text.find('.'), std::string::npos) << text;
  }
}

TEST(Svg, NumbersOfTicksDoNotTouch) {
  const std::string svg =
      Chart("", {.label = "x", .low = 1.0e6, .high = 1.9e6, .scale = Scale::Log}, {.label = "y"}).svg();
  double before = -1e9;
  for (size_t at = svg.find("<text x=\""); at != std::string::npos; at = svg.find("<text x=\"", at + 1)) {
    if (svg.compare(svg.find("text-anchor", at), 20, "text-anchor=\"middle\"") != 0) break;
    const double x = std::stod(svg.substr(at + 9));
    EXPECT_GT(x - before, 8.5 * 3);
    before = x;
  }
}

TEST(Report, ScatterIsTheNotebooksFigure) {
  const std::string svg = scatter_svg(sample_study(7, 2));
  EXPECT_TRUE(well_formed(svg));
  EXPECT_NE(svg.find("Top 5 Models: Accuracy vs Number of Parameters"), std::string::npos);
  EXPECT_NE(svg.find("Model Size (MB)"), std::string::npos);
  EXPECT_EQ(count(svg, "<circle"), 5U);
  for (int i = 1; i <= 5; ++i) EXPECT_NE(svg.find(">Model " + std::to_string(i) + "<"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(scatter_svg(sample_study(3, 0)).find("Top 3 Models: "), std::string::npos);
}

TEST(Report, TrainingsAreCountedByWhatTheyWere) {
  search::StudyResult study = sample_study(4, 1);
  EXPECT_NE(
      html_report(study).find("<p>5 trainings in 8m 00s: 4 went through all stages, 1 did not pass the gate. "
                              "The teacher"),
      std::string::npos);
  study.trials[0].effort = search::Effort::Explore;
  study.trials[1].effort = search::Effort::Heat;
  study.left_out = 1;
  EXPECT_NE(
      html_report(study).find("<p>5 trainings in 8m 00s: 1 structure explored, 1 heat, 2 went through all "
                              "stages, 1 did not pass the gate. 1 more was left out"),
      std::string::npos);
  study = sample_study(1, 0);
  EXPECT_NE(html_report(study).find("<p>1 training in 8m 00s: 1 went through all stages. "),
            std::string::npos);
}

TEST(Report, OneModelHasOneSetOfFigures) {
  const search::StudyResult study = sample_study(7, 2);
  const std::string html = html_report(study);
  EXPECT_NE(html.find("Best: <b>" + search::find_trial(study, study.best)->config + "</b>"),
            std::string::npos);
  EXPECT_NE(html.find("<b>86.00%</b><span>validation accuracy, int8, seed 2; 85.50 ± 0.60% over 2 seeds"),
            std::string::npos);
  EXPECT_NE(html.find("<b>84.00%</b><span>test accuracy, int8, seed 2; 83.50 ± 0.70% over 2 seeds"),
            std::string::npos);
  EXPECT_NE(html.find("<b>86.00%</b><td>85.50 ± 0.60%<td>84.00%<td>83.50 ± 0.70%<td>2<td>81%"),
            std::string::npos);
  EXPECT_NE(html.find("81% of the kernels&#39; weights zero"), std::string::npos);
  EXPECT_EQ(count(html, " · exported"), 1U);
  EXPECT_NE(html.find("first-b.tflite</a> · exported"), std::string::npos);
  EXPECT_NE(trials_csv(study).find(",2,0.855,0.006,0.84,0.835,0.007,2,,first-b.tflite,full,,,\r\n"),
            std::string::npos)
      << trials_csv(study);

  search::StudyResult running = study;
  running.best = -1;
  running.finalists.clear();
  EXPECT_NE(
      html_report(running).find("Best so far: <b>" + search::find_trial(study, study.top.front())->config),
      std::string::npos);
}

TEST(Report, TellsWhichTrialsDiverged) {
  search::StudyResult study = sample_study(2, 0);
  EXPECT_EQ(html_report(study).find("diverged in"), std::string::npos);
  study.trials[1].diverged = {{"distill", "step 3 of 9: a weight of layer 1 (conv) is nan, it <said>"}};
  const std::string told = "diverged in distill (step 3 of 9: a weight of layer 1 (conv) is nan, it ";
  EXPECT_NE(
      html_report(study).find("; " + told + "&lt;said&gt;), which began anew with 0.25 of the learning rate"),
      std::string::npos);
  EXPECT_NE(trials_csv(study).find(",\"" + told +
                                   "<said>), which began anew with 0.25 of the learning rate\",\r\n"),
            std::string::npos);
}

TEST(Report, TellsThatTheTeacherDiverged) {
  search::StudyResult study = sample_study(2, 0);
  study.teacher.diverged = {{"training", "step 3 of 9: the loss is <nan>"}};
  EXPECT_NE(html_report(study).find("; it diverged in training (step 3 of 9: the loss is &lt;nan&gt;), which "
                                    "began anew with 0.25 of the learning rate."),
            std::string::npos);
}

TEST(Report, ShowsTheNearestMisses) {
  search::StudyResult study = sample_study(2, 0);
  study.trials[0].effort = search::Effort::Explore;
  study.plan_json = R"({"exploration":{"epochs":1,"above_limits":7}})";
  EXPECT_EQ(html_report(study).find("The nearest of those"), std::string::npos) << "of an earlier version";
  study.plan_json = R"({"exploration":{"epochs":1,"above_limits":7,"nearest_misses":[
      {"config":"conv 4, gap","ratio":1.0234,"reason":"<5> bytes"}]}})";
  EXPECT_NE(html_report(study).find("<tr><td>conv 4, gap<td>2.34 %<td>&lt;5&gt; bytes</tr>"),
            std::string::npos);
}

TEST(Report, ShowsTheRecipesThatWereCompared) {
  search::StudyResult study = sample_study(4, 0);
  study.trials[0].effort = search::Effort::Explore;
  study.plan_json = R"({"exploration":{"epochs":1,"above_limits":7}})";
  EXPECT_EQ(html_report(study).find("<h3>Recipes"), std::string::npos) << "of an earlier version";
  study.trials[1].effort = study.trials[2].effort = search::Effort::Recipe;
  study.trials[1].recipe = search::Recipe{.alpha = 0.25F, .qat = 0.04};
  study.trials[2].recipe = search::Recipe{.alpha = 0.25F, .qat = 0.04, .wider = 1.25};
  study.trials[1].accuracy_int8 = 0.8;
  study.trials[2].accuracy_int8 = 0.9;
  const std::string undecided = html_report(study);
  EXPECT_NE(undecided.find("<td>alpha 0.25, 4% quantisation-aware training<td>80.00 %<td>"),
            std::string::npos);
  EXPECT_EQ(undecided.find("<td>taken</tr>"), std::string::npos);
  study.plan_json = R"({"exploration":{"epochs":1,"above_limits":7},"recipe":{
      "recipe":{"alpha":0.25,"sparsity":0,"qat":0.04,"wider":1.25},
      "control":{"alpha":0.25,"sparsity":0,"qat":0.04,"wider":1}}})";
  const std::string html = html_report(study);
  const size_t best = html.find("<td>taken</tr>");
  const size_t own = html.find("<td>the settings' own</tr>");
  ASSERT_NE(best, std::string::npos);
  ASSERT_NE(own, std::string::npos);
  EXPECT_LT(best, own) << "the best first";
  study.plan_json = R"({"exploration":{"epochs":1,"above_limits":7},"recipe":{
      "recipe":null,"control":{"alpha":0.25,"sparsity":0,"qat":0.04,"wider":1}}})";
  EXPECT_NE(html_report(study).find("<td>the settings' own, taken</tr>"), std::string::npos);

  const std::string csv = trials_csv(study);
  EXPECT_NE(csv.find(",recipe\r\n"), std::string::npos);
  EXPECT_NE(csv.find("\"alpha 0.25, from 1.25x wider, 4% quantisation-aware training\"\r\n"),
            std::string::npos);
}

TEST(Report, ShowsThePlanAndTheZerosOfEachLayer) {
  search::StudyResult study = sample_study(2, 0);
  EXPECT_EQ(html_report(study).find("Epochs that the time had room for"), std::string::npos);
  study.plan_json = R"({"quick":3,"teacher_epochs":2})";
  const std::string html = html_report(study);
  EXPECT_NE(html.find("&quot;teacher_epochs&quot;: 2"), std::string::npos);
  EXPECT_NE(html.find("conv 3×3×1→16<td>144<td>80.0%"), std::string::npos);
}

TEST(Report, SaysWhyThereIsNoTeacher) {
  search::StudyResult study = sample_study(2, 0);
  EXPECT_EQ(html_report(study).find("No teacher"), std::string::npos);
  study.plan_json = R"({"teacher_epochs":0,"no_teacher":"No teacher: an epoch of it takes <long>."})";
  EXPECT_NE(html_report(study).find(" No teacher: an epoch of it takes &lt;long&gt;."), std::string::npos);
}

TEST(Report, CountsWhatWasLeftOutForLackOfTime) {
  search::StudyResult study = sample_study(2, 0);
  EXPECT_EQ(html_report(study).find("left out"), std::string::npos);
  study.left_out = 7;
  EXPECT_NE(html_report(study).find("7 more were left out for lack of time"), std::string::npos);
}

TEST(Report, TheCommandsCanBeCopiedIntoAShell) {
  search::StudyResult study = sample_study(2, 0);
  study.data_spec = "images:it's";
  EXPECT_NE(html_report(study).find("--data &#39;images:it&#39;\\&#39;&#39;s&#39;\nretort inspect "),
            std::string::npos);
}

TEST(Report, PageHoldsEveryTrialAndEscapesTheData) {
  for (const int complete : {0, 1, 7}) {
    const search::StudyResult study = sample_study(complete, 2);
    const std::string html = html_report(study);
    EXPECT_EQ(html.find("<more>"), std::string::npos);
    EXPECT_EQ(html.find("nan"), std::string::npos);
    // Nothing is loaded from anywhere: the one address is the name space of SVG.
    EXPECT_EQ(count(html, "://"), count(html, "xmlns=\"http://www.w3.org/2000/svg\""));
    for (const search::TrialResult& trial : study.trials)
      EXPECT_NE(html.find(">trial " + std::to_string(trial.number) + ": " + trial.config), std::string::npos);
    EXPECT_EQ(count(html, "<svg"), complete > 0 ? 7U : 0U);
  }
}

TEST(Report, WhatTheChipMustHoldIsShownInParts) {
  search::StudyResult study = sample_study(1, 0);
  const std::string html = html_report(study);
  EXPECT_NE(html.find("flash with the runtime: model 4,000 + code 5,000 bytes"), std::string::npos);
  EXPECT_NE(html.find("RAM with the runtime: arena 19,000 + static 12 + stack 345 bytes"), std::string::npos);
  EXPECT_NE(html.find("12.5 ms ± 25 %"), std::string::npos);
  EXPECT_NE(trials_csv(study).find(",4000,5000,19000,12,345,12.5,"), std::string::npos);
  study.trials[0].footprint = {};
  EXPECT_EQ(html_report(study).find("with the runtime"), std::string::npos) << "of an earlier version";
}

// The terminal and `retort pick` know trials by their numbers, pictures know models by their ranks: each says which.
TEST(Report, NumbersSayWhetherTheyAreOfATrialOrARank) {
  search::StudyResult study = sample_study(7, 0);
  study.trials[0].effort = search::Effort::Explore;
  study.top = {6, 5};
  for (search::TrialResult& trial : study.trials) trial.accuracy_float = trial.accuracy_int8;
  const std::string html = html_report(study);
  const std::string& best = study.trials[6].config;
  EXPECT_EQ(html.find("6. " + best), std::string::npos);
  EXPECT_EQ(html.find("1. " + best), std::string::npos);
  EXPECT_NE(html.find("<summary>Model 1: " + best + "; "), std::string::npos);
  EXPECT_NE(html.find("Model 2: " + study.trials[5].config), std::string::npos);
  EXPECT_NE(html.find("Model 1: " + best + "</a><td><a href='#trial-6'>6</a><td>"), std::string::npos);
  EXPECT_NE(html.find("trial 6: " + best + "; 86.00% int8 on validation, "), std::string::npos)
      << "of the front";
  EXPECT_NE(html.find("trial 6: " + best + "; 86.00%, after "), std::string::npos) << "of the progress";
  EXPECT_NE(html.find("trial 6: " + best + "; float 86.00%, "), std::string::npos) << "of quantising";
  EXPECT_NE(html.find("trial 0: " + study.trials[0].config + "; 80.00%, 8.8 KB of flash"), std::string::npos)
      << "of the exploration";
}

// As limits, cards, fronts and `retort pick` have them; the arena of TFLM alone is among a model's details.
TEST(Report, TablesHaveFlashAndRamWithTheRuntime) {
  search::StudyResult study = sample_study(1, 1);
  const std::string heads = "<th scope=col>flash<th scope=col>RAM";
  const std::string cells = "<td>8.8 KB<td>18.9 KB";
  const std::string latency = "<td>12.5 ms<span class=change> ± 25 %</span>";
  std::string html = html_report(study);
  EXPECT_EQ(html.find("arena M4"), std::string::npos);
  EXPECT_EQ(count(html, heads + "<th scope=col>latency"), 2U);
  EXPECT_EQ(count(html, cells + latency + "<td>100.0 K<td>1,000"), 2U) << "the top models, every network";
  EXPECT_EQ(count(html, "Flash and RAM are with the runtime, generated C."), 1U);
  EXPECT_EQ(count(html, "<dt>TFLM's arena</dt><dd>20,000 bytes on a Cortex-M4</dd>"), 1U);
  EXPECT_EQ(count(html, "first-b.tflite</a>, 4,096 bytes</dd>"), 1U);
  for (search::TrialResult& trial : study.trials) trial.latency.reset();
  html = html_report(study);
  EXPECT_EQ(html.find("<th scope=col>latency"), std::string::npos) << "without a board";
  EXPECT_EQ(count(html, cells + "<td>100.0 K"), 2U);
}

TEST(Report, EpochsThatAllTopModelsShareAreToldOnce) {
  search::StudyResult study = sample_study(3, 0);
  EXPECT_EQ(count(html_report(study), "Epochs of each: quick 3, distill 3, prune 3, quantize 3.</p>"), 1U);
  study.trials[1].stages[0].trained = 2;
  const std::string html = html_report(study);
  EXPECT_EQ(html.find("Epochs of each"), std::string::npos);
  EXPECT_NE(html.find("<dt>epochs</dt><dd>quick 2, distill 3, prune 3, quantize 3</dd>"), std::string::npos);
  for (search::TrialResult& trial : study.trials) trial.stages[0].name = "<quick>";
  EXPECT_EQ(html_report(study).find("<quick>"), std::string::npos);
}

TEST(Report, CsvHasALineATrialAndQuotesCommas) {
  const std::string csv = trials_csv(sample_study(2, 1));
  EXPECT_EQ(count(csv, "\r\n"), 4U);
  EXPECT_NE(csv.find("\"2 blocks, 1 layer, 16 filters\""), std::string::npos);
  std::vector<std::string> names;
  std::string header = csv.substr(0, csv.find('\r'));
  header += ',';
  for (size_t at = header.find(','); at != std::string::npos; at = header.find(',')) {
    names.push_back(header.substr(0, at));
    header.erase(0, at + 1);
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end()) << *std::ranges::adjacent_find(names);
  EXPECT_NE(csv.find(",skipped,"), std::string::npos);
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

TEST(Report, NoTextOfTheCsvIsAFormula) {
  search::StudyResult study = sample_study(2, 1);
  for (const std::string sign : {"=", "+", "-", "@", "\t", "\r"}) {
    study.trials[0].config = sign + "1";
    study.trials[0].reason = sign + "HYPERLINK(\"a\",2)";
    study.trials[0].seconds = -2;
    const std::string csv = trials_csv(study);
    EXPECT_EQ(csv.find("," + sign + "1,"), std::string::npos) << csv;
    EXPECT_NE(csv.find("'" + sign + "1"), std::string::npos) << csv;
    EXPECT_NE(csv.find(",\"'" + sign + "HYPERLINK(\"\"a\"\",2)\","), std::string::npos) << csv;
    EXPECT_NE(csv.find(",-2,"), std::string::npos) << "numbers stay";
  }
}

TEST(Report, JsonIsThatOfTheWholeStudy) {
  for (const auto& study : {sample_study(5, 2), sample_study(0, 0)})
    EXPECT_EQ(study_json(study), Json(study).dump(2) + "\n");
}

TEST(Report, AnEnormousStudyIsShownInPart) {
  search::StudyResult study = sample_study(5, 0);
  study.trials.resize(5000, study.trials.front());
  for (size_t i = 5; i < study.trials.size(); ++i) study.trials[i].number = static_cast<int>(i);
  const std::string page = html_report(study);
  EXPECT_NE(page.find("<td class=name>trial 1999: "), std::string::npos);
  EXPECT_EQ(page.find("<td class=name>trial 2000: "), std::string::npos);
  EXPECT_NE(page.find("2,000 of 5,000: the top ones, those on the fronts, then the first; all are in "
                      "<code>trials.csv</code>"),
            std::string::npos);
  EXPECT_NE(page.find("(one model in 6, the front, the top ones)"), std::string::npos);
}

TEST(Report, JsonRoundTripKeepsUnknownNumbersUnknown) {
  const search::StudyResult study = sample_study(1, 1);
  const std::string text = study_json(study);
  EXPECT_EQ(text.find("nan"), std::string::npos);
  const auto back = Json::parse(text).get<search::StudyResult>();
  EXPECT_EQ(study_json(back), text);
  EXPECT_TRUE(std::isnan(back.trials.at(1).accuracy_int8));
  EXPECT_EQ(back.finalists.at(0).runs.at(1).accuracy_float, 0.87);
}

}  // namespace
}  // namespace retort::report
