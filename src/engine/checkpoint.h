// Weights and checkpoints as files: a JSON header line with tensor names, shapes and a SHA-256, then raw
// float32. Written atomically; a damaged or foreign file gives Error(Usage) naming it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/split_record.h"
#include "engine/trainer.h"
#include "graph/graph.h"

namespace retort::engine {

// A trained network: its graph and numbers. The format of weights.retort.
struct Model {
  graph::Graph graph;
  graph::Parameters parameters;
  std::vector<std::string> classes;  // their names, where they are known
  // That it was trained by; none: it was not trained here, or by an earlier version.
  std::optional<data::SplitRecord> split = std::nullopt;
};
void save_model(const std::filesystem::path& path, const Model& model);
Model load_model(const std::filesystem::path& path);

void save_checkpoint(const std::filesystem::path& path, const graph::Graph& graph,
                     const Checkpoint& checkpoint);
// Throws Error(Usage) when the checkpoint belongs to another graph.
Checkpoint load_checkpoint(const std::filesystem::path& path, const graph::Graph& graph);

}  // namespace retort::engine
