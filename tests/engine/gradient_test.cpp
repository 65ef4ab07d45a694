// The reference backend's gradients against central finite differences of its own loss, in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "engine/network.h"
#include "graph/random_graph.h"
#include "random_batch.h"

namespace retort::engine {
namespace {

using graph::Padding;
using graph::Shape;
using graph::Window;

constexpr Objective cross_entropy{};
constexpr Objective distillation{0.1F, 3.0F, 0.0F};

// Checks up to 40 entries of each learned tensor. A corner of a ReLU or a max pool within the step shows as
// disagreement between two step sizes; such entries are left out, but may not be many.
void expect_exact_gradients(const graph::Graph& graph, const Objective& objective, uint64_t seed) {
  const Rng rng(seed);
  const RandomBatch batch(graph, 5, rng.fork("batch"));
  const graph::Parameters parameters = random_parameters(graph, rng);
  const auto network = backend("reference").compile(graph, {.batch_size = 5});

  const auto loss_with = [&](size_t index, float value) {
    graph::Parameters changed = parameters;
    changed.values()[index] = value;
    network->set_parameters(changed);
    Rng dropout = rng.fork("dropout");
    return network->compute_gradients(batch.view(), objective, dropout).loss;
  };
  const auto slope = [&](size_t index, float step) {
    const float value = parameters.values()[index];
    return (loss_with(index, value + step) - loss_with(index, value - step)) /
           (2.0 * static_cast<double>(step));
  };

  loss_with(0, parameters.values()[0]);
  const graph::Parameters gradients = network->gradients();
  Rng choice = rng.fork("choice");
  int checked = 0;
  int corners = 0;
  for (const graph::ParameterSpec& spec : parameters.specs()) {
    for (size_t i = 0; i < spec.size; ++i) {
      const size_t index = spec.offset + i;
      const double gradient = gradients.values()[index];
      if (!graph::is_trainable(spec.role)) {
        EXPECT_EQ(gradient, 0);
        continue;
      }
      if (spec.size > 40 && choice.below(static_cast<uint32_t>(spec.size)) >= 40) continue;
      ++checked;
      const double coarse = slope(index, 1.0F / 2048);
      const double fine = slope(index, 1.0F / 4096);
      if (std::abs(coarse - fine) > 1e-6 * (1 + std::abs(fine))) {
        ++corners;
        continue;
      }
      // Richardson's step cancels the error of second order.
      const double exact = fine + (fine - coarse) / 3;
      EXPECT_NEAR(gradient, exact, 1e-6 * (1 + std::abs(exact)))
          << "node " << spec.node << " " << graph::operator_name(graph.node(spec.node).op) << " entry " << i;
    }
  }
  EXPECT_GT(checked, 0);
  EXPECT_LE(corners, 3 + checked / 5);
}

graph::Conv conv(int filters, Window window, graph::Bias bias = graph::Bias::Present) {
  graph::Conv op;
  op.filters = filters;
  op.window = window;
  op.bias = bias;
  return op;
}

graph::Dense dense(int units) {
  graph::Dense op;
  op.units = units;
  return op;
}

struct Case {
  std::string name;
  Shape input;
  // Adds the operator under test on a conv's output, which has a third channel more than the input.
  std::function<void(graph::Graph&)> build;
};

std::vector<Case> cases() {
  const Shape image{6, 7, 2, false};
  const auto one = [](auto op) { return [op](graph::Graph& graph) { graph.add(op); }; };
  std::vector<Case> all{
      {"conv_same", image, one(conv(3, {3, 3, 1, 1, Padding::Same}))},
      {"conv_same_stride_2", image, one(conv(3, {3, 3, 2, 2, Padding::Same}))},
      {"conv_rectangular", image, one(conv(4, {2, 5, 3, 1, Padding::Same}))},
      {"conv_valid_without_bias", image, one(conv(3, {3, 2, 1, 2, Padding::Valid}, graph::Bias::Absent))},
      {"conv_point", image, one(conv(5, {1, 1, 2, 2, Padding::Same}))},
      {"depthwise_same", image, one(graph::DepthwiseConv{{3, 3, 1, 1, Padding::Same}})},
      {"depthwise_stride_2", image, one(graph::DepthwiseConv{{3, 3, 2, 2, Padding::Same}})},
      {"depthwise_valid", image,
       one(graph::DepthwiseConv{{2, 4, 2, 1, Padding::Valid}, graph::Bias::Absent})},
      {"batch_norm", image, one(graph::BatchNorm{})},
      {"relu", image, one(graph::Relu{})},
      {"relu6", image,
       [](graph::Graph& graph) {
         // A batch norm in front of a sum of eight spreads the values over both corners.
         const int norm = graph.add(graph::BatchNorm{});
         int sum = norm;
         for (int i = 0; i < 3; ++i) sum = graph.add(graph::Add{}, {sum, sum});
         graph.add(graph::Relu6{});
       }},
      {"max_pool", image, one(graph::MaxPool{})},
      {"max_pool_overlapping", image, one(graph::MaxPool{{3, 3, 2, 2, Padding::Same}})},
      {"average_pool", image, one(graph::AvgPool{})},
      {"average_pool_overlapping", image, one(graph::AvgPool{{3, 2, 2, 1, Padding::Same}})},
      {"add", image,
       [](graph::Graph& graph) {
         const int left = graph.output();
         const int right = graph.add(graph::DepthwiseConv{});
         graph.add(graph::Add{}, {left, right});
       }},
      {"add_to_itself", image,
       [](graph::Graph& graph) { graph.add(graph::Add{}, {graph.output(), graph.output()}); }},
      {"dropout", image, one(graph::Dropout{0.4F})},
      {"global_average_pool", image, one(graph::GlobalAvgPool{})},
      {"dense_after_pool", image,
       [](graph::Graph& graph) {
         graph.add(graph::GlobalAvgPool{});
         graph.add(dense(6));
         graph.add(graph::Relu{});
       }},
      {"batch_norm_flat", image,
       [](graph::Graph& graph) {
         graph.add(graph::Flatten{});
         graph.add(dense(5));
         graph.add(graph::BatchNorm{});
       }},
  };
  return all;
}

class Gradient : public testing::TestWithParam<Case> {};

TEST_P(Gradient, MatchesFiniteDifferences) {
  graph::Graph graph(GetParam().input);
  graph.add(conv(3, {3, 3, 1, 1, Padding::Same}));
  GetParam().build(graph);
  if (!graph.node(graph.output()).shape.flat) graph.add(graph::Flatten{});
  graph.add(dense(4));
  graph.add(graph::Softmax{});
  expect_exact_gradients(graph, cross_entropy, 1);
  expect_exact_gradients(graph, distillation, 2);
}

INSTANTIATE_TEST_SUITE_P(Operators, Gradient, testing::ValuesIn(cases()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(GradientOfLosses, MatchFiniteDifferences) {
  graph::Graph graph({3, 3, 1, false});
  graph.add(graph::Flatten{});
  graph.add(dense(5));
  for (const float alpha : {1.0F, 0.7F, 0.0F})
    for (const float temperature : {1.0F, 3.0F, 8.0F})
      for (const float smoothing : {0.0F, 0.1F})
        expect_exact_gradients(graph, {alpha, temperature, smoothing}, 7);
}

TEST(GradientOfRandomGraphs, MatchFiniteDifferences) {
  graph::RandomGraphOptions options;
  options.maximum_side = 8;
  options.maximum_channels = 6;
  for (uint64_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    expect_exact_gradients(graph::random_graph(rng, options), seed % 2 == 0 ? cross_entropy : distillation,
                           seed);
  }
}

}  // namespace
}  // namespace retort::engine
