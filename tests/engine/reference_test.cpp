// What the reference backend computes, against numbers worked out by hand. Its gradients: gradient_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/network.h"
#include "graph/quantized_form.h"

namespace retort::engine {
namespace {

using graph::Padding;
using graph::Role;

// The values that `op` gives for a 3×3 image of one channel, computed in units of 1/255.
std::vector<float> of_image(const graph::Operator& op, const std::vector<uint8_t>& image,
                            const std::vector<float>& kernel = {}) {
  graph::Graph graph({3, 3, 1, false});
  graph.add(op);
  if (!graph.node(1).shape.flat) graph.add(graph::Flatten{});
  const auto network = backend("reference").compile(graph, {});
  graph::Parameters parameters(graph);
  if (!kernel.empty()) std::copy(kernel.begin(), kernel.end(), parameters.at(1, Role::Kernel).begin());
  network->set_parameters(parameters);
  std::vector<float> values(static_cast<size_t>(graph.classes()));
  network->predict(image, values);
  for (float& value : values) value = std::round(value * 255 * 1000) / 1000;
  return values;
}

const std::vector<uint8_t> counting{1, 2, 3, 4, 5, 6, 7, 8, 9};

TEST(ReferenceBackend, SamePaddingPutsTheOddCellAfter) {
  graph::Conv conv;
  conv.filters = 1;
  conv.window = {2, 2, 1, 1, Padding::Same};
  EXPECT_EQ(of_image(conv, counting, {1, 10, 100, 1000}),
            (std::vector<float>{5421, 6532, 603, 8754, 9865, 906, 87, 98, 9}));
  conv.window = {3, 3, 2, 2, Padding::Same};  // one cell before, one after
  EXPECT_EQ(of_image(conv, counting, {1, 0, 0, 0, 10, 0, 0, 0, 100}), (std::vector<float>{510, 30, 70, 95}));
  conv.window = {2, 2, 1, 1, Padding::Valid};
  EXPECT_EQ(of_image(conv, counting, {1, 10, 100, 1000}), (std::vector<float>{5421, 6532, 8754, 9865}));
}

TEST(ReferenceBackend, DepthwiseConvIsAConvOfItsOneChannel) {
  EXPECT_EQ(of_image(graph::DepthwiseConv{{2, 2, 1, 1, Padding::Same}}, counting, {1, 10, 100, 1000}),
            (std::vector<float>{5421, 6532, 603, 8754, 9865, 906, 87, 98, 9}));
}

TEST(ReferenceBackend, PoolsLeaveOutWhatIsOutsideTheImage) {
  EXPECT_EQ(of_image(graph::MaxPool{{2, 2, 2, 2, Padding::Same}}, counting),
            (std::vector<float>{5, 6, 8, 9}));
  EXPECT_EQ(of_image(graph::MaxPool{}, counting), (std::vector<float>{5}));
  EXPECT_EQ(of_image(graph::AvgPool{{2, 2, 2, 2, Padding::Same}}, counting),
            (std::vector<float>{3, 4.5, 7.5, 9}));
  EXPECT_EQ(of_image(graph::GlobalAvgPool{}, counting), (std::vector<float>{5}));
}

TEST(ReferenceBackend, BatchNormUsesTheBatchInTrainingAndRunningNumbersElsewhere) {
  graph::Graph graph({1, 2, 1, false});
  graph.add(graph::BatchNorm{0.75F, 0.5F});
  graph.add(graph::Flatten{});
  const auto network = backend("reference").compile(graph, {.batch_size = 2});
  graph::Parameters parameters(graph);
  parameters.at(1, Role::Gamma)[0] = 2;
  parameters.at(1, Role::Beta)[0] = 1;
  parameters.at(1, Role::Mean)[0] = 0.25F;
  parameters.at(1, Role::Variance)[0] = 0.5F;
  network->set_parameters(parameters);
  std::vector<float> values(2);
  network->predict(std::vector<uint8_t>{0, 255}, values);
  EXPECT_FLOAT_EQ(values[0], 2 * -0.25F + 1);
  EXPECT_FLOAT_EQ(values[1], 2 * 0.75F + 1);

  // Four values 0, 0, 1, 1: mean 1/2, biased variance 1/4. Both labels meet equal probabilities in each
  // image.
  Rng rng(0);
  const double loss =
      network
          ->compute_gradients({std::vector<uint8_t>{0, 0, 255, 255}, std::vector<uint16_t>{0, 1}, {}}, {},
                              rng)
          .loss;
  EXPECT_NEAR(loss, std::log(2), 1e-12);
  EXPECT_FLOAT_EQ(network->parameters().at(1, Role::Mean)[0], 0.75F * 0.25F + 0.25F * 0.5F);
  EXPECT_FLOAT_EQ(network->parameters().at(1, Role::Variance)[0], 0.75F * 0.5F + 0.25F * 0.25F);
}

TEST(ReferenceBackend, SoftmaxLeavesTheLogitsAsTheyAre) {
  graph::Graph graph({1, 3, 1, false});
  graph.add(graph::Flatten{});
  graph.add(graph::Softmax{});
  const auto network = backend("reference").compile(graph, {});
  std::vector<float> values(3);
  network->predict(std::vector<uint8_t>{0, 51, 255}, values);
  EXPECT_EQ(values, (std::vector<float>{0, 0.2F, 1}));
}

TEST(ReferenceBackend, KernelsAreRoundedToTheGridOfTheirOutputChannel) {
  graph::Graph graph({1, 2, 1, false});
  graph.add(graph::Flatten{});
  graph::Dense dense;
  dense.units = 2;
  dense.grid = graph::WeightGrid::Int8;
  graph.add(dense);
  const auto network = backend("reference").compile(graph, {});
  graph::Parameters parameters(graph);
  const std::vector<float> kernel{1.27F, 0.123F, -0.1F, 0.0004F};
  std::copy(kernel.begin(), kernel.end(), parameters.at(2, Role::Kernel).begin());
  network->set_parameters(parameters);
  std::vector<float> values(2);
  network->predict(std::vector<uint8_t>{0, 255}, values);
  EXPECT_NEAR(values[0], 0.12, 1e-6);       // step 0.01
  EXPECT_NEAR(values[1], 0.1 / 127, 1e-8);  // step 0.1/127 = 0.00079
  network->predict(std::vector<uint8_t>{255, 0}, values);
  EXPECT_NEAR(values[0], 1.27, 1e-6);
  EXPECT_NEAR(values[1], -0.1, 1e-7);
}

TEST(ReferenceBackend, MemoryHoldsAllThatALayerAdds) {
  constexpr int kImages = 3;
  constexpr size_t kChannels = 4;
  constexpr size_t kPixels = 5 * 6;
  const auto bytes_with = [](bool norm) {
    graph::Graph graph({5, 6, 1, false});
    graph.add(graph::Conv{.filters = kChannels});
    if (norm) graph.add(graph::BatchNorm{});
    graph.add(graph::GlobalAvgPool{});
    graph.add(graph::Dense{.units = 2});
    const auto network = backend("reference").compile(graph, {.batch_size = kImages});
    network->set_parameters(graph::initialize(graph, Rng(3)));
    Rng rng(4);
    const std::vector<uint8_t> images(kImages * kPixels, 9);
    const std::vector<uint16_t> labels(kImages, 1);
    network->compute_gradients({images, labels, {}}, {}, rng);
    return network->memory_bytes();
  };
  // Gamma, beta and the running two: themselves and Adam's moments in single precision, their gradients in double;
  // the output and its gradient; mean and variance of the batch.
  const size_t numbers = 4 * kChannels;
  const size_t doubles = numbers + 2 * kImages * kPixels * kChannels + 2 * kChannels;
  EXPECT_EQ(bytes_with(true) - bytes_with(false),
            static_cast<int64_t>(3 * numbers * sizeof(float) + doubles * sizeof(double)));
}

}  // namespace
}  // namespace retort::engine
