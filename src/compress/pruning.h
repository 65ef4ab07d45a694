// Magnitude pruning with polynomial decay (Zhu and Gupta, arXiv 1710.01878).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/network.h"
#include "graph/parameters.h"

namespace retort::compress {

struct PruningOptions {
  double initial_sparsity = 0.50;
  double final_sparsity = 0.80;
  double power = 3;
  int update_every = 100;  // steps between mask updates
  // Share of the stage's steps after which the final sparsity is reached; masks stay fixed for the rest.
  double end_fraction = 0.8;
  bool operator==(const PruningOptions&) const = default;
};

// s(t) = final + (initial − final) · (1 − t)^power, t = step / end clamped to [0, 1].
double polynomial_sparsity(const PruningOptions& options, int64_t step, int64_t end_step);

// Per kernel tensor: 0 for the round(sparsity · size) smallest magnitudes (ties: lower index first), 1
// elsewhere; 1 for everything that is no kernel.
graph::Parameters magnitude_masks(const graph::Parameters& parameters, double sparsity);

// The masks that a pruned network carries: 0 where a kernel's weight is exactly zero.
graph::Parameters masks_of_zeros(const graph::Parameters& parameters);

// For engine::TrainCallbacks::before_step.
class Pruner {
 public:
  // Throws Error(Usage) for a share, power or interval out of range.
  explicit Pruner(const PruningOptions& options);
  void before_step(engine::Network& network, int64_t step, int64_t total_steps);

 private:
  PruningOptions options_;
};

struct LayerSparsity {
  int node = 0;
  std::string name;  // "conv 3×3×16→32"
  int64_t weights = 0;
  double sparsity = 0;
};
std::vector<LayerSparsity> sparsity_by_layer(const graph::Graph& graph, const graph::Parameters& parameters);

}  // namespace retort::compress
