#include "search/exploration_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/rng.h"
#include "search/front_bands.h"

namespace retort::search {
namespace {

double wall_of(const Runs& runs, int smaller, const SearchSettings& settings, int workers) {
  return rounds(static_cast<int>(runs.candidates), workers) * runs.seconds +
         rounds(smaller, workers) * runs.smaller_seconds +
         rounds(settings.finalist_seeds - 1, workers) * runs.seconds;
}

TEST(ExplorationPlan, WithLittleTimeCandidatesAreFewerRatherThanShorter) {
  SearchSettings settings = preset("micro");  // three seeds, 73 epochs
  // Two workers: a round for two candidates, one for the other seeds.
  const Runs two = plan_runs({4, 1, 5, 2}, 0, settings, 400, 2);
  EXPECT_EQ(two.candidates, 2U);
  EXPECT_DOUBLE_EQ(two.seconds, 200);
  EXPECT_DOUBLE_EQ(two.confirmation_seconds, 200);
  EXPECT_DOUBLE_EQ(two.most, 1);
  // All 73 epochs of all four take three rounds of 5 * 73 seconds and what comes beside them.
  EXPECT_EQ(plan_runs({4, 1, 5, 2}, 0, settings, 3 * 5 * 73, 2).candidates, 2U);
  EXPECT_EQ(plan_runs({4, 1, 5, 2}, 0, settings, 3 * 5 * 73 * 1.05, 2).candidates, 4U);
  // Where the third is the one that is slow, it alone is in the way.
  EXPECT_EQ(plan_runs({1, 1, 1, 9, 1}, 0, settings, 3 * 80, 1).candidates, 2U);
  EXPECT_EQ(plan_runs({1, 1, 1, 9, 1}, 0, settings, 5 * 80, 1).candidates, 3U);
  EXPECT_EQ(plan_runs({7}, 0, settings, 10, 1).candidates, 1U);
  settings.finalist_seeds = 1;
  EXPECT_DOUBLE_EQ(plan_runs({7, 7}, 0, settings, 10, 1).seconds, 5);
}

TEST(ExplorationPlan, MoreTimeIsSpentOnMoreEpochsAndMoreCandidates) {
  const SearchSettings settings = preset("micro");
  const std::vector<double> best(30, 3.0);
  const Runs usual = plan_runs(best, 0, settings, 3 * 3 * 73 * 1.05, 2);
  EXPECT_EQ(usual.candidates, 4U);
  const Runs longer = plan_runs(best, 0, settings, 16 * 3 * 3 * 73 * 1.05, 2);
  EXPECT_GE(longer.most, 6) << "16 to the power of two thirds, and what another candidate has no room in";
  EXPECT_LE(longer.most, 7.5);
  EXPECT_GE(longer.candidates, 8U);
  EXPECT_LE(longer.candidates, 14U);
  EXPECT_GT(longer.seconds, 5 * usual.seconds);
}

TEST(ExplorationPlan, RunsFillTheTimeAndNoMore) {
  Rng rng(3);
  const SearchSettings settings = preset("micro");
  for (int round = 0; round < 300; ++round) {
    std::vector<double> best(1 + rng.below(30));
    for (double& epoch : best) epoch = rng.uniform(0.2F, 20.0F);
    const auto smaller = static_cast<int>(rng.below(6));
    const int workers = 1 + static_cast<int>(rng.below(8));
    const double available = rng.uniform(60.0F, 30000.0F);
    const Runs runs = plan_runs(best, static_cast<size_t>(smaller), settings, available, workers);
    ASSERT_GE(runs.candidates, std::min<size_t>(best.size(), kFewestCandidates));
    ASSERT_LE(runs.candidates, best.size());
    EXPECT_GE(runs.most, 1);
    EXPECT_LE(wall_of(runs, smaller, settings, workers), available * (1 + 1e-9));
    if (runs.most < 7.8) {
      EXPECT_GE(wall_of(runs, smaller, settings, workers), 0.95 * available);
    }
    // Every run that is planned has its seconds, but where not even one epoch a stage has room in them.
    for (size_t i = 0; i < runs.candidates; ++i) {
      const StageEpochs epochs = epochs_within(settings.pipeline, best[i], runs.seconds, runs.most);
      if (epochs.total() > 2) {
        EXPECT_LE(epochs.total() * best[i], runs.seconds);
      }
    }
  }
}

TEST(ExplorationPlan, SmallerOnesOfTheFrontHaveASmallPartOfTheTimeAndWhatIsLeft) {
  const SearchSettings settings = preset("micro");
  const Runs runs = plan_runs({10, 10, 10}, 3, settings, 700, 2);
  EXPECT_DOUBLE_EQ(runs.seconds, 297.5);
  EXPECT_DOUBLE_EQ(runs.smaller_seconds, 52.5);
  // More of a longer one: of four times twelve minutes on two cores twice the share.
  const Runs longer = plan_runs({500, 500, 500}, 3, settings, 4 * 720, 2);
  EXPECT_NEAR(longer.seconds, 0.7 * 4 * 720 / 2, 1);
  EXPECT_NEAR(longer.smaller_seconds, 0.3 * 4 * 720 / 2, 1);
  EXPECT_NEAR(plan_runs({5000, 5000}, 2, settings, 36000, 2).smaller_seconds, 0.35 * 36000, 10);
  // One that is quick has all its epochs: what it leaves is theirs.
  const Runs quick = plan_runs({0.01}, 2, settings, 1000, 2);
  EXPECT_LT(quick.seconds, 10);
  EXPECT_GT(quick.smaller_seconds, 980);
}

TEST(ExplorationPlan, HeatsGrowInBothDirections) {
  const Exploration exploration = preset("micro").exploration;  // 8 of 10 epochs, two rungs
  const std::vector<double> epochs(100, 2.0);
  const HeatPlan usual = plan_heats(epochs, exploration, 2 * 80 * 2.0 * 1.06 / 2, 2);
  EXPECT_EQ(usual.heats, 8);
  EXPECT_EQ(usual.epochs, 20) << "a quick one may have twice the mean one's";
  const HeatPlan longer = plan_heats(epochs, exploration, 9 * 2 * 80 * 2.0 * 1.06 / 2, 2);
  EXPECT_EQ(longer.heats, 24);
  EXPECT_EQ(longer.epochs, 60);
  EXPECT_EQ(plan_heats(epochs, exploration, 40, 2).heats, 4);
  EXPECT_EQ(plan_heats(epochs, exploration, 1, 2).heats, 4) << "no fewer";
  EXPECT_EQ(plan_heats({2, 2}, exploration, 1e6, 2).heats, 2) << "no more than there are";
  for (double seconds = 1; seconds < 1e5; seconds *= 1.3) {
    const HeatPlan plan = plan_heats(epochs, exploration, seconds, 3);
    EXPECT_TRUE(plan.heats < 6 || plan.heats % 6 == 0) << "none of three workers waits: " << plan.heats;
  }
}

TEST(ExplorationPlan, ExploringGrowsInBothDirections) {
  const Exploration exploration = preset("micro").exploration;  // 3 epochs
  EXPECT_EQ(plan_explore_epochs(exploration, 4, 400, 1), 1);
  EXPECT_EQ(plan_explore_epochs(exploration, 2, 400, 1), 2);
  EXPECT_EQ(plan_explore_epochs(exploration, 0.1, 400, 1), 3);
  EXPECT_EQ(plan_explore_epochs(exploration, 100, 400, 1), 1);
  EXPECT_EQ(plan_explore_epochs(exploration, 1, 16 * 400, 4), 6) << "no more than twice the settings'";
  const SearchSettings settings = preset("micro");
  const Shares usual = plan_shares(settings, 720, 2);
  const Shares longer = plan_shares(settings, 4 * 720, 2);
  EXPECT_NEAR(usual.exploring_seconds + usual.heat_seconds, 0.35 * 720, 1e-9);
  EXPECT_NEAR(longer.most_epoch_seconds, 2 * usual.most_epoch_seconds, 0.01 * usual.most_epoch_seconds)
      << "four times the time: structures twice as slow with twice the epochs";
  EXPECT_LT(plan_shares(settings, 360, 2).most_epoch_seconds, 0.51 * usual.most_epoch_seconds);
}

TrialResult trial(int number, int64_t flash, double accuracy, Effort effort = Effort::Heat) {
  TrialResult result;
  result.number = number;
  result.accuracy_int8 = accuracy;
  result.effort = effort;
  result.footprint.model_bytes = flash;
  return result;
}

TEST(FrontBelow, TakesTheBestOfEachHalving) {
  std::vector<TrialResult> trials = {
      trial(0, 1000, 0.9),  trial(1, 501, 0.8),  trial(2, 500, 0.7),
      trial(3, 260, 0.75),  trial(4, 250, 0.5),  trial(5, 130, 0.6),
      trial(6, 2000, 0.95), trial(7, 20, 0.1),   trial(8, 240, 0.9, Effort::Explore),
      trial(9, 1, 0.99),    trial(10, 300, 0.99)};
  trials.back().outcome = Outcome::Failed;
  EXPECT_EQ(front_below(trials, trials[0]), (std::vector<int>{3, 5, 7}))
      << "at most half: 3; a quarter: 5, trained more than 8; an eighth: none; 7 is in the fifth; 9 beyond "
         "it";
  EXPECT_TRUE(front_below({trials[0]}, trials[0]).empty());
}

}  // namespace
}  // namespace retort::search
