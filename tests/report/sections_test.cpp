#include "report/sections.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "graph/notebook.h"
#include "int8/lower.h"
#include "int8/tflite.h"
#include "report/page.h"
#include "report/report.h"
#include "report/sample_study.h"
#include "report/svg.h"
#include "report/xml.h"
#include "temporary_folder.h"

namespace retort::report {
namespace {

// The one whose picture has these bytes; a page never looks into them.
search::ShownImage shown(uint32_t index, int label, int guess, double sure) {
  return {.index = index,
          .file = {},
          .label = label,
          .guess = guess,
          .guess_probability = sure,
          .label_probability = 1 - sure,
          .picture = {.height = 8, .width = 8, .png = {'p', static_cast<uint8_t>(index)}}};
}

search::Analysis sample_analysis(const search::StudyResult& study) {
  return {.trial = study.best,
          .seed = 2,
          .mistakes = {.images = 10,
                       .confusion = {{5, 1}, {2, 2}},
                       .most_confident = {shown(7, 1, 0, 0.97), shown(3, 0, 1, 0.6)}},
          .labels = {{.validation = {.images = 40, .doubted = 2, .most = {shown(9, 0, 1, 0.99)}},
                      .train = {.images = 160, .doubted = 0, .most = {}}}}};
}

TEST(Sections, TheMistakesAreCountedByClass) {
  const search::StudyResult study = sample_study(3, 0);
  const std::string html = mistakes_section(study, sample_analysis(study));
  EXPECT_NE(html.find("<p>3 of 10 test images (30.0%), computed by the int8 file.</p>"), std::string::npos);
  EXPECT_NE(html.find("Most often confused: dog taken for cat (2), cat taken for dog (1)."),
            std::string::npos);
  EXPECT_NE(html.find("<tr><th scope=row>cat<td class=right style='--share:29%'>5<td style='--share:9%'>1"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("<tr><td>cat<td>6<td>5<td>83.3%<td class=bar><i style='width:83.3%'></i><td>71.4%"),
            std::string::npos);
  EXPECT_NE(html.find("<tr><td>dog<td>4<td>2<td>50.0%<td class=bar><i style='width:50.0%'></i><td>66.7%"),
            std::string::npos);
  const size_t surest = html.find("data:image/png;base64," + to_base64(std::vector<uint8_t>{'p', 7}));
  EXPECT_NE(surest, std::string::npos);
  EXPECT_LT(surest, html.find("data:image/png;base64," + to_base64(std::vector<uint8_t>{'p', 3})));
  EXPECT_NE(html.find("labelled <b>dog</b> (3.0%)<br>taken for <b>cat</b> (97.0%)<br>test image 7"),
            std::string::npos);
}

TEST(Sections, PicturesAreNamedByTheirFiles) {
  const search::StudyResult study = sample_study(3, 0);
  search::Analysis analysis = sample_analysis(study);
  analysis.labels->validation.most[0].file = "train/cat/a'b.png";
  const std::string html = labels_section(study, analysis);
  EXPECT_NE(html.find("<br>train/cat/a&#39;b.png</figcaption>"), std::string::npos);
  EXPECT_NE(html.find("alt='train/cat/a&#39;b.png'"), std::string::npos);
}

TEST(Sections, OfManyClassesTheWorstPairsStandForTheMatrix) {
  search::StudyResult study = sample_study(1, 0);
  study.classes.clear();
  search::Analysis analysis{.trial = 0, .mistakes = {.images = 300, .confusion = {}, .most_confident = {}}};
  for (int c = 0; c < 300; ++c) {
    study.classes.push_back("class " + std::to_string(c) + " <x>");
    analysis.mistakes.confusion.emplace_back(300, 0).back() = 1;
  }
  const std::string html = mistakes_section(study, analysis);
  EXPECT_EQ(html.find("class=matrix"), std::string::npos);
  EXPECT_EQ(html.find("<x>"), std::string::npos);
  EXPECT_NE(html.find("class 0 &lt;x&gt; taken for class 299 &lt;x&gt; (1), "), std::string::npos);
  EXPECT_NE(html.find("The first 200 of 300 classes."), std::string::npos);
}

TEST(Sections, DoubtedLabelsSayWhatTheTeacherWasTrainedOn) {
  search::StudyResult study = sample_study(1, 0);
  const search::Analysis analysis = sample_analysis(study);
  const std::string html = labels_section(study, analysis);
  EXPECT_NE(html.find("2 of 40 validation images (5.0%)"), std::string::npos);
  EXPECT_NE(html.find("0 of 160 training images (0.0%)"), std::string::npos);
  EXPECT_NE(html.find("was trained on the training images and not on the validation images"),
            std::string::npos);
  EXPECT_NE(html.find("validation image 9"), std::string::npos);
  EXPECT_EQ(html.find("So many doubts"), std::string::npos);
  search::Analysis much = analysis;
  much.labels->validation.doubted = 9;
  EXPECT_NE(labels_section(study, much).find("right on 93.00% of the validation images"), std::string::npos);
  study.teacher.source = "logits of <elsewhere>";
  EXPECT_NE(labels_section(study, analysis).find("The teacher comes from elsewhere"), std::string::npos);
  EXPECT_EQ(labels_section(study, analysis).find("<elsewhere>"), std::string::npos);
  EXPECT_EQ(labels_section(study, {.labels = {}}), "") << "no teacher";
}

TEST(Sections, CurvesPassOverEpochsThatWereNotValidated) {
  search::TrialResult trial;
  trial.stages = {{.name = "distill"}, {.name = "quantize"}};
  trial.stages[0].history.epochs = {{.validation_accuracy = 0.5}, {.validation_accuracy = search::kUnknown}};
  trial.stages[1].history.epochs = {{.validation_accuracy = 0.75}};
  const ValidationCurve curve = validation_curve(trial);
  EXPECT_EQ(curve.epochs, (std::vector<double>{1, 3}));
  EXPECT_EQ(curve.percents, (std::vector<double>{50, 75}));
  EXPECT_EQ(curve.length, 3U);
  EXPECT_EQ(curve.starts, (std::vector<std::pair<double, std::string>>{{0, "distill"}, {2, "quantize"}}));
}

TEST(Sections, StagesTellWhatTheyChanged) {
  search::StudyResult study = sample_study(1, 0);
  search::TrialResult& trial = study.trials[0];
  for (size_t i = 0; i < 4; ++i) trial.stages[i].validation_accuracy = std::vector{0.5, 0.75, 0.70, 0.74}[i];
  trial.accuracy_int8 = 0.73;
  trial.accuracy_float = 0.75;
  const std::string html = stages_section(study);
  EXPECT_NE(
      html.find(
          "<td>50.00%<td>75.00%<span class='change up'>+25.00</span><td>70.00%<span class='change "
          "down'>-5.00</span><td>74.00%<span class='change up'>+4.00</span><td>73.00%<span class='change "
          "down'>-1.00</span><td>75.00%<td><span class='change down'>-2.00</span>"),
      std::string::npos)
      << html;
  EXPECT_NE(
      html.find(
          "On average over these models: distilled +25.00, pruned -5.00, quantised +4.00, int8 file -1.00"),
      std::string::npos);
  trial.stages.erase(trial.stages.begin() + 2);  // without pruning the change is that from the stage before
  EXPECT_NE(stages_section(study).find("<td>–<td>74.00%<span class='change down'>-1.00"), std::string::npos);
}

TEST(Sections, CommandsAreThoseOfThisStudy) {
  search::StudyResult study = sample_study(3, 0);
  study.data_spec = "images:my photos?gray=1";
  const cost::Board& board = cost::builtin_boards().front();
  study.settings_json = Json{{"board", board}, {"runtime", "tflm"}}.dump();
  const std::string html = usage_section(study, "out/the study");
  const std::string model = "&#39;out/the study/best/model.tflite&#39;";
  EXPECT_NE(html.find("retort eval " + model + " --data &#39;images:my photos?gray=1&#39;\nretort inspect " +
                      model + " --board " + board.name + " --runtime tflm --svg arena.svg"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("retort export " + model +
                      " --to c --name model --data &#39;images:my photos?gray=1&#39; --out "
                      "c/model\nmake -C c/model test"),
            std::string::npos);
  // What the search was begun with that decides which images test.
  study.settings_json = Json{{"split",
                              {{"seed", 7},
                               {"validation_fraction", 0.2},
                               {"most_validation_images", 5000},
                               {"test_fraction", 0.3}}},
                             {"runtime", "c"}}
                            .dump();
  const std::string other = usage_section(study, "out");
  EXPECT_NE(other.find("gray=1&#39; --validation-images 5000 --test-fraction 0.3 --split-seed 7\nretort "
                       "inspect out/best/model.tflite --runtime c"),
            std::string::npos)
      << other;
  // Of the front's smaller models the most accurate, with its own size as the limit.
  EXPECT_NE(html.find("retort pick &#39;out/the study&#39; --flash 13000 --out smaller"), std::string::npos);
  study.best = -1;
  EXPECT_EQ(usage_section(study, "out"), "");
}

TEST(Sections, WhatWasAskedIsToldWithItsLimits) {
  search::StudyResult study = sample_study(1, 0);
  EXPECT_NE(
      summary_section(study).find("Asked: the most accurate int8 network, as generated C; preset quick."),
      std::string::npos);
  study.settings_json =
      Json{{"runtime", "tflm"},
           {"seconds", 480},
           {"limits", {{"flash_bytes", 65536}, {"ram_bytes", nullptr}, {"latency_seconds", 0.1}}}}
          .dump();
  EXPECT_NE(
      summary_section(study).find("Asked: the most accurate int8 network within 64.0 KB of flash, 100 ms an "
                                  "inference, as TensorFlow Lite Micro; preset quick, 8m 00s of time."),
      std::string::npos)
      << summary_section(study);
}

class SectionsOfAFolder : public testing::Test {
 protected:
  SectionsOfAFolder() {
    const graph::Graph graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 2);
    write_file_atomic(folder.path() / "first-b.tflite",
                      int8::write_tflite(int8::lower_structure(graph, {.classes = study.classes})));
    study.finalists[0].runs[1].seed = 2;
  }
  TemporaryFolder folder;
  search::StudyResult study = sample_study(3, 0);
};

TEST_F(SectionsOfAFolder, ShowWhatItHas) {
  search::save_analysis(folder.path(), sample_analysis(study));
  const StudyFiles files = load_study_files(study, folder.path());
  ASSERT_EQ(files.models.size(), 1U) << "the others' files are not there";
  EXPECT_EQ(files.models[0].trial, study.best);
  ASSERT_TRUE(files.analysis);
  EXPECT_TRUE(files.problems.empty());
  const std::string html = html_report(study, files);
  EXPECT_EQ(count(html, "class=\"arena\""), 1U);
  EXPECT_NE(html.find("CONV_2D<td class=left>3×3<td class=left>1×"), std::string::npos);
  const std::string plan = "TensorFlow Lite Micro's plan; the arena of the generated C has " +
                           format_integer(files.models[0].cost.footprint.arena_bytes) + " bytes.";
  EXPECT_EQ(count(html, plan), 1U);
  study.settings_json = R"({"runtime": "tflm"})";
  EXPECT_EQ(html_report(study, load_study_files(study, folder.path())).find("Micro's plan;"),
            std::string::npos);
  for (const char* id :
       {"front", "progress", "stages", "top", "models", "mistakes", "labels", "use", "networks"}) {
    EXPECT_EQ(count(html, std::string("<section id=") + id + ">"), 1U) << id;
    EXPECT_EQ(count(html, std::string("<a href='#") + id + "'>"), 1U) << id;
  }
  // Every link within the page leads somewhere.
  for (size_t at = html.find("href="); at != std::string::npos; at = html.find("href=", at + 1)) {
    if (html[at + 6] != '#') continue;
    const std::string id = html.substr(at + 7, html.find(html[at + 5], at + 6) - at - 7);
    EXPECT_EQ(count(html, " id=" + id + ">") + count(html, " id=" + id + " "), 1U) << id;
  }
}

TEST_F(SectionsOfAFolder, AnAnalysisOfAnotherModelIsNotShown) {
  search::Analysis analysis = sample_analysis(study);
  analysis.seed = 1;
  search::save_analysis(folder.path(), analysis);
  EXPECT_FALSE(load_study_files(study, folder.path()).analysis);
  search::save_analysis(folder.path(), sample_analysis(study));
  study.best = -1;  // it goes on
  EXPECT_FALSE(load_study_files(study, folder.path()).analysis);
}

TEST_F(SectionsOfAFolder, DamagedFilesAreNamedAndTheRestIsShown) {
  write_text_atomic(folder.path() / "first-b.tflite", "no model");
  write_text_atomic(folder.path() / "analysis.json", "{");
  const StudyFiles files = load_study_files(study, folder.path());
  EXPECT_TRUE(files.models.empty());
  ASSERT_EQ(files.problems.size(), 2U);
  const std::string html = html_report(study, files);
  EXPECT_NE(html.find("analysis.json: is damaged ("), std::string::npos);
  EXPECT_NE(html.find("<section id=use>"), std::string::npos);
}

// Of a study that somebody gave away: gigabytes without any disk behind them.
TEST_F(SectionsOfAFolder, FilesThatAreTooLargeAreNamedUnread) {
  for (const char* name : {"first-b.tflite", "analysis.json"}) {
    write_text_atomic(folder.path() / name, "");
    std::filesystem::resize_file(folder.path() / name, uintmax_t{6} << 30U);
  }
  const StudyFiles files = load_study_files(study, folder.path());
  EXPECT_TRUE(files.models.empty());
  ASSERT_EQ(files.problems.size(), 2U);
  EXPECT_NE(files.problems[0].find("has 6442450944 bytes; at most 1073741824 are read"), std::string::npos)
      << files.problems[0];
  EXPECT_NE(files.problems[1].find("has 6442450944 bytes; at most 67108864 are read"), std::string::npos)
      << files.problems[1];
}

TEST(Page, AllowsItsOwnScriptAlone) {
  const std::string page =
      html_page({.title = "a <b>", .style = "p{}", .script = "alert(1)", .policy = "", .body = "x"});
  // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
  EXPECT_NE(page.find("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"),
            std::string::npos);
  EXPECT_NE(page.find("default-src 'none';"), std::string::npos);
  EXPECT_NE(page.find("<title>a &lt;b&gt;</title>"), std::string::npos);
  EXPECT_EQ(html_page({.title = "t", .style = "", .script = "", .policy = "", .body = ""}).find("script"),
            std::string::npos);
}

TEST(Charts, MarksThatLeadSomewhereCanBeReached) {
  Chart chart("c", {.label = "x"}, {.label = "y"});
  chart.point(0.5, 0.5,
              {.colour = "red", .tooltip = "one & only", .link = "#a", .keyboard = Mark::Keyboard::Stops});
  chart.point(0.5, 0.5, {.colour = "red", .tooltip = "passed", .link = "#b"});
  const std::string svg = chart.svg();
  EXPECT_TRUE(well_formed(svg));
  EXPECT_NE(svg.find(R"(role="group")"), std::string::npos) << "what is in an image cannot be reached";
  EXPECT_NE(svg.find(R"(<a href="#a" aria-label="one &amp; only"><circle)"), std::string::npos);
  EXPECT_NE(svg.find(R"(<a href="#b" tabindex="-1" aria-hidden="true"><circle)"), std::string::npos);
}

}  // namespace
}  // namespace retort::report
