// Where a network's numbers lie inside: one flat array, kernels first, then the other learned tensors, then
// state. Gradients and moments use the same places, so that the optimiser is one pass. Channels are padded to
// the block; the extra entries are 0 and stay so, since their gradients are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/plan_lowering.h"
#include "graph/parameters.h"

namespace retort::engine {

class ParameterLayout {
 public:
  ParameterLayout(const graph::Graph& graph, const LoweredGraph& lowered);

  [[nodiscard]] size_t kernel_count() const { return kernel_count_; }  // floats of the kernels
  [[nodiscard]] size_t trainable_count() const {
    return trainable_count_;
  }  // kernels and other learned tensors
  [[nodiscard]] size_t count() const { return count_; }  // all, state included

  struct Place {
    size_t offset = 0;
    size_t size = 0;  // 0: the node has no such tensor
  };
  [[nodiscard]] Place place(int node, graph::Role role) const;

  // canonical: Parameters::values(); internal: count() floats (or trainable_count() where only those are
  // wanted; then the other canonical entries are read as, or left, 0).
  void to_internal(std::span<const float> canonical, std::span<float> internal) const;
  void to_canonical(std::span<const float> internal, std::span<float> canonical) const;

 private:
  struct Tensor {
    int node = 0;
    graph::Role role = graph::Role::Kernel;
    Place place;
  };
  std::vector<Tensor> tensors_;
  std::vector<uint32_t> places_;  // of each canonical value
  size_t kernel_count_ = 0;
  size_t trainable_count_ = 0;
  size_t count_ = 0;
};

}  // namespace retort::engine
