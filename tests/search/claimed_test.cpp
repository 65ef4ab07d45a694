// What a worker does with a trial that it has claimed.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/keep.h"
#include "search/memory_budget.h"
#include "search/proposals.h"
#include "search/shared_work.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"
#include "shared_fixture.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// A trial of a study in memory, and what it takes to run it.
class ClaimedTest : public SharedTest {
 protected:
  ClaimedTest() {
    for (const StoredProposal& proposal : propose(settings, dataset, silent_progress()))
      proposals.push_back(proposal);
    std::vector<study::NewTrial> trials;
    for (const StoredProposal& proposal : proposals) trials.push_back(to_new_trial(proposal, settings));
    storage->add_trials(0, trials);
    for (uint32_t i = 0; i < 200; ++i) split.train.push_back(i);
    for (uint32_t i = 200; i < 300; ++i) split.validation.push_back(i);
    settings.pipeline.curriculum = compress::Curriculum::None;
  }
  std::vector<StoredProposal> proposals;
  std::unique_ptr<study::Storage> storage = study::make_memory_storage(objectives());
  study::LeaseKeeper leases{*storage, 60};
  ClaimedWork work{.storage = *storage,
                   .leases = leases,
                   .folder = folder.path(),
                   .seed = settings.seed,
                   .target = settings.target};
  data::Split split;
};

TEST_F(ClaimedTest, WithoutItsParentsWeightsATrialFailsAlone) {
  work.weights = [](const StoredProposal&) -> std::optional<graph::Parameters> {
    throw_failure("the artefact 0123… is missing");
  };
  const Context context{.dataset = dataset, .split = split, .settings = settings.pipeline};
  EXPECT_FALSE(run_claimed(storage->claim("w", 60).value(), proposals[0], work, context, {}).has_value())
      << "it is tried once more";
  const auto result = run_claimed(storage->claim("w", 60).value(), proposals[0], work, context, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->outcome, Outcome::Failed);
  EXPECT_EQ(result->reason, "the artefact 0123… is missing");
  EXPECT_EQ(storage->trial(0).state, study::TrialState::Failed);
}

