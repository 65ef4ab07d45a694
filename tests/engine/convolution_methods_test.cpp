// Convolutions by Winograd's algorithm and on bfloat16: where they are chosen, and that they compute what the
// reference computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "graph/reference_networks.h"
#include "random_batch.h"

namespace retort::engine {
namespace {

using graph::Graph;
using graph::Padding;

constexpr int kImages = 5;

struct Case {
  int height;
  int width;
  int in_channels;
  int out_channels;
  Padding padding;
  int kernel = 3;
  int down = 1;  // strides
  int across = 1;
};

enum class Behind { Nothing, Relu, Relu6 };

// The convolution in question is the second, so that it has all three passes.
Graph network_of(const Case& shape, Behind behind) {
  Graph graph({shape.height, shape.width, 2, false});
  graph.add(graph::Conv{.filters = shape.in_channels, .window = {3, 3, 1, 1, Padding::Same}});
  graph.add(graph::Relu{});
  graph.add(graph::Conv{.filters = shape.out_channels,
                        .window = {shape.kernel, shape.kernel, shape.down, shape.across, shape.padding}});
  if (behind == Behind::Relu) graph.add(graph::Relu{});
  if (behind == Behind::Relu6) graph.add(graph::Relu6{});
  graph.add(graph::GlobalAvgPool{});
  graph.add(graph::Dense{.units = 7});
  return graph;
}

struct Answers {
  double loss = 0;
  std::vector<float> gradients;
  std::vector<float> logits;
  std::string plan;
};

Answers answers(std::string_view name, const Graph& graph, Precision precision, int threads = 1) {
  const auto network =
      backend(name).compile(graph, {.batch_size = kImages, .threads = threads, .precision = precision});
  network->set_parameters(random_parameters(graph, Rng(5)));
  const RandomBatch batch(graph, kImages, Rng(6));
  Rng rng(7);
  Answers found;
  found.loss = network->compute_gradients(batch.view(), {0.5F, 2.0F, 0.0F}, rng).loss;
  const graph::Parameters gradients = network->gradients();
  found.gradients.assign(gradients.values().begin(), gradients.values().end());
  found.logits.resize(static_cast<size_t>(kImages * graph.classes()));
  network->predict(batch.images, found.logits);
  for (const std::string& line : network->describe_plan()) found.plan += line + '\n';
  return found;
}

// As a share of the expected vector's length.
double distance(const std::vector<float>& actual, const std::vector<float>& expected) {
  double difference = 0;
  double length = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(actual[i]) - static_cast<double>(expected[i]), 2);
    length += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(difference / length);
}

size_t count(const std::string& text, std::string_view word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [height, width] :
       {std::array{8, 8}, std::array{14, 9}, std::array{10, 16}, std::array{7, 7}, std::array{4, 4}})
    for (const auto& [in, out] :
         {std::array{32, 32}, std::array{40, 64}, std::array{64, 33}, std::array{16, 32}, std::array{64, 70}})
      for (const Padding padding : {Padding::Same, Padding::Valid})
        all.push_back({height, width, in, out, padding});
  return all;
}

// What Winograd's algorithm does not do: 1×1 kernels and strides, of which unequal ones are never rounded.
std::vector<Case> other_windows() {
  std::vector<Case> all;
  for (const int channels : {24, 64})
    for (const auto& [kernel, down, across] : {std::array{1, 1, 1}, std::array{1, 2, 2}, std::array{3, 2, 2},
                                               std::array{3, 2, 1}, std::array{5, 1, 1}})
      all.push_back({9, 12, channels, 64, Padding::Same, kernel, down, across});
  return all;
}

TEST(ConvolutionMethods, WinogradComputesWhatTheReferenceComputes) {
  size_t winograd = 0;
  int turn = 0;
  for (const Case& shape : cases()) {
    SCOPED_TRACE(testing::Message() << shape.height << "×" << shape.width << ", " << shape.in_channels
                                    << " to " << shape.out_channels << " channels");
    const Graph graph = network_of(shape, static_cast<Behind>(turn++ % 3));
    const Answers expected = answers("reference", graph, Precision::Float32);
    const Answers actual = answers("cpu", graph, Precision::Float32, turn % 5 == 0 ? 2 : 1);
    EXPECT_NEAR(actual.loss, expected.loss, 1e-5 * (1 + std::abs(expected.loss)));
    EXPECT_LT(distance(actual.gradients, expected.gradients), 2e-5);
    EXPECT_LT(distance(actual.logits, expected.logits), 2e-5);
    winograd += count(actual.plan, "wino");
  }
  if (onednn::channel_block() == 16)
    EXPECT_GT(winograd, 60U);
  else
    EXPECT_EQ(winograd, 0U);
}

// bfloat16 has eight bits: a rounded number is off by up to 1 in 256, a sum of many by less.
TEST(ConvolutionMethods, Bfloat16StaysNearTheReference) {
  size_t rounded = 0;
  int turn = 0;
  std::vector<Case> all = cases();
  std::ranges::copy(other_windows(), std::back_inserter(all));
  for (const Case& shape : all) {
    SCOPED_TRACE(testing::Message() << shape.height << "×" << shape.width << ", " << shape.in_channels
                                    << " to " << shape.out_channels << " channels");
    const Graph graph = network_of(shape, static_cast<Behind>(turn++ % 3));
    const Answers expected = answers("reference", graph, Precision::Float32);
    const Answers actual = answers("cpu", graph, Precision::Bfloat16, turn % 5 == 0 ? 2 : 1);
    EXPECT_LT(distance(actual.gradients, expected.gradients), 0.02);
    EXPECT_LT(distance(actual.logits, expected.logits), 0.01);
    if (!onednn::multiplies_bfloat16()) {
      EXPECT_EQ(actual.gradients, answers("cpu", graph, Precision::Float32, turn % 5 == 0 ? 2 : 1).gradients);
    }
    rounded += count(actual.plan, "bf16");
  }
  if (onednn::multiplies_bfloat16())
    EXPECT_GT(rounded, 20U);
  else
    EXPECT_EQ(rounded, 0U);
}

TEST(ConvolutionMethods, TheLargeStudentsUseWinograd) {
  if (onednn::channel_block() != 16) GTEST_SKIP() << "oneDNN has Winograd's algorithm for AVX-512 alone";
  for (const char* name : {"s22_32", "s32_64", "teacher"})
    EXPECT_GT(count(answers("cpu", graph::reference_network(name), Precision::Float32).plan, "jit_wino"), 6U)
        << name;
}

TEST(ConvolutionMethods, PrecisionsHaveNames) {
  for (const Precision precision : {Precision::Float32, Precision::Bfloat16})
    EXPECT_EQ(parse_precision(to_string(precision)), precision);
  try {
    parse_precision("float16");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_STREQ(error.what(), "there is no precision 'float16'; known: float32, bfloat16");
  }
}

}  // namespace
}  // namespace retort::engine
