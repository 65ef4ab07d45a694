// The numbers of a network, in one canonical layout that every room shares.
//
//   Conv kernel           out × kernel_height × kernel_width × in     (TFLite's OHWI)
//   DepthwiseConv kernel  1 × kernel_height × kernel_width × channels
//   Dense kernel          out × in, `in` in height, width, channels order after a Flatten
//   bias, gamma, beta, running mean and variance: channels
//   FakeQuant range       2: minimum, maximum (state; minimum ≤ 0 ≤ maximum once trained; both 0 before)
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "graph/graph.h"

namespace retort::graph {

enum class Role { Kernel, Bias, Gamma, Beta, Mean, Variance, Range };

// Learned by gradient (kernels, biases, gamma, beta), as opposed to state that training updates otherwise.
bool is_trainable(Role role);

struct ParameterSpec {
  int node = 0;
  Role role = Role::Kernel;
  std::vector<int> dims;
  size_t offset = 0;  // into Parameters::values()
  size_t size = 0;
  bool operator==(const ParameterSpec&) const = default;
};

// Every parameter tensor of a graph, in node order.
std::vector<ParameterSpec> parameter_specs(const Graph& graph);

// Count as Keras's count_params does: everything except FakeQuant ranges.
int64_t parameter_count(const Graph& graph);

class Parameters {
 public:
  Parameters() = default;
  explicit Parameters(const Graph& graph);  // all zero

  [[nodiscard]] const std::vector<ParameterSpec>& specs() const { return specs_; }
  std::span<float> values() { return values_; }
  [[nodiscard]] std::span<const float> values() const { return values_; }
  [[nodiscard]] bool has(int node, Role role) const;
  // Throws std::out_of_range when the node has no such parameter.
  std::span<float> at(int node, Role role);
  [[nodiscard]] std::span<const float> at(int node, Role role) const;

 private:
  [[nodiscard]] const ParameterSpec* find(int node, Role role) const;
  std::vector<ParameterSpec> specs_;
  std::vector<float> values_;
};

// Keras's initial values: kernels by their node's initializer, biases and beta 0, gamma 1, mean 0,
// variance 1. Each tensor draws from its own stream, rng.fork("initialise", node).
Parameters initialize(const Graph& graph, const Rng& rng);

// Share of zeros among the kernels' weights (what magnitude pruning prunes), 0 … 1.
double kernel_sparsity(const Parameters& parameters);

}  // namespace retort::graph
