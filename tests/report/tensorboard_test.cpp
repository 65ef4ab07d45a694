#include "report/tensorboard.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "sample_study.h"
#include "study/parameters.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Tensorboard, EveryTrialThatHasBegunIsARun) {
  const fs::path folder = fs::path(testing::TempDir()) / "retort_tensorboard_test";
  fs::remove_all(folder);
  const search::StudyResult study = sample_study(1, 1);
  const std::vector<std::string> kinds = {"conv", "res"};
  const auto storage = study::make_memory_storage();
  const study::NewTrial trial{.proposal = "{}",
                              .parameters = {study::integer_parameter("blocks", 2, 1, 4),
                                             study::categorical_parameter("kind", "res", kinds)},
                              .attributes = {{"config", "\"two blocks\""}}};
  storage->add_trials(0, std::vector(3, trial));
  const auto finish = [&](int number, study::TrialState state, std::vector<double> values) {
    storage->finish(
        storage->claim("w", 60).value().claim,
        {state, dump_json(Json(study.trials.at(static_cast<size_t>(number)))), std::move(values)});
  };
  finish(0, study::TrialState::Complete, {0.8});
  finish(1, study::TrialState::Failed, {});
  EXPECT_EQ(export_tensorboard(*storage, folder, 1e9), 2);
  const std::string name = "events.out.tfevents.1000000000.retort";
  const std::string table = read(folder / name);
  for (const char* word : {"_hparams_/experiment", "blocks", "kind", "conv", "structure", "flash bytes"})
    EXPECT_NE(table.find(word), std::string::npos) << word;
  const std::string run = read(folder / "trial 0000" / name);
  for (const char* word : {"_hparams_/session_start_info", "trial 0000", "res", "two blocks", "loss/train",
                           "accuracy/validation", "int8 accuracy", "MACs", "_hparams_/session_end_info"})
    EXPECT_NE(run.find(word), std::string::npos) << word;
  EXPECT_EQ(read(folder / "trial 0001" / name).find("int8 accuracy"), std::string::npos) << "it has none";
  EXPECT_FALSE(fs::exists(folder / "trial 0002")) << "it has not begun";
  EXPECT_THROW(export_tensorboard(*storage, folder, 1e9), Error);
  fs::remove_all(folder);
}

TEST(Tensorboard, NoTrialIsLeftOutWhereManyAreReadInParts) {
  const fs::path folder = fs::path(testing::TempDir()) / "retort_tensorboard_parts_test";
  fs::remove_all(folder);
  const auto storage = study::make_memory_storage();
  constexpr int kTrials = 600;
  std::vector<study::NewTrial> trials;
  for (int i = 0; i < kTrials; ++i)
    trials.push_back({.proposal = "{}",
                      .parameters = {study::integer_parameter("blocks", 2, 1, 4)},
                      .attributes = {{"config", fmt::format("\"structure {:04}.\"", i)}}});
  storage->add_trials(0, trials);
  // Begun are the first and the last of a part, and the very last; the others go back to wait.
  const std::vector<int> begun = {0, 255, 256, kTrials - 1};
  std::vector<study::Claim> others;
  for (int i = 0; i < kTrials; ++i) {
    study::Claim claim = storage->claim("w", 60).value().claim;
    if (std::ranges::find(begun, i) == begun.end()) others.push_back(std::move(claim));
  }
  for (const study::Claim& claim : others) storage->give_back(claim);
  EXPECT_EQ(export_tensorboard(*storage, folder, 1e9), static_cast<int>(begun.size()));
  for (const int number : begun) {
    const std::string run =
        read(folder / fmt::format("trial {:04}", number) / "events.out.tfevents.1000000000.retort");
    EXPECT_NE(run.find(fmt::format("structure {:04}.", number)), std::string::npos) << number;
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace retort::report
