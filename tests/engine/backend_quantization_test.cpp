// Training with kernels and activations on the int8 grid, by every backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "backend_contract.h"
#include "engine/network.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "random_batch.h"

namespace retort::engine {
namespace {

// Rounding to a grid turns the last bit of a float into a whole step now and then, hence the wider tolerance.
TEST_P(BackendContract, ComputesWhatTheReferenceComputesOnQuantisedGraphs) {
  for (uint64_t seed = 100; seed < 130; ++seed) {
    Rng rng(seed);
    const graph::Graph graph = graph::random_graph(rng, {});
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const graph::QuantizedForm form =
        graph::quantized_form(graph, random_parameters(graph, rng.fork("parameters")));
    expect_like_reference(form.graph, form.parameters, {0.5F, 2.0F, 0.0F}, seed, 0.05);
  }
}

TEST_P(BackendContract, RangesFollowTheBatches) {
  graph::Graph graph({1, 4, 1, false});
  graph.add(graph::FakeQuant{0.75F});
  graph.add(graph::Flatten{});
  graph.add(dense(2));
  graph.add(graph::FakeQuant{0.75F});
  const auto network = compile(graph, {.batch_size = 2});
  Parameters parameters(graph);
  parameters.at(1, Role::Range)[1] = 1;  // the input's: stays
  const std::vector<float> kernel{1, 0, 0, 0, 0, -2, 0, 0};
  std::copy(kernel.begin(), kernel.end(), parameters.at(3, Role::Kernel).begin());
  network->set_parameters(parameters);
  Rng rng(0);
  const std::vector<uint16_t> labels{0, 1};
  const auto step = [&](const std::vector<uint8_t>& images) {
    network->compute_gradients({images, std::span(labels).first(images.size() / 4), {}}, {}, rng);
    const Parameters now = network->parameters();
    EXPECT_EQ(now.at(1, Role::Range)[0], 0);
    EXPECT_EQ(now.at(1, Role::Range)[1], 1);
    const auto range = now.at(4, Role::Range);
    return std::pair(range[0], range[1]);
  };
  // Logits x0 and −2·x1.
  auto [low, high] = step({51, 255, 0, 0, 204, 0, 0, 0});
  EXPECT_NEAR(low, -2, 1e-5);
  EXPECT_NEAR(high, 0.8, 1e-5);
  std::tie(low, high) = step({0, 51, 0, 0});
  EXPECT_NEAR(low, 0.75 * -2 + 0.25 * -0.4, 1e-5);
  EXPECT_NEAR(high, 0.75 * 0.8, 1e-5) << "0 belongs to every range";
  const auto before = network->parameters();
  std::vector<float> logits(2);
  network->predict(std::vector<uint8_t>{255, 255, 255, 255}, logits);
  expect_equal(network->parameters(), before);
  EXPECT_NEAR(logits[0], 0.6, 0.01) << "clipped";
  EXPECT_NEAR(logits[1], -1.6, 0.01);
}

// Through a FakeQuant the gradient passes where the value lies inside the range, and only there.
TEST_P(BackendContract, GradientPassesInsideTheRange) {
  graph::Graph graph({1, 3, 1, false});
  graph::Conv conv;
  conv.filters = 1;
  conv.window = {1, 1, 1, 1, graph::Padding::Same};
  graph.add(conv);
  graph.add(graph::FakeQuant{0.5F});
  graph.add(graph::Flatten{});
  graph.add(dense(2));
  const auto network = compile(graph, {.batch_size = 1});
  Parameters parameters(graph);
  parameters.at(1, Role::Kernel)[0] = 2;
  parameters.at(1, Role::Bias)[0] = -0.5F;
  parameters.at(2, Role::Range)[0] = -0.25F;
  parameters.at(2, Role::Range)[1] = 0.75F;
  const std::vector<float> kernel{1, 3, -2, 0.5F, -1, 4};
  std::copy(kernel.begin(), kernel.end(), parameters.at(4, Role::Kernel).begin());
  network->set_parameters(parameters);
  const std::vector<uint8_t> image{20, 100, 200};  // before the grid: −0.343, 0.284, 1.069
  Rng rng(0);
  network->compute_gradients({image, std::vector<uint16_t>{0}, {}}, {}, rng);
  const Parameters now = network->parameters();
  const auto range = now.at(2, Role::Range);  // halfway to the batch's
  EXPECT_NEAR(range[0], -0.297, 0.001);
  EXPECT_NEAR(range[1], 0.909, 0.001);
  const Parameters gradients = network->gradients();
  const auto dz = gradients.at(4, Role::Bias);
  const double inside = kernel[1] * dz[0] + kernel[4] * dz[1];
  EXPECT_NEAR(gradients.at(1, Role::Bias)[0], inside, 1e-5);
  EXPECT_NEAR(gradients.at(1, Role::Kernel)[0], inside * 100 / 255, 1e-5);
  // The reader sees values on the grid, clipped to its ends.
  const graph::QuantGrid grid = graph::quant_grid(range[0], range[1]);
  const auto on_grid = [&](double value) {
    const double step = std::clamp(std::round(value / grid.scale) + grid.zero_point, -128.0, 127.0);
    return static_cast<double>(grid.scale) * (step - grid.zero_point);
  };
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(gradients.at(4, Role::Kernel)[i], dz[0] * on_grid(2 * image[i] / 255.0 - 0.5), 1e-5);
}

// Straight through: the gradient for a kernel on the grid is that of the rounded kernel in plain layers.
TEST_P(BackendContract, RoundedKernelsPassTheirGradientOn) {
  const auto build = [](graph::WeightGrid grid) {
    graph::Graph graph({6, 6, 2, false});
    graph::Conv conv;
    conv.filters = 5;
    conv.grid = grid;
    graph.add(conv);
    graph::DepthwiseConv depthwise;
    depthwise.grid = grid;
    graph.add(depthwise);
    graph.add(graph::Relu{});
    graph.add(graph::MaxPool{});
    graph.add(graph::Flatten{});
    graph.add(dense(3, grid));
    return graph;
  };
  const graph::Graph rounded = build(graph::WeightGrid::Int8);
  const graph::Graph plain = build(graph::WeightGrid::Float);
  Parameters parameters = random_parameters(rounded, Rng(5));
  const auto network = compile(rounded, {.batch_size = 8});
  network->set_parameters(parameters);
  expect_equal(network->parameters(), parameters);

  for (const ParameterSpec& spec : parameters.specs()) {
    if (spec.role != Role::Kernel) continue;
    const auto kernel = parameters.at(spec.node, Role::Kernel);
    const bool last = spec.dims.size() == 4 && spec.dims.front() == 1;
    const auto channels = static_cast<size_t>(last ? spec.dims.back() : spec.dims.front());
    const size_t each = kernel.size() / channels;
    for (size_t c = 0; c < channels; ++c) {
      const auto index = [&](size_t i) { return last ? i * channels + c : c * each + i; };
      float largest = 0;
      for (size_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(kernel[index(i)]));
      const float scale = graph::weight_scale(largest);
      for (size_t i = 0; i < each; ++i) kernel[index(i)] = scale * std::round(kernel[index(i)] / scale);
    }
  }
  const auto reference = backend("reference").compile(plain, {.batch_size = 8});
  reference->set_parameters(parameters);
  const RandomBatch batch(rounded, 8, Rng(6));
  Rng rng(0);
  const double loss = network->compute_gradients(batch.view(), {}, rng).loss;
  EXPECT_NEAR(reference->compute_gradients(batch.view(), {}, rng).loss, loss, 1e-5);
  expect_near(network->gradients(), reference->gradients(), 1e-4);
}

}  // namespace
}  // namespace retort::engine
