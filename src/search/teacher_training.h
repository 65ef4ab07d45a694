// How a teacher is trained: a search's, and the one of `retort teacher`.
#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <vector>

#include "base/progress.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "engine/network.h"
#include "engine/trainer.h"
#include "graph/graph.h"
#include "search/results.h"

namespace retort::search {

struct TeacherTraining {
  const graph::Graph& graph;
  engine::CompileOptions compile;
  engine::TrainOptions options;
  Rng weights;  // draws the first ones
  Rng images;   // draws their order
  // Where it is kept at times (engine::CheckpointPace), so that one that was cut off goes on to the same numbers.
  std::filesystem::path folder;
};

struct TrainedTeacher {
  std::unique_ptr<engine::Network> network;
  engine::History history;
  std::vector<Diverged> diverged;  // in the order of time; mostly none
};

// Trains it, or goes on from its last checkpoint. One that diverges begins anew with a lower rate, as a trial does. Throws
// Error(Interrupted) when stopped, engine::Divergence when it diverges again.
TrainedTeacher train_teacher(const TeacherTraining& training, const data::Dataset& dataset,
                             const data::Split& split, const engine::Backend& backend, ProgressSink& progress,
                             const std::stop_token& stop);

// What it kept goes, once the teacher is stored.
void forget_teacher_training(const std::filesystem::path& folder);

}  // namespace retort::search
