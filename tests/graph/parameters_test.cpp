#include "graph/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "graph/notebook.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"

namespace retort::graph {
namespace {

// Keras 3's count_params for the same networks.
TEST(Parameters, CountAsKerasDoes) {
  const Shape grey{32, 32, 1, false};
  EXPECT_EQ(parameter_count(graph_from_config("3,2,32,1,128", grey, 10)), 304'234);
  EXPECT_EQ(parameter_count(reference_network("teacher")), 1'502'826);
  EXPECT_EQ(parameter_count(reference_network("s11_16")), 330);
  EXPECT_EQ(parameter_count(reference_network("s32_64")), 1'543'626);
  EXPECT_EQ(parameter_count(reference_network("ds16")), 4'010);
  EXPECT_EQ(parameter_count(reference_network("ds32")), 12'106);
}

TEST(Parameters, LieInNodeOrderWithoutGaps) {
  Rng rng(2);
  for (int i = 0; i < 100; ++i) {
    const Graph graph = random_graph(rng, {});
    const Parameters parameters(graph);
    size_t offset = 0;
    int node = 0;
    for (const ParameterSpec& spec : parameters.specs()) {
      EXPECT_EQ(spec.offset, offset);
      EXPECT_GE(spec.node, node);
      node = spec.node;
      size_t size = 1;
      for (const int dim : spec.dims) size *= static_cast<size_t>(dim);
      EXPECT_EQ(spec.size, size);
      EXPECT_EQ(parameters.at(spec.node, spec.role).data(), parameters.values().data() + offset);
      offset += size;
    }
    EXPECT_EQ(parameters.values().size(), offset);
    EXPECT_EQ(static_cast<int64_t>(offset), parameter_count(graph));  // no FakeQuant in a random graph
    EXPECT_FALSE(parameters.has(0, Role::Kernel));
    EXPECT_THROW((void)parameters.at(0, Role::Kernel), std::out_of_range);
  }
}

TEST(Parameters, FakeQuantRangesAreNotCounted) {
  Graph graph({4, 4, 1, false});
  graph.add(FakeQuant{});
  EXPECT_EQ(parameter_count(graph), 0);
  EXPECT_EQ(Parameters(graph).at(1, Role::Range).size(), 2U);
}

// The largest of many uniform draws is close to the limit; the limits are those Keras draws within.
TEST(Initialize, HasKerasLimits) {
  const auto largest = [](const Shape& input, const Operator& op) {
    Graph graph(input);
    graph.add(op);
    const Parameters parameters = initialize(graph, Rng(3));
    float most = 0;
    double sum = 0;
    for (const float value : parameters.at(1, Role::Kernel)) {
      most = std::max(most, std::abs(value));
      sum += static_cast<double>(value);
    }
    EXPECT_LT(std::abs(sum) / static_cast<double>(parameters.at(1, Role::Kernel).size()),
              0.1 * static_cast<double>(most));
    for (const float value : parameters.at(1, Role::Bias)) EXPECT_EQ(value, 0.0F);
    return most;
  };
  const Window window{3, 2, 1, 1, Padding::Same};
  const Window square{};
  EXPECT_NEAR(largest({8, 8, 40, false}, Conv{300, window}), 0.0542326F, 2e-5F);
  EXPECT_NEAR(largest({8, 8, 40, false}, Conv{300, window, Bias::Present, Initializer::HeUniform}),
              0.1581139F, 5e-5F);
  EXPECT_NEAR(largest({8, 8, 500, false}, DepthwiseConv{square}), 0.0364785F, 1e-4F);
  EXPECT_NEAR(largest({8, 8, 500, false}, DepthwiseConv{square, Bias::Present, Initializer::HeUniform}),
              0.0365148F, 1e-4F);
  EXPECT_NEAR(largest({1, 1, 200, true}, Dense{300}), 0.1095445F, 5e-5F);
}

TEST(Initialize, DependsOnTheNodeAndSeedAlone) {
  const Graph graph = reference_network("teacher");
  const Parameters a = initialize(graph, Rng(7));
  const Parameters b = initialize(graph, Rng(7));
  const Parameters c = initialize(graph, Rng(8));
  EXPECT_TRUE(std::equal(a.values().begin(), a.values().end(), b.values().begin()));
  EXPECT_NE(a.at(1, Role::Kernel)[0], c.at(1, Role::Kernel)[0]);
  EXPECT_EQ(a.at(3, Role::Gamma)[0], 1.0F);
  EXPECT_EQ(a.at(3, Role::Beta)[0], 0.0F);
  EXPECT_EQ(a.at(3, Role::Mean)[0], 0.0F);
  EXPECT_EQ(a.at(3, Role::Variance)[0], 1.0F);
}

TEST(Sparsity, CountsKernelsOnly) {
  Graph graph({1, 1, 4, true});
  graph.add(Dense{2});
  Parameters parameters(graph);
  EXPECT_EQ(kernel_sparsity(parameters), 1.0);
  parameters.at(1, Role::Kernel)[3] = 1.0F;
  EXPECT_EQ(kernel_sparsity(parameters), 0.875);
  EXPECT_EQ(kernel_sparsity(Parameters(Graph({4, 4, 1, false}))), 0.0);
}

}  // namespace
}  // namespace retort::graph
