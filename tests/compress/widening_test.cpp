#include "compress/widening.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.h"
#include "engine/network.h"
#include "engine/reference_backend.h"
#include "graph/graph.h"
#include "graph/micro.h"
#include "graph/notebook.h"

namespace retort::compress {
namespace {

constexpr graph::Shape kInput{.height = 8, .width = 8, .channels = 3};

graph::Graph network(const std::string& config) {
  return graph::graph_from_config(config, kInput, 4);
}

const std::vector<std::string> kConfigs = {
    "conv 8, res 12 s2, gap", "conv 8, sep 8 skip, inv 8 e3, flatten, dense 10",
    "pool 2, inv 6 e2, inv 6 e2, gap", "gray, conv 4, gap", "1,1,8,1,8"};

TEST(Widening, EveryConvolutionBetweenTheEndsIsWiderAndNothingElse) {
  for (const std::string& config : kConfigs) {
    const graph::Graph narrow = network(config);
    const graph::Graph wide = widened(narrow, 1.25);
    ASSERT_EQ(wide.size(), narrow.size()) << config;
    EXPECT_EQ(wide.input_shape(), narrow.input_shape());
    EXPECT_EQ(wide.classes(), narrow.classes());
    bool wider = false;
    for (int i = 1; i < narrow.size(); ++i) {
      EXPECT_EQ(wide.node(i).op.index(), narrow.node(i).op.index()) << config;
      EXPECT_EQ(wide.node(i).inputs, narrow.node(i).inputs) << config;
      const auto* conv = std::get_if<graph::Conv>(&narrow.node(i).op);
      const int channels = narrow.node(i).shape.channels;
      if (conv == nullptr) continue;
      const int now = wide.node(i).shape.channels;
      if (channels == 1) {
        EXPECT_EQ(now, 1) << config;
        continue;
      }
      EXPECT_GE(now, 1.25 * channels) << config;
      EXPECT_LT(now, 1.25 * channels + 2) << config;
      wider = true;
    }
    EXPECT_TRUE(wider) << config;
  }
}

TEST(Widening, WhatTheInputOrTheClassesFixStays) {
  // The convolution's channels are added to the image's.
  graph::Graph fixed(kInput);
  const int conv = fixed.add(graph::Conv{.filters = 3});
  fixed.add(graph::Add{}, {0, conv});
  fixed.add(graph::GlobalAvgPool{});
  fixed.add(graph::Dense{.units = 4});
  EXPECT_EQ(widened(fixed, 2), fixed);
  graph::Graph classes(kInput);  // its last convolution's channels are the classes
  classes.add(graph::Conv{.filters = 4});
  classes.add(graph::GlobalAvgPool{});
  EXPECT_EQ(widened(classes, 2), classes);
  const graph::Graph other = network(kConfigs[0]);
  EXPECT_EQ(widened(other, 1), other);
}

TEST(Widening, AFactorThatMakesNoNetworkIsRefused) {
  for (const double factor : {0.5, -1.0, std::numeric_limits<double>::quiet_NaN(), 1e9}) {
    EXPECT_THROW(widened(network(kConfigs[0]), factor), Error) << factor;
  }
}

TEST(Widening, AWidenedNetworkComputesTheSameAndNarrowedItHasTheStructureAgain) {
  for (const std::string& config : kConfigs) {
    const graph::Graph narrow = network(config);
    const graph::Graph wide = widened(narrow, 1.5);
    const graph::Parameters before = graph::initialize(narrow, Rng(3));
    const graph::Parameters widely = resized(narrow, before, wide, Rng(4));
    std::vector<uint8_t> images(4 * static_cast<size_t>(kInput.size()));
    Rng rng(5);
    for (uint8_t& value : images) value = static_cast<uint8_t>(rng.below(256));
    const auto logits = [&](const graph::Graph& graph, const graph::Parameters& parameters) {
      const auto compiled = engine::make_reference_backend()->compile(graph, {.batch_size = 4});
      compiled->set_parameters(parameters);
      std::vector<float> out(16);
      compiled->predict(images, out);
      return out;
    };
    const std::vector<float> expected = logits(narrow, before);
    const std::vector<float> of_wide = logits(wide, widely);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(of_wide[i], expected[i], 1e-4) << config;

    const graph::Parameters again = resized(wide, widely, narrow, Rng(6));
    EXPECT_EQ(again.values().size(), before.values().size()) << config;
    // Whole channels of the wide one are kept: each of the first convolution's kernels is one of its.
    const graph::Parameters drawn = graph::initialize(wide, Rng(7));
    const graph::Parameters kept = resized(wide, drawn, narrow, Rng(8));
    int first = 1;
    while (!std::holds_alternative<graph::Conv>(narrow.node(first).op)) ++first;
    const auto kernels = [&](const graph::Graph& graph, const graph::Parameters& parameters) {
      const std::span<const float> values = parameters.at(first, graph::Role::Kernel);
      const size_t filters = static_cast<size_t>(graph.node(first).shape.channels);
      std::set<std::vector<float>> all;
      for (size_t i = 0; i < filters; ++i) {
        const auto part = values.subspan(i * values.size() / filters, values.size() / filters);
        all.insert({part.begin(), part.end()});
      }
      return all;
    };
    const auto of_drawn = kernels(wide, drawn);
    for (const std::vector<float>& kernel : kernels(narrow, kept))
      EXPECT_TRUE(of_drawn.contains(kernel)) << config;
  }
}

}  // namespace
}  // namespace retort::compress
