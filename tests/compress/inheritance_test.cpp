#include "compress/inheritance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/network.h"
#include "engine/reference_backend.h"
#include "graph/micro.h"

namespace retort::compress {
namespace {

using graph::Graph;
using graph::Parameters;
using graph::Role;

constexpr graph::Shape kInput{.height = 8, .width = 8, .channels = 2};
constexpr int kClasses = 3;

// Weights as after some training: no channel like another, running statistics that matter.
Parameters trained(const Graph& graph, uint64_t seed) {
  Parameters parameters = graph::initialize(graph, Rng(seed));
  Rng rng = Rng(seed).fork("trained");
  for (const graph::ParameterSpec& spec : parameters.specs())
    for (float& value : parameters.at(spec.node, spec.role)) {
      if (spec.role == Role::Gamma || spec.role == Role::Variance) value = rng.uniform(0.5F, 1.5F);
      if (spec.role == Role::Beta || spec.role == Role::Mean || spec.role == Role::Bias)
        value = rng.uniform(-0.3F, 0.3F);
    }
  return parameters;
}

std::vector<float> logits(const Graph& graph, const Parameters& parameters) {
  constexpr int kImages = 4;
  const auto network = engine::make_reference_backend()->compile(graph, {.batch_size = kImages});
  network->set_parameters(parameters);
  std::vector<uint8_t> images(static_cast<size_t>(kImages * kInput.size()));
  Rng rng(7);
  for (uint8_t& value : images) value = static_cast<uint8_t>(rng.below(256));
  std::vector<float> out(static_cast<size_t>(kImages * kClasses));
  network->predict(images, out);
  return out;
}

struct Family {
  Family(const std::string& parent_text, const std::string& child_text, uint64_t seed = 5)
      : parent(graph::build(graph::micro_network(parent_text), kInput, kClasses)),
        child(graph::build(graph::micro_network(child_text), kInput, kClasses)),
        weights(trained(parent, seed)),
        node_of(graph::corresponding_nodes(graph::micro_network(parent_text),
                                           graph::micro_network(child_text), kInput, kClasses)),
        inherited(inherit(parent, weights, child, node_of, Rng(seed))) {}
  Graph parent;
  Graph child;
  Parameters weights;
  std::vector<int> node_of;
  Parameters inherited;

  // The largest difference of their logits, as a share of the largest logit.
  [[nodiscard]] float difference() const {
    const std::vector<float> a = logits(parent, weights);
    const std::vector<float> b = logits(child, inherited);
    float most = 0;
    float scale = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      most = std::max(most, std::abs(a[i] - b[i]));
      scale = std::max(scale, std::abs(a[i]));
    }
    return most / scale;
  }
};

TEST(Inheritance, TheSameNetworkTakesEverything) {
  const Family family("conv 4, res 6 s2, sep 6 skip, inv 8 e2, gap, dense 5",
                      "conv 4, res 6 s2, sep 6 skip, inv 8 e2, gap, dense 5");
  EXPECT_TRUE(std::ranges::equal(family.inherited.values(), family.weights.values()));
}

TEST(Inheritance, WideningComputesWhatTheParentDoes) {
  for (const auto& [parent, child] :
       {std::pair{"conv 4, conv 6, gap", "conv 7, conv 9, gap"},
        std::pair{"conv 4, sep 6 s2, sep 6 skip, flatten", "conv 10, sep 13 s2, sep 13 skip, flatten"},
        std::pair{"conv 4, res 6 s2, res 6, gap, dense 5", "conv 6, res 9 s2, res 9, gap, dense 8"},
        std::pair{"conv 4, inv 4 e2, pool 2, gap", "conv 6, inv 6 e3, pool 2, gap"},
        std::pair{"conv 4, res 6 s2, gap", "conv 4, res 6 s2 k5, gap"}})
    EXPECT_LT(Family(parent, child).difference(), 1e-4F) << child;
}

TEST(Inheritance, DeepeningComputesNearlyWhatTheParentDoes) {
  // A fresh batch norm divides by √(1 + ε).
  for (const auto& [parent, child] : {std::pair{"conv 4, conv 6, gap", "conv 4, conv 4, conv 6, gap"},
                                      std::pair{"conv 4, res 6 s2, gap", "conv 4, res 6 s2, res 6, gap"},
                                      std::pair{"conv 4, sep 6 s2, gap", "conv 4, sep 6 s2, sep 6 skip, gap"},
                                      std::pair{"conv 4, inv 6 s2, gap", "conv 4, inv 6 s2, inv 6, gap"},
                                      std::pair{"conv 4, sep 6 s2, gap", "conv 4, sep 4, sep 6 s2, gap"},
                                      std::pair{"conv 4, conv 6, gap", "conv 4, res 4, conv 6, gap"}})
    EXPECT_LT(Family(parent, child).difference(), 5e-3F) << child;
}

TEST(Inheritance, NarrowingKeepsWhatMatters) {
  const std::string wide = "conv 6, res 8 s2, res 8, gap";
  const Graph parent = graph::build(graph::micro_network(wide), kInput, kClasses);
  Parameters weights = trained(parent, 3);
  // Two of the stem's channels and three of the residual stream's say nothing.
  const std::vector<int> groups = channel_groups(parent);
  const auto silence = [&](int group, const std::vector<size_t>& channels) {
    for (int i = 0; i < parent.size(); ++i) {
      if (groups[static_cast<size_t>(i)] != group || !weights.has(i, Role::Gamma)) continue;
      for (const size_t channel : channels)
        weights.at(i, Role::Gamma)[channel] = weights.at(i, Role::Beta)[channel] = 0;
    }
  };
  silence(groups[1], {0, 3});
  silence(groups[static_cast<size_t>(parent.logits() - 1)], {1, 2, 7});
  const std::string narrow = "conv 4, res 5 s2, res 5, gap";
  const Graph child = graph::build(graph::micro_network(narrow), kInput, kClasses);
  const std::vector<int> node_of =
      graph::corresponding_nodes(graph::micro_network(wide), graph::micro_network(narrow), kInput, kClasses);
  const Parameters inherited = inherit(parent, weights, child, node_of, Rng(1));
  // The stem's kernels are the four that speak, in their order.
  const std::span<const float> from = weights.at(1, Role::Kernel);
  const std::span<const float> to = inherited.at(1, Role::Kernel);
  const size_t cells = to.size() / 4;
  for (size_t i = 0; i < 4; ++i) {
    const size_t original = std::vector<size_t>{1, 2, 4, 5}[i];
    EXPECT_TRUE(std::ranges::equal(to.subspan(i * cells, cells), from.subspan(original * cells, cells)));
  }
  // Of the last layer the columns of the five that speak.
  const int last = child.logits();
  const std::span<const float> columns = inherited.at(last, Role::Kernel);
  const std::span<const float> all = weights.at(parent.logits(), Role::Kernel);
  const std::vector<size_t> kept = {0, 3, 4, 5, 6};
  for (size_t o = 0; o < kClasses; ++o)
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(columns[o * 5 + i], all[o * 8 + kept[i]]);
}

TEST(Inheritance, NarrowingSilentChannelsChangesNothing) {
  const std::string wide = "conv 8, conv 8, gap";
  const std::string narrow = "conv 8, conv 5, gap";
  const Graph parent = graph::build(graph::micro_network(wide), kInput, kClasses);
  const Graph child = graph::build(graph::micro_network(narrow), kInput, kClasses);
  Parameters weights = trained(parent, 4);
  const std::vector<int> groups = channel_groups(parent);
  const int group = groups[static_cast<size_t>(parent.logits() - 1)];
  for (int i = 0; i < parent.size(); ++i)
    if (groups[static_cast<size_t>(i)] == group && weights.has(i, Role::Gamma))
      for (const size_t channel : {2, 4, 5})
        weights.at(i, Role::Gamma)[channel] = weights.at(i, Role::Beta)[channel] = 0;
  const Parameters inherited = inherit(
      parent, weights, child,
      graph::corresponding_nodes(graph::micro_network(wide), graph::micro_network(narrow), kInput, kClasses),
      Rng(1));
  const std::vector<float> a = logits(parent, weights);
  const std::vector<float> b = logits(child, inherited);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5F);
}

