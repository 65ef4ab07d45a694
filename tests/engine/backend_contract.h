// What the contract tests of all backends share: comparing a backend with the reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/network.h"
#include "graph/graph.h"
#include "random_batch.h"

namespace retort::engine {

using graph::Parameters;
using graph::ParameterSpec;
using graph::Role;

inline double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

inline double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (static_cast<double>(a[i]) - static_cast<double>(b[i])) *
           (static_cast<double>(a[i]) - static_cast<double>(b[i]));
  return std::sqrt(sum);
}

// Tensor by tensor, relative to its norm; `floor` is what a tensor's norm counts at least, as a part of the
// norm of all. A tensor that is zero but for the reference's rounding (a bias before a batch norm has no
// gradient) need only be small: in single precision large terms cancel there.
inline void expect_near(const Parameters& actual, const Parameters& expected, double tolerance,
                        double floor = 1e-2) {
  ASSERT_EQ(actual.specs(), expected.specs());
  const double all = norm(expected.values());
  for (const ParameterSpec& spec : expected.specs()) {
    const auto a = actual.at(spec.node, spec.role);
    const auto b = expected.at(spec.node, spec.role);
    const double least = norm(b) < 1e-9 * all ? all : floor * all;
    EXPECT_LE(distance(a, b), tolerance * std::max(norm(b), least))
        << "node " << spec.node << ", role " << static_cast<int>(spec.role) << ", norm " << norm(b);
  }
}

inline void expect_equal(const Parameters& a, const Parameters& b) {
  ASSERT_EQ(a.specs(), b.specs());
  EXPECT_TRUE(std::equal(a.values().begin(), a.values().end(), b.values().begin()));
}

// The same with a dropout that drops nothing, since backends draw their own random numbers. A rate of 0 leaves it
// out of the CPU's plan, so some have one that is rounded to 0 only there.
inline graph::Graph without_dropout(const graph::Graph& graph) {
  graph::Graph result(graph.input_shape());
  for (int i = 1; i < graph.size(); ++i) {
    graph::Operator op = graph.node(i).op;
    if (auto* dropout = std::get_if<graph::Dropout>(&op)) dropout->rate = i % 2 == 0 ? 0 : 1e-9F;
    result.add(op, graph.node(i).inputs);
  }
  return result;
}

inline graph::Dense dense(int units, graph::WeightGrid grid = graph::WeightGrid::Float) {
  graph::Dense op;
  op.units = units;
  op.grid = grid;
  return op;
}

class BackendContract : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Network> compile(const graph::Graph& graph, const CompileOptions& options = {}) const {
    return backend(GetParam()).compile(graph, options);
  }

  // Loss, gradients, states and predictions of both on the same numbers.
  void expect_like_reference(const graph::Graph& graph, const Parameters& parameters,
                             const Objective& objective, uint64_t seed, double tolerance) const {
    // Of three threads some have nothing to do in a batch of one.
    const auto network = compile(graph, {.batch_size = 6, .threads = 1 + static_cast<int>(seed / 3 % 3)});
    const auto reference = backend("reference").compile(graph, {.batch_size = 6});
    network->set_parameters(parameters);
    reference->set_parameters(parameters);
    for (const size_t count : {6, 6, 1, 5}) {
      SCOPED_TRACE(testing::Message() << "batch of " << count);
      const RandomBatch batch(graph, count, Rng(seed).fork("batch", count));
      Rng rng(seed);
      const StepResult actual = network->compute_gradients(batch.view(), objective, rng);
      const StepResult expected = reference->compute_gradients(batch.view(), objective, rng);
      EXPECT_NEAR(actual.loss, expected.loss, tolerance * (1 + std::abs(expected.loss)));
      expect_near(network->gradients(), reference->gradients(), tolerance);
      expect_near(network->parameters(), reference->parameters(), tolerance);
    }
    const RandomBatch images(graph, 71, Rng(seed).fork("images"));
    std::vector<float> actual(71 * static_cast<size_t>(graph.classes()));
    std::vector<float> expected(actual.size());
    network->predict(images.images, actual);
    reference->predict(images.images, expected);
    EXPECT_LE(distance(actual, expected), tolerance * (norm(expected) + 1e-3));
  }
};

}  // namespace retort::engine
