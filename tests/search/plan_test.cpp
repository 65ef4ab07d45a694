#include "search/plan.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "base/rng.h"

namespace retort::search {
namespace {

TEST(Plan, MakespanGivesTheLongestFirst) {
  EXPECT_DOUBLE_EQ(makespan({}, 2), 0);
  EXPECT_DOUBLE_EQ(makespan({1, 2, 3}, 1), 6);
  EXPECT_DOUBLE_EQ(makespan({1, 1, 2}, 2), 2);
  EXPECT_DOUBLE_EQ(makespan({5, 1, 1, 1}, 2), 5);
}

TEST(Plan, EpochsScaleFromOneToTheSettings) {
  const PipelineSettings settings;
  EXPECT_EQ(scaled_epochs(settings, 1), (StageEpochs{5, 10, 1, 5}));
  EXPECT_EQ(scaled_epochs(settings, 0), (StageEpochs{1, 1, 1, 1}));
  for (int i = 1; i <= 100; ++i)
    EXPECT_GE(scaled_epochs(settings, i / 100.0).total(), scaled_epochs(settings, (i - 1) / 100.0).total());
}

TEST(Plan, AStageThatThePipelineLacksGetsNoTime) {
  PipelineSettings settings;
  settings.stages = {"distill", "export"};
  EXPECT_EQ(scaled_epochs(settings, 1), (StageEpochs{0, 10, 0, 0}));
}

TEST(Plan, TeacherTakesAQuarterAtMostUnlessOneEpochIsMore) {
  const TeacherSettings teacher;
  EXPECT_EQ(plan_teacher_epochs(teacher, 60, 480, false), 2);
  EXPECT_EQ(plan_teacher_epochs(teacher, 1, 480, false), 20);
  EXPECT_EQ(plan_teacher_epochs(teacher, 200, 480, false), 1);
  EXPECT_EQ(plan_teacher_epochs(teacher, 300, 480, false), 0);
  // 20 where 80 would have room: twice as many.
  EXPECT_EQ(plan_teacher_epochs(teacher, 1, 320, true), 40);
  EXPECT_EQ(plan_teacher_epochs(teacher, 4, 320, true), 20);
  EXPECT_EQ(plan_teacher_epochs(teacher, 16, 320, true), 5);
  EXPECT_EQ(plan_teacher_epochs(teacher, 17, 320, true), 0) << "four would teach too little";
  EXPECT_EQ(
      why_no_teacher(teacher, 17, 320),
      "No teacher: an epoch of it takes 17.0s, so that 25% of 5m 20s has room for 4, and fewer than 5 (25% "
      "of --teacher-epochs 20) teach too little.");
  EXPECT_EQ(why_no_teacher(teacher, 300, 480),
            "No teacher: an epoch of it takes 5m 00s, more than 50% of 8m 00s.");
}

TEST(Plan, EpochsWithinSecondsAreTheMostThatFit) {
  const PipelineSettings settings = preset("micro").pipeline;  // 70 and 3 epochs
  EXPECT_EQ(epochs_within(settings, 1, 1000), (StageEpochs{0, 70, 0, 3}));
  EXPECT_EQ(epochs_within(settings, 100, 1), (StageEpochs{0, 1, 0, 1})) << "one a stage in any case";
  int before = 2;
  for (double seconds = 2; seconds < 80; seconds += 0.5) {
    const int total = epochs_within(settings, 1, seconds).total();
    EXPECT_GE(total, before);
    EXPECT_LE(total, std::max(seconds, 2.0));
    EXPECT_GE(total, std::min(0.97 * seconds - 2, 73.0));
    before = total;
  }
  EXPECT_EQ(epochs_within(settings, 1, 1000, 2), (StageEpochs{0, 140, 0, 6}));
  EXPECT_LE(epochs_within(settings, 1, 100, 2).total(), 100);
  EXPECT_GE(epochs_within(settings, 1, 100, 2).total(), 94);
}

TEST(Plan, CandidatesFitTheTimeWheneverTheyCan) {
  Rng rng(5);
  const SearchSettings settings = preset("quick");
  for (int round = 0; round < 200; ++round) {
    std::vector<double> costs(1 + rng.below(15));
    for (double& cost : costs) cost = rng.uniform(0.1F, 30.0F);
    const double available = rng.uniform(10.0F, 900.0F);
    const int workers = 1 + static_cast<int>(rng.below(4));
    const CandidatePlan plan = plan_candidates(costs, settings, available, workers);
    ASSERT_GE(plan.chosen.size(), 1U);
    ASSERT_LE(plan.chosen.size(), 12U);
    for (size_t i = 1; i < plan.chosen.size(); ++i)
      EXPECT_GE(costs[plan.chosen[i - 1]], costs[plan.chosen[i]]) << "the longest comes first";
    EXPECT_LE(plan.epochs.total(), 21);
    // Too little time for the least epochs of the cheapest structure is the only reason to take more than
    // there is.
    if (plan.epochs.total() > 4) {
      EXPECT_LE(plan.seconds, available);
    }
    if (plan.chosen.size() > 1) {
      EXPECT_GE(plan.epochs.total(), scaled_epochs(settings.pipeline, 0.35).total());
    }
    EXPECT_GE(plan.seconds, plan.confirmation_seconds);
  }
}

TEST(Plan, MoreTimeNeverGivesLess) {
  const std::vector<double> costs = {1, 2, 4, 8, 16};
  const SearchSettings settings = preset("quick");
  double before = 0;
  for (const double available : {20.0, 60.0, 200.0, 600.0, 2000.0}) {
    const CandidatePlan plan = plan_candidates(costs, settings, available, 2);
    double work = 0;
    for (const size_t i : plan.chosen) work += costs[i] * plan.epochs.total();
    EXPECT_GE(work, before);
    before = work;
  }
}

TEST(Plan, WhatIsLeftOutIsTheCostliestTheCheapestFirst) {
  SearchSettings settings = preset("quick");
  settings.finalist_seeds = 1;
  const std::vector<double> costs = {4, 1, 16, 2, 8};
  const CandidatePlan plan = plan_candidates(costs, settings, 40, 1);
  EXPECT_EQ(plan.chosen, (std::vector<size_t>{3, 1}));
  EXPECT_EQ(plan.left_out, (std::vector<size_t>{0, 4, 2}));
  settings.trials = 3;
  EXPECT_EQ(plan_candidates(costs, settings, 40, 1).left_out, std::vector<size_t>{0});
  settings.trials = 2;
  EXPECT_TRUE(plan_candidates(costs, settings, 40, 1).left_out.empty());
}

TEST(Plan, AnEpochOfALongStageHasLessOfValidation) {
  data::Split split;
  split.train.resize(1000);
  split.validation.resize(300);
  constexpr Speed kSpeed{.train_image = 1e-3, .predict_image = 1e-4};
  EXPECT_NEAR(kSpeed.epoch(split, 3), 1.03, 1e-9);
  EXPECT_NEAR(kSpeed.epoch(split, kStageValidations), 1.03, 1e-9);
  EXPECT_NEAR(kSpeed.epoch(split, 3 * kStageValidations), 1.01, 1e-9);
}

TEST(Plan, TheTeacherAnswersForAsManyViewsAsASmallShareOfTheTimePaysFor) {
  const data::ViewOptions all{.mirror = data::Mirror::Horizontal, .max_shift = 2};
  EXPECT_EQ(data::view_count(affordable_views(all, 0.1, 1000)), 50U);
  EXPECT_EQ(data::view_count(affordable_views(all, 1, 200)), 10U);
  EXPECT_EQ(data::view_numbers(affordable_views(all, 100, 200)), (std::vector<int>{0, 1}))
      << "the mirror image in any case";
  EXPECT_EQ(data::view_count(affordable_views({.max_shift = 1}, 1e9, 1)), 1U);
  EXPECT_EQ(data::view_count(affordable_views({}, 0, 1e9)), 1U);
}

TEST(Plan, MeasuringKeepsToItsTimeAndGuessesTheRest) {
  std::vector<double> macs;
  for (int i = 0; i < 150; ++i) macs.push_back(1000 * std::pow(1.05, (i * 77) % 150));
  const auto seconds_of = [&](size_t i) { return 1e-3 * std::pow(macs[i], 0.8); };
  for (const double seconds : {0.0, 0.1, 10.0}) {
    std::atomic<int> calls = 0;
    const auto start = std::chrono::steady_clock::now();
    const Measured measured = measure_spread(macs, seconds, 2, [&](size_t i) {
      ++calls;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return seconds_of(i);
    });
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_EQ(measured.measured, static_cast<size_t>(calls));
    if (seconds < 1) {
      EXPECT_LT(measured.measured, 50U);
      EXPECT_LT(took, seconds + 0.3);
    } else {
      EXPECT_EQ(measured.measured, 150U);
    }
    for (size_t i = 0; i < macs.size(); ++i) {
      if (seconds > 0) {
        EXPECT_NEAR(measured.epoch_seconds[i] / seconds_of(i), 1, 1.5) << i;
      }
      EXPECT_GT(measured.epoch_seconds[i], 0);
    }
  }
  const Measured stopped = measure_spread(macs, 1, 2, [](size_t) { return 0.0; });
  EXPECT_EQ(stopped.measured, 0U);
}

TEST(Pacer, ASlowMachineShortensALittleAndAFastOneChangesNothing) {
  using Clock = Pacer::Clock;
  const std::map<std::string, int, std::less<>> stages = {{"distill", 10}, {"quantize", 10}};
  Pacer tight(Clock::now() + std::chrono::seconds(91), 0, 1);
  tight.add("a", 5, stages);  // 100 seconds of work
  EXPECT_EQ(tight.begin("a", "distill", 10), 10) << "rounded up";
  Pacer loose(Clock::now() + std::chrono::seconds(500), 0, 1);
  loose.add("a", 5, stages);
  EXPECT_EQ(loose.begin("a", "distill", 10), 10) << "never more than the settings say";
  Pacer late(Clock::now() - std::chrono::seconds(1), 0, 1);
  late.add("a", 5, stages);
  EXPECT_EQ(late.begin("a", "distill", 10), 8) << "not much less than the others";
}

TEST(Pacer, WhatThereIsNoTimeForIsLeftOut) {
  using Clock = Pacer::Clock;
  Pacer pacer(Clock::now() + std::chrono::seconds(100), 0, 1);
  pacer.add("a", 4, {{"quick", 10}});
  pacer.add("b", 3, {{"quick", 10}});
  pacer.add("c", 1, {{"quick", 10}});
  EXPECT_TRUE(pacer.has_room("a"));
  EXPECT_EQ(pacer.begin("a", "quick", 10), 10);
  pacer.end("a", "quick", 10, 80);  // twice what was measured
  pacer.finish("a", 4);             // and export besides
  // 60 and 3 seconds for b, 20 and 1 for c, are more than the 100.
  EXPECT_TRUE(pacer.has_room("b")) << "the clock has not moved: 84 of 100 seconds";
  Pacer late(Clock::now() + std::chrono::seconds(50), 0, 1);
  late.add("b", 3, {{"quick", 10}});
  late.add("c", 1, {{"quick", 10}});
  late.add("a", 4, {});
  late.end("a", "quick", 10, 80);
  late.finish("a", 4);
  EXPECT_FALSE(late.has_room("b"));
  EXPECT_TRUE(late.has_room("c"));
  EXPECT_TRUE(late.has_room("unknown"));
}

TEST(Pacer, TheOverheadOfTheFirstCountsForTheOthers) {
  using Clock = Pacer::Clock;
  Pacer pacer(Clock::now() + std::chrono::seconds(40), 0, 1);
  for (const char* name : {"a", "b"}) pacer.add(name, 1, {{"quick", 10}});
  pacer.end("a", "quick", 10, 10);
  pacer.finish("a", 60);
  EXPECT_FALSE(pacer.has_room("b")) << "ten seconds of training and sixty of evaluation";
}

TEST(Pacer, OneIsTrainedHoweverLateItIs) {
  Pacer pacer(Pacer::Clock::now() - std::chrono::seconds(1), 0, 2);
  pacer.add("a", 2, {{"quick", 10}});
  pacer.add("b", 1, {{"quick", 10}});
  EXPECT_FALSE(pacer.has_room("a"));
  EXPECT_TRUE(pacer.has_room("b"));
}

TEST(Pacer, ANetworkWithoutCostKeepsItsEpochs) {
  Pacer pacer(Pacer::Clock::now() + std::chrono::hours(24 * 365), 0, 1);
  pacer.add("a", 0, {{"quick", 10}});
  EXPECT_EQ(pacer.begin("a", "quick", 10), 10);
  EXPECT_EQ(pacer.begin("unknown", "quick", 7), 7);
}

TEST(Pacer, ForecastsFromWhatHasEndedInAnyUnit) {
  Pacer pacer({}, 0, 2);
  pacer.add("a", 1000, {{"quick", 10}, {"distill", 10}});
  pacer.add("b", 2000, {{"quick", 10}});
  EXPECT_FALSE(pacer.seconds_needed());
  pacer.end("a", "quick", 10, 5);  // a thousand of the unit are half a second
  ASSERT_TRUE(pacer.seconds_needed());
  EXPECT_NEAR(*pacer.seconds_needed(), 10, 1e-6) << "b's 10 seconds beside a's 5";
  pacer.remove("b");
  EXPECT_NEAR(*pacer.seconds_needed(), 5, 1e-6);
}

}  // namespace
}  // namespace retort::search