// A dense layer's 16 channels, and a convolution's 4 at 4 places, whose norm knows 4.
TEST(Inheritance, ChannelsThatAreAddedBehindAFlattenHaveTheirNormsImportance) {
  Graph graph({.height = 2, .width = 2, .channels = 1});
  graph.add(graph::Flatten{}, {0});
  graph.add(graph::Dense{.units = 16});
  graph.add(graph::Conv{.filters = 4}, {0});
  const int norm = graph.add(graph::BatchNorm{});
  graph.add(graph::Flatten{});
  const int sum = graph.add(graph::Add{}, {2, graph.output()});
  graph.add(graph::Dense{.units = 3});
  Parameters weights = graph::initialize(graph, Rng(1));
  std::ranges::fill(weights.at(graph.output(), Role::Kernel), 0.5F);
  for (int i = 0; i < 4; ++i) weights.at(norm, Role::Gamma)[static_cast<size_t>(i)] = static_cast<float>(i);
  const std::vector<int> groups = channel_groups(graph);
  const std::vector<double> importance =
      channel_importance(graph, weights, groups, groups[static_cast<size_t>(sum)]);
  ASSERT_EQ(importance.size(), 16U);
  for (size_t i = 0; i < importance.size(); ++i)
    EXPECT_DOUBLE_EQ(importance[i], 1.5 * static_cast<double>(i % 4)) << i;
}

TEST(Inheritance, AnyTwoNetworksGiveFiniteWeights) {
  const std::vector<std::string> texts = {"conv 4, gap",
                                          "sep 6 s2, sep 6 skip, flatten, dense 4",
                                          "conv 8 s2, inv 8 e1, inv 12 e4 s2, gap",
                                          "conv 3, pool 2, res 5, avgpool 2, flatten",
                                          "gray, conv 5 s2, sep 5 skip, gap",
                                          "inv 6 e3 k5, res 7 s2 k5, conv 9, gap, dense 6, dense 5"};
  for (const std::string& parent : texts)
    for (const std::string& child : texts) {
      const Family family(parent, child);
      EXPECT_TRUE(std::ranges::all_of(family.inherited.values(), [](float v) { return std::isfinite(v); }))
          << parent << " → " << child;
      for (const float value : logits(family.child, family.inherited)) EXPECT_TRUE(std::isfinite(value));
    }
}

}  // namespace
}  // namespace retort::compress
