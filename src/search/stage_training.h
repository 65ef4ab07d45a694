// How a stage of the pipeline trains a candidate, and what it keeps in the candidate's folder. Private to this room.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "engine/network.h"
#include "engine/trainer.h"
#include "graph/graph.h"
#include "search/pipeline.h"

namespace retort::search {

// What a stage trains by.
struct Training {
  std::string_view stage;
  engine::TrainOptions options;
  std::span<const uint32_t> images;
  std::function<void(engine::Network&, int64_t step, int64_t total)> before_step{};
  KeepEpoch keep = KeepEpoch::Last;
  bool hold_zeros = false;  // those of a network that was pruned elsewhere, too
  // What is kept of the trained network: its most important channels.
  std::optional<graph::Graph> narrow_to{};
};

// The settings', with the epochs that were decided for the candidate: earlier, or by the context now.
engine::TrainOptions train_options(const Candidate& candidate, const Context& context, std::string_view stage,
                                   int epochs);

// What a stage whose labels have the weight `alpha` minimises; without a teacher they have all of it.
engine::Objective objective(const Context& context, float alpha);

// Trains the candidate, from its checkpoint where there is one, and adds the result to its stages. Throws
// Error(Interrupted) when stopped, engine::Divergence, FolderError.
void train_stage(Candidate& candidate, const Context& context, Training training);

// Takes up what an earlier run finished. What is damaged is trained again, to the same numbers.
void restore(Candidate& candidate, const Context& context);

// Writes what is finished, decided and has diverged.
void save_stages(const Candidate& candidate);

// Removes the checkpoint of a stage that shall begin anew, or has ended.
void forget_epochs(const Candidate& candidate, std::string_view stage);

}  // namespace retort::search
