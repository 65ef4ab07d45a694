// Denormal numbers are zeros on every thread that trains, and the caller's threads are as before.
#include "engine/denormals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/backend.h"
#include "graph/parameters.h"
#include "random_batch.h"
#include "small_data.h"

namespace retort::engine {
namespace {

#if defined(__x86_64__) || defined(__aarch64__)

constexpr int kThreads = 4;

// One by one of a team's threads.
std::vector<char> flushing(int threads) {
  std::vector<char> result(static_cast<size_t>(threads));
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int i = 0; i < threads; ++i) result[static_cast<size_t>(i)] = flushes_denormals() ? 1 : 0;
  return result;
}

TEST(Denormals, AreZerosOnAllThreadsAndOnlyMeanwhile) {
  const std::vector<char> none(kThreads, 0);
  const std::vector<char> all(kThreads, 1);
  ASSERT_EQ(flushing(kThreads), none);
  for (int time = 0; time < 3; ++time) {
    {
      const FlushDenormals flush(kThreads);
      EXPECT_EQ(flushing(kThreads), all);
      EXPECT_EQ(flushing(2), std::vector<char>(2, 1)) << "libgomp ends the two others";
      EXPECT_EQ(flushing(kThreads), all) << "and starts new ones";
    }
    EXPECT_EQ(flushing(kThreads), none);
    EXPECT_EQ(flushing(kThreads + 2), std::vector<char>(kThreads + 2, 0));
  }
}

TEST(Denormals, ACallerThatFlushesGoesOnToDoSo) {
  const FlushDenormals own(1);
  {
    const FlushDenormals inner(1);
  }
  EXPECT_TRUE(flushes_denormals());
}

// The network's own sums, on each of its threads: with weights of 1e-39 all that is not flushed is seen. The first
// layer is a kernel of ours, the second oneDNN's, the last ours again.
TEST(Denormals, AreZerosInEveryImageOfAStep) {
  graph::Graph graph({8, 8, 8, false});
  graph.add(graph::Conv{.filters = 16});
  graph.add(graph::Conv{.filters = 16});
  graph.add(graph::GlobalAvgPool{});
  graph.add(graph::Dense{.units = 4});
  for (const int node : {1, 2, 4}) {
    for (const int threads : {1, kThreads}) {
      SCOPED_TRACE(testing::Message() << "node " << node << ", " << threads << " threads");
      const auto network = backend("cpu").compile(graph, {.batch_size = 8, .threads = threads});
      graph::Parameters parameters = graph::initialize(graph, Rng(1));
      for (float& value : parameters.at(node, graph::Role::Kernel)) value = 1e-39F;
      network->set_parameters(parameters);
      const RandomBatch batch(graph, 8, Rng(2));
      std::vector<float> logits(8 * 4, -1.0F);
      network->predict(batch.images, logits);
      EXPECT_TRUE(std::ranges::all_of(logits, [](float logit) { return logit == 0; }));
      Rng rng(3);
      network->compute_gradients(batch.view(), {}, rng);
      const graph::Parameters gradients = network->gradients();
      for (const float value : gradients.values())
        EXPECT_TRUE(value == 0 || std::abs(value) >= std::numeric_limits<float>::min()) << value;
      network->apply_gradients(1e-3F);
      EXPECT_EQ(flushing(kThreads), std::vector<char>(kThreads, 0));
    }
  }
}

#endif

}  // namespace
}  // namespace retort::engine
