#include "report/objectives.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "report/sample_study.h"
#include "report/sections.h"

namespace retort::report {
namespace {

using search::TrialResult;

TEST(Objectives, TheFrontIsWhatNoOtherBeats) {
  Rng rng(5);
  for (int round = 0; round < 50; ++round) {
    search::StudyResult study = sample_study(static_cast<int>(1 + rng.below(12)), 2);
    for (TrialResult& trial : study.trials) {  // with equals
      trial.macs = rng.below(6);
      if (trial.outcome == search::Outcome::Complete) trial.accuracy_int8 = 0.1 * rng.below(6);
    }
    const Objective macs{"MACs", "",
                         [](const TrialResult& trial) { return static_cast<double>(trial.macs); }};
    const auto trials = with_cost(study, macs);
    std::vector<const TrialResult*> expected;
    for (const TrialResult* trial : trials)
      if (std::ranges::none_of(trials, [&](const TrialResult* other) {
            const bool as_good = other->macs <= trial->macs && other->accuracy_int8 >= trial->accuracy_int8;
            const bool better = other->macs < trial->macs || other->accuracy_int8 > trial->accuracy_int8;
            return as_good && (better || other->number < trial->number);
          }))
        expected.push_back(trial);
    std::ranges::sort(expected, {}, [](const TrialResult* trial) { return trial->macs; });
    EXPECT_EQ(front_of(trials, macs), expected);
  }
}

TEST(Objectives, AreThoseThatTheStudyKnows) {
  search::StudyResult study = sample_study(2, 1);
  EXPECT_EQ(objectives(study).size(), 4U);
  for (TrialResult& trial : study.trials) trial.latency.reset();
  EXPECT_EQ(objectives(study).size(), 3U) << "no board, no time";
  EXPECT_EQ(with_cost(study, objectives(study)[0]).size(), 2U) << "what was skipped has no accuracy";
  EXPECT_TRUE(objectives(sample_study(0, 2)).empty());
}

TEST(Objectives, StudiesFromBeforeThereWereRuntimesHaveTheFileAndTheArena) {
  search::StudyResult study = sample_study(1, 0);
  EXPECT_EQ(flash_bytes(study.trials[0]), 9000);
  study.trials[0].footprint = {};
  EXPECT_EQ(flash_bytes(study.trials[0]), 4096);
  EXPECT_EQ(ram_bytes(study.trials[0]), 20000);
}

TEST(Sections, OfALargeStudyTheTopAndTheFrontAreListed) {
  search::StudyResult study = sample_study(5, 0);
  const TrialResult one = study.trials[0];
  study.trials.resize(5000, one);
  for (size_t i = 0; i < study.trials.size(); ++i) {
    study.trials[i].number = static_cast<int>(i);
    if (i >= 5) study.trials[i].accuracy_int8 = 0.1;
  }
  study.trials[4321].macs = 1;  // the cheapest
  study.top = {4999, 4};
  const auto listed = listed_trials(study);
  EXPECT_EQ(listed.size(), kMostShown);
  EXPECT_TRUE(std::ranges::is_sorted(listed, {}, &TrialResult::number));
  for (const int number : {0, 4, 4321, 4999})
    EXPECT_NE(std::ranges::find(listed, number, &TrialResult::number), listed.end()) << number;
  const std::string page = front_section(study) + networks_section(study);
  EXPECT_NE(page.find("href=\"#trial-4321\""), std::string::npos);
  EXPECT_NE(page.find("<tr id=trial-4321>"), std::string::npos);
}

}  // namespace
}  // namespace retort::report
