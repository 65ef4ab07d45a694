// Workers whose trials come to the same whatever befalls them, and what a study is when nothing did.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "study/storage.h"

namespace retort::study {

inline const std::vector<Objective> kObjectives = {{"accuracy", Direction::Maximize},
                                                   {"flash", Direction::Minimize}};
inline constexpr int kStages = 3;

inline void fill(Storage& storage, int trials) {
  std::vector<NewTrial> all;
  for (int i = 0; i < trials; ++i)
    all.push_back(
        {.proposal = fmt::format("{{\"trial\": {}}}", i), .attributes = {{"number", fmt::format("{}", i)}}});
  ASSERT_TRUE(storage.add_trials(0, all));
}

// What a trial comes to depends on the trial alone; a stage that is stored is not run again.
inline void train(Storage& storage, const ClaimedTrial& claimed, std::chrono::milliseconds stage_time) {
  const int number = claimed.trial.number;
  for (int stage = static_cast<int>(claimed.trial.stages.size()); stage < kStages; ++stage) {
    std::this_thread::sleep_for(stage_time);
    storage.put_stage(claimed.claim, {fmt::format("stage {}", stage), fmt::format("{}", number * stage)},
                      std::vector<IntermediateValue>{{stage, number / 7.0 + stage}});
  }
  if (number % 5 == 0)
    storage.finish(claimed.claim, {TrialState::Skipped, "skipped"});
  else
    storage.finish(claimed.claim, {TrialState::Complete,
                                   fmt::format("{}", number),
                                   {number / 3.0, number * 2.0},
                                   {{"note", "\"done\""}}});
}

// Works until nothing is left, whatever others do.
inline void work(Storage& storage, const std::string& name, double lease_seconds,
                 std::chrono::milliseconds stage_time) {
  const auto unfinished = [&] {
    int count = 0;
    for (const auto& [state, trials] : storage.counts())
      if (!is_finished(state)) count += trials;
    return count;
  };
  while (unfinished() > 0) {
    const auto claimed = storage.claim(name, lease_seconds);
    if (!claimed) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    try {
      train(storage, *claimed, stage_time);
    } catch (const LostLease&) {
      continue;
    }
  }
}

inline void expect_undisturbed(const Storage& storage, int trials) {
  const auto undisturbed = make_memory_storage(kObjectives);
  fill(*undisturbed, trials);
  work(*undisturbed, "w", 60, std::chrono::milliseconds(0));
  EXPECT_EQ(storage.trials(), undisturbed->trials());
  for (int i = 0; i < trials; ++i) EXPECT_EQ(storage.details(i), undisturbed->details(i)) << "trial " << i;
}

// A process of its own; 0 is how it ends in order.
inline pid_t start(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  int code = 1;
  try {
    body();
    code = 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "worker: {}\n", error.what());
  }
  _exit(code);
}

// Its exit code, or minus the signal that ended it.
inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace retort::study