// A disk without room, artefacts that are not mounted: other machines may well train it.
TEST_F(ClaimedTest, WhatItsMachineLacksEndsTheWorkerAndNotTheTrial) {
  work.weights = [](const StoredProposal&) -> std::optional<graph::Parameters> {
    throw FolderError("no room on the disk");
  };
  Context context{.dataset = dataset, .split = split, .settings = settings.pipeline};
  const auto run_one = [&] {
    return thrown_by([&] { run_claimed(storage->claim("w", 60).value(), proposals[0], work, context, {}); });
  };
  EXPECT_EQ(run_one().sentence, "no room on the disk");
  EXPECT_EQ(storage->trial(0).state, study::TrialState::Waiting);

  work.weights = {};
  work.decides_on_memory = false;
  MemoryBudget little(int64_t{1} << 20);
  context.memory = &little;
  EXPECT_NE(run_one().sentence.find("It waits again for a worker that has more"), std::string::npos);
  EXPECT_EQ(storage->trial(0).state, study::TrialState::Waiting);
  work.decides_on_memory = true;
  const auto result = run_claimed(storage->claim("w", 60).value(), proposals[0], work, context, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(storage->trial(0).state, study::TrialState::Failed) << "the search's own word is the last";
}

TEST_F(ClaimedTest, AnotherMachinesCheckpointStaysUntilThereIsABetterOne) {
  const study::Claim lost = storage->claim("v", 60).value().claim;
  storage->put_checkpoint(lost, std::vector<uint8_t>{'n', 'o', 'n', 'e'});
  storage->give_back(lost);
  work.checkpoint_seconds = 60;
  std::stop_source stop;
  stop.request_stop();
  const Context context{
      .dataset = dataset, .split = split, .settings = settings.pipeline, .stop = stop.get_token()};
  const study::ClaimedTrial claimed = storage->claim("w", 60).value();
  ASSERT_TRUE(claimed.checkpoint);
  EXPECT_EQ(thrown_by([&] { run_claimed(claimed, proposals[0], work, context, stop.get_token()); }).code,
            ErrorCode::Interrupted);
  const auto again = storage->claim("w", 60).value();
  ASSERT_TRUE(again.checkpoint);
  EXPECT_EQ(again.checkpoint->sha256, claimed.checkpoint->sha256);
}

TEST_F(ClaimedTest, WhatACrashTookAlongHasLostNothing) {
  const study::Claim crashed = storage->claim("w", 60).value().claim;
  static_cast<void>(storage->claim("w", 60));
  fs::create_directories(folder.path() / "trials/0");
  write_text_atomic(folder.path() / "trials/0/crashed", fmt::format("0 {} w\n11", crashed.attempt));
  release_earlier(*storage, Trials::Search, folder.path(), "w", settings.seed, silent_progress());
  EXPECT_EQ(storage->claim("w", 60).value().losses, 0) << "the one that crashed has an attempt less";
  EXPECT_EQ(storage->claim("w", 60).value().losses, 0);
  // Nobody knows why it ended.
  release_earlier(*storage, Trials::Search, folder.path(), "w", settings.seed, silent_progress());
  EXPECT_EQ(storage->claim("w", 60).value().losses, 1);
}

// The folder is at another place since, or the machine has another name.
TEST_F(ClaimedTest, ACrashCountsUnderTheNameOfThen) {
  const study::Claim crashed = storage->claim("old:/its folder", 60).value().claim;
  fs::create_directories(folder.path() / "trials/0");
  write_text_atomic(folder.path() / "trials/0/crashed",
                    fmt::format("0 {} {}\n11", crashed.attempt, crashed.worker));
  release_earlier(*storage, Trials::Search, folder.path(), "new", settings.seed, silent_progress());
  EXPECT_EQ(storage->trial(0).state, study::TrialState::Waiting);
  EXPECT_FALSE(fs::exists(folder.path() / "trials/0/crashed"));
}

// After a loss, its first epoch is said at once: a process that is killed every few seconds comes on, too.
TEST_F(ClaimedTest, KillsOfATrialThatComesOnDoNotEndIt) {
  settings.pipeline.stages = {"quantize", "export"};  // a stage of which every epoch has a value
  settings.pipeline.qat_epochs = 5000;
  static_cast<void>(storage->claim("w", 60));
  storage->release("w");
  for (int i = 0; i < 2 * kMostLosses; ++i) {
    const auto claimed = storage->claim("w", 60).value();
    ASSERT_EQ(claimed.claim.trial, 0);
    ASSERT_LE(claimed.losses, 1) << "kill " << i;
    std::stop_source kill;
    Context context{
        .dataset = dataset, .split = split, .settings = settings.pipeline, .stop = kill.get_token()};
    const auto before = storage->details(0).intermediate_values.size();
    std::jthread killer([&, before](const std::stop_token& over) {
      while (!over.stop_requested() && storage->details(0).intermediate_values.size() == before)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      storage->release("w");  // as the next process of that name does
      kill.request_stop();
    });
    try {
      static_cast<void>(run_claimed(claimed, proposals[0], work, context, kill.get_token()));
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::Interrupted);
    }
  }
}

TEST_F(ClaimedTest, AFileThatIsNotTheStudysIsReplaced) {
  const auto claimed = storage->claim("w", 60).value();
  const fs::path from = at("from");
  write_text_atomic(from / "model.tflite", "model");
  write_text_atomic(from / "weights.retort", "weights");
  put_files(*storage, claimed.claim, from);
  const fs::path to = at("home") / "trials" / "0";
  write_text_atomic(to / "model.tflite", "cut sh");
  get_files(*storage, storage->trial(0), at("home"), "trials/0");
  EXPECT_EQ(read_text(to / "model.tflite"), "model");
  EXPECT_EQ(read_text(to / "weights.retort"), "weights");
}

TEST_F(ClaimedTest, FilesAreNotTakenThroughALink) {
  const auto claimed = storage->claim("w", 60).value();
  const fs::path from = at("from");
  write_text_atomic(from / "model.tflite", "model");
  put_files(*storage, claimed.claim, from);
  fs::create_directories(at("home"));
  fs::create_directories(at("elsewhere"));
  fs::create_directory_symlink(at("elsewhere"), at("home") / "trials");
  EXPECT_THROW(get_files(*storage, storage->trial(0), at("home"), "trials/0"), Error);
  EXPECT_TRUE(fs::is_empty(at("elsewhere")));
}

TEST(Untidy, IsWhatHasStagesLeft) {
  const TemporaryFolder folder;
  EXPECT_FALSE(is_untidy(folder.path()));
  write_text_atomic(folder.path() / "result.json", "{}");
  EXPECT_FALSE(is_untidy(folder.path()));
  write_text_atomic(folder.path() / "stages.json", "{}");
  write_text_atomic(folder.path() / "quantize.retort", "left");
  EXPECT_TRUE(is_untidy(folder.path()));
  tidy_up(folder.path());
  EXPECT_FALSE(is_untidy(folder.path()));
  EXPECT_FALSE(fs::exists(folder.path() / "quantize.retort"));
}

}  // namespace
}  // namespace retort::search
