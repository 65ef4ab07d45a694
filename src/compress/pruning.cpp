#include "compress/pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace retort::compress {
namespace {

using graph::Parameters;
using graph::ParameterSpec;
using graph::Role;

// A mask for each kernel, by `fill(weights, mask)`; 1 for everything else.
template <typename Fill>
Parameters kernel_masks(const Parameters& parameters, const Fill& fill) {
  Parameters masks = parameters;
  std::fill(masks.values().begin(), masks.values().end(), 1.0F);
  for (const ParameterSpec& spec : parameters.specs())
    if (spec.role == Role::Kernel)
      fill(parameters.values().subspan(spec.offset, spec.size),
           masks.values().subspan(spec.offset, spec.size));
  return masks;
}

std::string layer_name(const graph::Graph& graph, const ParameterSpec& spec) {
  const graph::Operator& op = graph.node(spec.node).op;
  const std::vector<int>& dims = spec.dims;
  const std::string_view name = graph::operator_name(op);
  if (std::holds_alternative<graph::Dense>(op)) return fmt::format("{} {}→{}", name, dims[1], dims[0]);
  if (std::holds_alternative<graph::DepthwiseConv>(op))
    return fmt::format("{} {}×{}×{}", name, dims[1], dims[2], dims[3]);
  return fmt::format("{} {}×{}×{}→{}", name, dims[1], dims[2], dims[3], dims[0]);
}

void check_share(double share, std::string_view what) {
  if (!(share >= 0 && share < 1)) throw_usage("{} {}: a share from 0 to below 1 is needed", what, share);
}

}  // namespace

double polynomial_sparsity(const PruningOptions& options, int64_t step, int64_t end_step) {
  const double t =
      end_step <= 0 ? 1 : std::clamp(static_cast<double>(step) / static_cast<double>(end_step), 0.0, 1.0);
  return options.final_sparsity +
         (options.initial_sparsity - options.final_sparsity) * std::pow(1 - t, options.power);
}

Parameters magnitude_masks(const Parameters& parameters, double sparsity) {
  return kernel_masks(parameters, [&](std::span<const float> weights, std::span<float> mask) {
    std::vector<uint32_t> order(weights.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto pruned = std::llround(sparsity * static_cast<double>(weights.size()));
    std::nth_element(order.begin(), order.begin() + pruned, order.end(), [&](uint32_t a, uint32_t b) {
      const float left = std::abs(weights[a]);
      const float right = std::abs(weights[b]);
      return left != right ? left < right : a < b;
    });
    std::for_each(order.begin(), order.begin() + pruned, [&](uint32_t index) { mask[index] = 0; });
  });
}

Parameters masks_of_zeros(const Parameters& parameters) {
  return kernel_masks(parameters, [](std::span<const float> weights, std::span<float> mask) {
    std::transform(weights.begin(), weights.end(), mask.begin(),
                   [](float w) { return w == 0 ? 0.0F : 1.0F; });
  });
}

Pruner::Pruner(const PruningOptions& options) : options_(options) {
  check_share(options.initial_sparsity, "initial sparsity");
  check_share(options.final_sparsity, "final sparsity");
  if (options.initial_sparsity > options.final_sparsity)
    throw_usage("initial sparsity {} is above the final {}", options.initial_sparsity,
                options.final_sparsity);
  if (!(options.power > 0)) throw_usage("pruning power {}: a positive number is needed", options.power);
  if (options.update_every < 1)
    throw_usage("mask updates every {} steps: at least 1 is needed", options.update_every);
  if (!(options.end_fraction >= 0 && options.end_fraction <= 1))
    throw_usage("pruning's end fraction {}: a number from 0 to 1 is needed", options.end_fraction);
}

void Pruner::before_step(engine::Network& network, int64_t step, int64_t total_steps) {
  // At the latest before the last step, so that the final sparsity is always reached.
  const auto end_step = std::min(
      static_cast<int64_t>(options_.end_fraction * static_cast<double>(total_steps)), total_steps - 1);
  if (step > end_step || (step != end_step && step % options_.update_every != 0)) return;
  network.set_masks(magnitude_masks(network.parameters(), polynomial_sparsity(options_, step, end_step)));
}

std::vector<LayerSparsity> sparsity_by_layer(const graph::Graph& graph, const Parameters& parameters) {
  std::vector<LayerSparsity> layers;
  for (const ParameterSpec& spec : parameters.specs()) {
    if (spec.role != Role::Kernel) continue;
    const auto weights = parameters.values().subspan(spec.offset, spec.size);
    const auto zeros = std::count(weights.begin(), weights.end(), 0.0F);
    layers.push_back({spec.node, layer_name(graph, spec), static_cast<int64_t>(spec.size),
                      static_cast<double>(zeros) / static_cast<double>(spec.size)});
  }
  return layers;
}

}  // namespace retort::compress
