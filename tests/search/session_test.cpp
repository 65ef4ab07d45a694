// What a search keeps in memory of the trials that are over.
#include "search/session.h"

#include <gtest/gtest.h>

#include "search/settings.h"
#include "synthetic.h"

namespace retort::search {
namespace {

TrialResult finished(int number, double accuracy) {
  TrialResult trial;
  trial.number = number;
  trial.accuracy_int8 = accuracy;
  trial.stages.push_back({.name = "distill", .epochs = 1, .trained = 1});
  trial.stages.back().history.epochs.push_back({.epoch = 1});
  trial.stages.back().layers.emplace_back();
  return trial;
}

TEST(Session, OnlyTheEpochsThatPeopleAreShownStayInMemory) {
  const TemporaryFolder folder;
  const data::Dataset dataset = synthetic(60, 20, 8);
  SearchSettings settings = preset("notebook");
  settings.top = 1;
  const RunOptions options{.folder = folder.path()};
  Session session(settings, dataset, options);
  const auto has_epochs = [&](int number) {
    const TrialResult* trial = find_trial(session.study, number);
    EXPECT_EQ(trial->stages.at(0).trained, 1);
    EXPECT_EQ(trial->stages[0].history.epochs.empty(), trial->stages[0].layers.empty());
    return !trial->stages[0].history.epochs.empty();
  };
  session.finish(finished(kTrialsShown - 1, 0.5), "");
  session.finish(finished(kTrialsShown, 0.6), "");
  EXPECT_TRUE(has_epochs(kTrialsShown));  // the best so far
  session.finish(finished(kTrialsShown + 1, 0.5), "");
  EXPECT_FALSE(has_epochs(kTrialsShown + 1));
  session.finish(finished(kTrialsShown + 2, 0.7), "");
  EXPECT_TRUE(has_epochs(kTrialsShown + 2));
  EXPECT_FALSE(has_epochs(kTrialsShown));
  EXPECT_TRUE(has_epochs(kTrialsShown - 1));
}

}  // namespace
}  // namespace retort::search
