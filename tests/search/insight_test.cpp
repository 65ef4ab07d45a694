#include "search/insight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace retort::search {
namespace {

TEST(RankCorrelation, IsSpearmans) {
  using Values = std::vector<double>;
  EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 3, 4}, Values{10, 100, 1000, 1e9}), 1);
  EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 3, 4}, Values{4, 3, 2, 1}), -1);
  // Ranks 1 2.5 2.5 5 4 and 2 1 4.5 4.5 3: 5.25 of 9.5.
  EXPECT_NEAR(rank_correlation(Values{1, 2, 2, 5, 3}, Values{2, 1, 4, 4, 3}), 5.25 / 9.5, 1e-12);
  EXPECT_TRUE(std::isnan(rank_correlation(Values{1, 2}, Values{1, 2})));
  EXPECT_TRUE(std::isnan(rank_correlation(Values{1, 1, 1}, Values{1, 2, 3})));
  EXPECT_DOUBLE_EQ(rank_correlation(Values{1, kUnknown, 2, 3}, Values{1, 9, 2, 3}), 1);
}

TrialResult trial(int number, const char* config, double accuracy, Effort effort, int parent = -1) {
  TrialResult result{.number = number, .config = config, .effort = effort, .parent = parent};
  result.accuracy_int8 = accuracy;
  result.macs = 100 - number;
  result.parameters = 7;
  return result;
}

TEST(Insight, TellsWhatMatteredAndWhatWasASign) {
  StudyResult study;
  study.trials = {trial(0, "conv 4, gap", 0.5, Effort::Explore),
                  trial(1, "conv 8, res 8, gap", 0.6, Effort::Explore),
                  trial(2, "conv 12, res 12, res 12, gap", 0.7, Effort::Explore),
                  trial(3, "conv 4, gap", 0.8, Effort::Full, 0),
                  trial(4, "conv 8, res 8, gap", 0.85, Effort::Full, 1),
                  trial(5, "conv 12, res 12, res 12, gap", 0.9, Effort::Full, 2)};
  const auto found = [](const std::vector<Correlation>& all, std::string_view name) {
    const auto at = std::ranges::find(all, name, &Correlation::name);
    return at == all.end() ? kUnknown : at->with_accuracy;
  };
  const std::vector<Correlation> mattered = what_mattered(study);
  EXPECT_DOUBLE_EQ(found(mattered, "blocks"), 1);
  EXPECT_DOUBLE_EQ(found(mattered, "share of residual blocks"), 1);
  EXPECT_DOUBLE_EQ(found(mattered, "share of plain blocks"), -1);
  EXPECT_DOUBLE_EQ(found(mattered, "multiply-accumulates"), -1);
  EXPECT_TRUE(std::isnan(found(mattered, "parameters"))) << "they were all equal";
  EXPECT_EQ(mattered.front().count, 3U);
  const std::vector<Correlation> signs = early_signs(study);
  EXPECT_DOUBLE_EQ(found(signs, "accuracy when it was explored"), 1);
  EXPECT_DOUBLE_EQ(found(signs, "multiply-accumulates"), -1);
  study.trials[0].config = "1 block, 1 layer, 4 filters, 0 dense";
  EXPECT_TRUE(std::isnan(found(what_mattered(study), "blocks"))) << "no network of blocks";
}

}  // namespace
}  // namespace retort::search
