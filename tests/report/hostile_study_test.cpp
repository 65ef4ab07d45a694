// Studies whose database somebody else wrote: what no search stores is refused in a sentence, and costs neither memory nor
// stack. fuzz/study.cpp looks for more of them.
#include <gtest/gtest.h>

#include <climits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "live_study.h"
#include "report/live/sections.h"
#include "report/study_files.h"
#include "sample_study.h"
#include "search/live.h"
#include "search/search.h"
#include "temporary_folder.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;

class HostileStudy : public testing::Test {
 protected:
  HostileStudy() : study_(folder_.path()), sample_(sample_study(2, 1)) { study_.describe(sample_); }
  [[nodiscard]] fs::path folder() const { return folder_.path(); }

  // Adds a trial whose stored result has `value` at that JSON pointer.
  void add_changed(const char* pointer, const Json& value) {
    search::TrialResult result = sample_.trials[0];
    const study::Claim claim = study_.begin(result.config);
    result.number = claim.trial;
    Json stored = result;
    stored[Json::json_pointer(pointer)] = value;
    study::Ending ending = search::to_ending(result);
    ending.result = stored.dump();
    study_.storage().finish(claim, ending);
  }
  [[nodiscard]] std::string refusal() const {
    try {
      search::load_study(folder());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  void expect_refused(const std::string& part) const {
    const std::string said = refusal();
    EXPECT_EQ(said.find(folder().string() + ": "), 0U) << said;
    EXPECT_NE(said.find(part), std::string::npos) << said;
  }

  TemporaryFolder folder_;
  LiveStudy study_;
  search::StudyResult sample_;
};

TEST_F(HostileStudy, ASoundOneIsRead) {
  for (const search::TrialResult& trial : sample_.trials) study_.add(trial);
  study_.finish(sample_);
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(HostileStudy, SizesThatAreNoneAreRefused) {
  add_changed("/parameters", -1);
  expect_refused("a stored size is -1, which is none");
}

TEST_F(HostileStudy, SizesWhoseSumsOverflowAreRefused) {
  add_changed("/footprint/flash/model", INT64_MAX);
  expect_refused("a stored footprint has 9223372036854775807 bytes of model");
}

TEST_F(HostileStudy, ACompleteTrialHasAnAccuracyToBeRankedBy) {
  add_changed("/accuracy_int8", nullptr);
  expect_refused("the stored trial 0 is complete and has no accuracy");
}

TEST_F(HostileStudy, ABestRunThatIsNoneIsRefused) {
  for (const search::TrialResult& trial : sample_.trials) study_.add(trial);
  for (const int run : {-1, 2, INT_MAX}) {
    search::StudyResult changed = sample_;
    changed.finalists[0].best_run = run;
    study_.finish(changed);
    expect_refused(fmt::format("a stored finalist's best run is number {} of 2", run));
  }
}

TEST_F(HostileStudy, SettingsThatAreShownAreOfTheirKind) {
  const std::string sound = *study_.storage().document(search::kDescriptionKey);
  for (const auto& [place, value] : std::vector<std::pair<const char*, Json>>{{"/split", Json::object()},
                                                                              {"/split", 3},
                                                                              {"/limits", "none"},
                                                                              {"/limits", {{"macs", "few"}}},
                                                                              {"/runtime", 7},
                                                                              {"/clock", nullptr},
                                                                              {"/seconds", "long"},
                                                                              {"/board", 1}}) {
    Json description = Json::parse(sound);
    description["settings"][Json::json_pointer(place)] = value;
    study_.storage().put_document(search::kDescriptionKey, description.dump());
    expect_refused("the study is damaged: ");
  }
}

TEST_F(HostileStudy, DeepDocumentsAreRefused) {
  study_.storage().put_document(search::kTeacherKey, std::string(1'000'000, '['));
  expect_refused("the study's 'teacher' is damaged");
  expect_refused("nested more than 64 levels deep");
}

TEST_F(HostileStudy, DeepResultsAreRefused) {
  const study::Claim claim = study_.begin("a");
  study::Ending ending = search::to_ending(sample_.trials[0]);
  ending.result = std::string(1'000'000, '{');
  study_.storage().finish(claim, ending);
  expect_refused("nested more than 64 levels deep");
}

TEST_F(HostileStudy, ACurveOfManyEpochsTakesNoMemory) {
  const study::Claim claim = study_.begin("a");
  study_.storage().put_values(claim, std::vector<study::IntermediateValue>{{1, 0.5}, {INT_MAX, 0.75}});
  study_.say("running", 1, unix_seconds());
  search::StudyWatch watch(folder(), {});
  watch.look();
  EXPECT_EQ(watch.problem(), "");
  ASSERT_EQ(watch.run().trials.size(), 1U);
  EXPECT_EQ(watch.run().trials[0].accuracies, std::vector<double>{0.5});
}

TEST_F(HostileStudy, FilesBesideTheFolderAreNotRead) {
  const study::Claim claim = study_.begin("a");
  study::Ending ending = search::to_ending(sample_.trials[0]);
  Json result = Json::parse(ending.result);
  result["file"] = "/etc/passwd";
  ending.result = result.dump();
  study_.storage().finish(claim, ending);
  expect_refused("a stored trial's file is /etc/passwd, which is not in the study's folder");
  Json run = search::FinalistRun{};
  // Of the last two reports would make links.
  for (const char* file : {"/etc/passwd", "../model.tflite", "trials/../../model.tflite",
                           "javascript:alert(1)", "https://example.org/model.tflite"}) {
    run["file"] = file;
    EXPECT_THROW(run.get<search::FinalistRun>(), Error) << file;
  }
  run["file"] = "finalists/1/model.tflite";
  EXPECT_EQ(run.get<search::FinalistRun>().file, "finalists/1/model.tflite");
}

TEST_F(HostileStudy, TimesBeyondAllClocksAreShown) {
  LiveFacts facts{.folder = "home"};
  facts.run.state = search::RunState::Silent;
  for (const double seconds : {1e300, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    facts.run.silent_seconds = seconds;
    EXPECT_NE(status_section(facts).find("data-age="), std::string::npos);
  }
}

}  // namespace
}  // namespace retort::report
