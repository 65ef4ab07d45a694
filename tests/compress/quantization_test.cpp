#include "compress/quantization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compress/pruning.h"
#include "engine/small_data.h"
#include "engine/trainer.h"

namespace retort::compress {
namespace {

using engine::range_of_indices;
using engine::small_dataset;
using engine::small_graph;
using graph::Parameters;
using graph::Role;

// A small network that has learned its data.
Parameters trained(const data::Dataset& dataset, std::span<const uint32_t> training,
                   const engine::TrainCallbacks& callbacks = {}) {
  const auto network = engine::backend("reference").compile(small_graph(), {});
  network->set_parameters(graph::initialize(small_graph(), Rng(3)));
  engine::TrainOptions options;
  options.epochs = 15;
  options.schedule = {engine::ScheduleKind::OneCycle, 0.02F};
  train(*network, {dataset, training, {}}, options, Rng(1), callbacks, {});
  return network->parameters();
}

// The int8 weights that a kernel of a quantised form stands for.
std::vector<int> int8_weights(const graph::ParameterSpec& spec, std::span<const float> kernel,
                              const graph::Operator& op) {
  const bool last = std::holds_alternative<graph::DepthwiseConv>(op);
  const auto channels = static_cast<size_t>(last ? spec.dims.back() : spec.dims.front());
  const auto channel_of = [&](size_t i) { return last ? i % channels : i / (kernel.size() / channels); };
  std::vector<float> largest(channels);
  for (size_t i = 0; i < kernel.size(); ++i)
    largest[channel_of(i)] = std::max(largest[channel_of(i)], std::abs(kernel[i]));
  std::vector<int> weights;
  for (size_t i = 0; i < kernel.size(); ++i)
    weights.push_back(static_cast<int>(std::lround(kernel[i] / graph::weight_scale(largest[channel_of(i)]))));
  return weights;
}

TEST(PrepareQuantization, SetsEveryRangeAndKeepsTheFunction) {
  const data::Dataset dataset = small_dataset();
  const auto all = range_of_indices(0, 120);
  const Parameters parameters = trained(dataset, all);
  const graph::QuantizedForm form =
      prepare_quantization(small_graph(), parameters, dataset, all, engine::backend("reference"));
  int ranges = 0;
  for (const graph::ParameterSpec& spec : form.parameters.specs()) {
    if (spec.role != Role::Range) continue;
    ++ranges;
    const auto range = form.parameters.at(spec.node, Role::Range);
    EXPECT_LE(range[0], 0);
    EXPECT_GT(range[1], 0);
    if (form.graph.node(spec.node).inputs[0] == 0) {
      EXPECT_EQ(range[0], 0);
      EXPECT_EQ(range[1], 1);
    }
  }
  EXPECT_EQ(ranges, 3);  // input, conv, dense

  // Kernels are untouched and the graph is the one that training takes, momentum included.
  const graph::QuantizedForm plain = graph::quantized_form(small_graph(), parameters);
  EXPECT_EQ(form.graph, plain.graph);
  for (const graph::ParameterSpec& spec : plain.parameters.specs()) {
    if (spec.role == Role::Range) continue;
    const auto before = plain.parameters.at(spec.node, spec.role);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), form.parameters.at(spec.node, spec.role).begin()));
  }

  // Post-training quantisation: the answers stay close to the float network's.
  const auto network = engine::backend("reference").compile(small_graph(), {});
  network->set_parameters(parameters);
  const auto quantized = engine::backend("reference").compile(form.graph, {});
  quantized->set_parameters(form.parameters);
  const auto expected = engine::predict(*network, dataset.train, all);
  const auto actual = engine::predict(*quantized, dataset.train, all);
  double largest = 0;
  double error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::abs(expected[i])));
    error += static_cast<double>(std::abs(expected[i] - actual[i])) / static_cast<double>(expected.size());
  }
  EXPECT_LT(error, 0.02 * largest);
  EXPECT_GT(error, 0);
}

TEST(PrepareQuantization, AsksForImages) {
  const data::Dataset dataset = small_dataset();
  try {
    prepare_quantization(small_graph(), Parameters(small_graph()), dataset, {}, engine::backend("reference"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "quantisation needs training images to find the ranges of activations");
  }
}

// Prune, then train with quantisation: the sparsity that was asked for is in the int8 weights.
TEST(QuantizationAwareTraining, KeepsThePrunedZeros) {
  const data::Dataset dataset = small_dataset();
  const auto training = range_of_indices(0, 120);
  PruningOptions pruning;
  pruning.update_every = 5;
  Pruner pruner(pruning);
  engine::TrainCallbacks callbacks;
  callbacks.before_step = [&](engine::Network& network, int64_t step, int64_t total) {
    pruner.before_step(network, step, total);
  };
  const Parameters pruned = trained(dataset, training, callbacks);
  const double sparsity = graph::kernel_sparsity(pruned);
  EXPECT_NEAR(sparsity, 0.8, 0.01);

  const graph::QuantizedForm form =
      prepare_quantization(small_graph(), pruned, dataset, training, engine::backend("reference"));
  const auto network = engine::backend("reference").compile(form.graph, {});
  const Parameters masks = masks_of_zeros(form.parameters);
  network->set_masks(masks);
  network->set_parameters(form.parameters);
  engine::TrainOptions options;
  options.epochs = 8;
  options.schedule.peak = 0.01F;
  const engine::History history = train(*network, {dataset, training, {}}, options, Rng(5), {}, {});
  EXPECT_LT(history.epochs.back().train_loss, history.epochs.front().train_loss);

  const Parameters after = network->parameters();
  size_t weights = 0;
  size_t zeros = 0;
  size_t moved = 0;
  for (const graph::ParameterSpec& spec : after.specs()) {
    if (spec.role != Role::Kernel) continue;
    const auto kernel = after.at(spec.node, Role::Kernel);
    const auto mask = masks.at(spec.node, Role::Kernel);
    const auto exported = int8_weights(spec, kernel, form.graph.node(spec.node).op);
    for (size_t i = 0; i < kernel.size(); ++i) {
      if (mask[i] == 0) {
        EXPECT_EQ(exported[i], 0);
      }
      if (kernel[i] != form.parameters.at(spec.node, Role::Kernel)[i]) ++moved;
      ++weights;
      if (exported[i] == 0) ++zeros;
    }
  }
  EXPECT_GT(moved, 0);
  const double in_file = static_cast<double>(zeros) / static_cast<double>(weights);
  EXPECT_GE(in_file, sparsity);
  EXPECT_LT(in_file, sparsity + 0.05);
}

}  // namespace
}  // namespace retort::compress
