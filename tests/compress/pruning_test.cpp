#include "compress/pruning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/small_data.h"
#include "engine/trainer.h"

namespace retort::compress {
namespace {

using engine::range_of_indices;
using engine::small_dataset;
using engine::small_graph;
using graph::Parameters;
using graph::Role;

// Share of exact zeros in each kernel.
std::vector<double> kernel_zeros(const graph::Graph& graph, const Parameters& parameters) {
  std::vector<double> shares;
  for (const LayerSparsity& layer : sparsity_by_layer(graph, parameters)) shares.push_back(layer.sparsity);
  return shares;
}

TEST(PolynomialSparsity, FollowsTheFormula) {
  const PruningOptions options;
  EXPECT_DOUBLE_EQ(polynomial_sparsity(options, 0, 1000), 0.5);
  EXPECT_DOUBLE_EQ(polynomial_sparsity(options, 500, 1000), 0.8 - 0.3 * 0.125);
  EXPECT_DOUBLE_EQ(polynomial_sparsity(options, 1000, 1000), 0.8);
  EXPECT_DOUBLE_EQ(polynomial_sparsity(options, 5000, 1000), 0.8);
  EXPECT_DOUBLE_EQ(polynomial_sparsity(options, 0, 0), 0.8);
  PruningOptions linear;
  linear.initial_sparsity = 0;
  linear.power = 1;
  EXPECT_DOUBLE_EQ(polynomial_sparsity(linear, 250, 1000), 0.2);
}

TEST(MagnitudeMasks, TakeTheSmallestOfEachKernel) {
  const graph::Graph graph = small_graph();
  Rng rng(1);
  for (const double sparsity : {0.0, 0.1, 0.5, 0.777, 0.95, 1.0}) {
    Parameters parameters(graph);
    for (float& value : parameters.values()) value = static_cast<float>(rng.below(9)) - 4;  // many ties
    const Parameters masks = magnitude_masks(parameters, sparsity);
    ASSERT_EQ(masks.specs(), parameters.specs());
    for (const graph::ParameterSpec& spec : masks.specs()) {
      const auto mask = masks.values().subspan(spec.offset, spec.size);
      const auto weights = parameters.values().subspan(spec.offset, spec.size);
      const auto zeros = std::count(mask.begin(), mask.end(), 0.0F);
      ASSERT_EQ(zeros + std::count(mask.begin(), mask.end(), 1.0F), static_cast<long>(spec.size));
      if (spec.role != Role::Kernel) {
        EXPECT_EQ(zeros, 0);
        continue;
      }
      EXPECT_EQ(zeros, std::llround(sparsity * static_cast<double>(spec.size)));
      // Nothing that is kept is smaller than what is pruned; of equal ones the lower index goes first.
      for (size_t kept = 0; kept < mask.size(); ++kept)
        for (size_t pruned = 0; pruned < mask.size(); ++pruned)
          if (mask[kept] == 1 && mask[pruned] == 0) {
            EXPECT_GE(std::abs(weights[kept]), std::abs(weights[pruned]));
            if (std::abs(weights[kept]) == std::abs(weights[pruned])) {
              EXPECT_GT(kept, pruned);
            }
          }
    }
  }
}

TEST(MasksOfZeros, AreZeroWhereAKernelIs) {
  const graph::Graph graph = small_graph();
  Parameters parameters(graph);  // biases are zero too, but no kernels
  const auto kernel = parameters.at(1, Role::Kernel);
  kernel[3] = 0.5F;
  kernel[4] = -1e-30F;
  const Parameters masks = masks_of_zeros(parameters);
  for (size_t i = 0; i < kernel.size(); ++i)
    EXPECT_EQ(masks.at(1, Role::Kernel)[i], i == 3 || i == 4 ? 1 : 0);
  EXPECT_EQ(masks.at(1, Role::Bias)[0], 1);
}

// Whatever the stage's length, the final sparsity is there at its end, reached step by step.
TEST(Pruner, ReachesTheFinalSparsityWithinTheStage) {
  const graph::Graph graph = small_graph();
  for (const int64_t total : {1, 2, 7, 99, 101, 250, 1250}) {
    SCOPED_TRACE(total);
    const auto network = engine::backend("reference").compile(graph, {.batch_size = 4});
    network->set_parameters(graph::initialize(graph, Rng(3)));
    Pruner pruner(PruningOptions{});
    double before = 0;
    for (int64_t step = 0; step < total; ++step) {
      pruner.before_step(*network, step, total);
      const double now = kernel_zeros(graph, network->parameters()).back();
      EXPECT_GE(now, before);
      if (total == 1250 && step % 100 == 0) {
        const double dense_weights = 9 * 4 * 4;
        EXPECT_DOUBLE_EQ(now,
                         std::round(polynomial_sparsity({}, step, 1000) * dense_weights) / dense_weights);
      }
      before = now;
    }
    for (const LayerSparsity& layer : sparsity_by_layer(graph, network->parameters())) {
      const double size = static_cast<double>(layer.weights);
      EXPECT_DOUBLE_EQ(layer.sparsity, std::round(0.8 * size) / size) << layer.name;
    }
  }
}

TEST(Pruner, MasksLastThroughTraining) {
  const graph::Graph graph = small_graph();
  const data::Dataset dataset = small_dataset();
  const auto training = range_of_indices(0, 120);
  const auto network = engine::backend("reference").compile(graph, {});
  network->set_parameters(graph::initialize(graph, Rng(3)));
  PruningOptions pruning;
  pruning.update_every = 5;
  Pruner pruner(pruning);
  engine::TrainOptions options;
  options.epochs = 6;
  engine::TrainCallbacks callbacks;
  callbacks.before_step = [&](engine::Network& student, int64_t step, int64_t total) {
    pruner.before_step(student, step, total);
  };
  train(*network, {dataset, training, {}}, options, Rng(1), callbacks, {});
  const auto pruned = sparsity_by_layer(graph, network->parameters());
  EXPECT_NEAR(graph::kernel_sparsity(network->parameters()), 0.8, 0.01);

  // Another stage without the pruner, from the pruned weights: the zeros stay where they are.
  const auto next = engine::backend("reference").compile(graph, {});
  next->set_masks(masks_of_zeros(network->parameters()));
  next->set_parameters(network->parameters());
  train(*next, {dataset, training, {}}, options, Rng(2), {}, {});
  const auto after = sparsity_by_layer(graph, next->parameters());
  for (size_t i = 0; i < pruned.size(); ++i) EXPECT_EQ(pruned[i].sparsity, after[i].sparsity);
  EXPECT_FALSE(std::equal(next->parameters().values().begin(), next->parameters().values().end(),
                          network->parameters().values().begin()));
}

TEST(Pruner, ErrorsSayWhatIsOutOfRange) {
  const auto error_of = [](const PruningOptions& options) -> std::string {
    try {
      Pruner pruner(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage);
      return error.what();
    }
    return "none";
  };
  EXPECT_EQ(error_of({}), "none");
  EXPECT_EQ(error_of({.initial_sparsity = -0.1}),
            "initial sparsity -0.1: a share from 0 to below 1 is needed");
  EXPECT_EQ(error_of({.final_sparsity = 1}), "final sparsity 1: a share from 0 to below 1 is needed");
  EXPECT_EQ(error_of({.initial_sparsity = 0.9}), "initial sparsity 0.9 is above the final 0.8");
  EXPECT_EQ(error_of({.power = 0}), "pruning power 0: a positive number is needed");
  EXPECT_EQ(error_of({.update_every = 0}), "mask updates every 0 steps: at least 1 is needed");
  EXPECT_EQ(error_of({.end_fraction = 1.5}), "pruning's end fraction 1.5: a number from 0 to 1 is needed");
}

TEST(SparsityByLayer, NamesLayers) {
  graph::Graph graph({6, 6, 2, false});
  graph::Conv conv;
  conv.filters = 5;
  conv.window.kernel_width = 4;
  graph.add(conv);
  graph.add(graph::DepthwiseConv{});
  graph.add(graph::GlobalAvgPool{});
  graph::Dense dense;
  dense.units = 3;
  graph.add(dense);
  Parameters parameters(graph);
  parameters.at(4, Role::Kernel)[0] = 1;
  const auto layers = sparsity_by_layer(graph, parameters);
  ASSERT_EQ(layers.size(), 3);
  EXPECT_EQ(layers[0].name, "conv 3×4×2→5");
  EXPECT_EQ(layers[1].name, "depthwise_conv 3×3×5");
  EXPECT_EQ(layers[2].name, "dense 5→3");
  EXPECT_EQ(layers[0].weights, 120);
  EXPECT_EQ(layers[0].sparsity, 1);
  EXPECT_EQ(layers[2].node, 4);
  EXPECT_DOUBLE_EQ(layers[2].sparsity, 14.0 / 15);
}

}  // namespace
}  // namespace retort::compress
