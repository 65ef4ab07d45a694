// Weights and checkpoints as files: a JSON header line with tensor names, shapes and a SHA-256, then raw
// float32. Written atomically; a damaged or foreign file gives Error(Usage) naming it.
#pragma once

#include <algorithm>
#include <chrono>
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

// Which of a training's checkpoints are written: the first at once, so that one that is cut again and again comes on,
// and then what takes at most a twentieth of the time, one a second at most, but one a minute in any case: a disk may
// have been asleep. Epochs of a small data set are shorter than a disk takes.
template <typename Clock = std::chrono::steady_clock>
class CheckpointPace {
 public:
  // Calls `write` if one is due. Whether it was.
  template <typename Write>
  bool write_if_due(const Write& write) {
    const typename Clock::time_point start = Clock::now();
    if (start < due_) return false;
    write();
    const typename Clock::time_point end = Clock::now();
    constexpr int kTimesAsLong = 19;
    due_ = end + std::clamp<typename Clock::duration>(kTimesAsLong * (end - start), std::chrono::seconds(1),
                                                      std::chrono::minutes(1));
    return true;
  }

 private:
  typename Clock::time_point due_ = Clock::time_point::min();
};

}  // namespace retort::engine
