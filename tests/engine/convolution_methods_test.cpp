// Convolutions by Winograd's algorithm and on bfloat16: where they are chosen, and that they compute what the
// reference computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "engine/plan_memory.h"
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

// Aligned numbers.
struct Floats {
  Arena arena;
  std::span<float> values;
  Floats(size_t size, float value) : arena(size * sizeof(float)), values(arena.floats(), size) {
    std::ranges::fill(values, value);
  }
  Floats(size_t size, Rng& rng) : Floats(size, 0) {
    for (float& value : values) value = rng.uniform(-1.0F, 1.0F);
  }
  [[nodiscard]] float* data() const { return values.data(); }
  [[nodiscard]] std::byte* bytes() const { return reinterpret_cast<std::byte*>(values.data()); }
};

// What all passes of a convolution of random numbers write, where the memory that it may use or overwrite held
// `junk` before.
std::vector<float> passes_over(const onednn::ConvolutionShape& shape, float junk) {
  const auto images = static_cast<size_t>(shape.batch);
  const auto inputs = static_cast<size_t>(shape.in_channels);
  const auto outputs = static_cast<size_t>(shape.out_channels);
  const size_t input_size = images * inputs * static_cast<size_t>(shape.in_height * shape.in_width);
  const size_t output_size = images * outputs * static_cast<size_t>(shape.out_height * shape.out_width);
  const size_t weights_size =
      inputs * outputs * static_cast<size_t>(shape.kernel_height * shape.kernel_width);
  const auto convolution = onednn::make_convolution(shape, onednn::Passes::All);
  Rng rng(8);
  const Floats input(input_size, rng);
  const Floats weights(weights_size, rng);
  const Floats bias(outputs, rng);
  const Floats output_gradient(output_size, rng);
  const Floats output(output_size, junk);
  const Floats input_gradient(input_size, junk);
  const Floats weight_gradient(weights_size, junk);
  const Floats bias_gradient(outputs, junk);
  const Floats kept(convolution->kept_bytes() / sizeof(float) + 1, junk);
  const Floats workspace(convolution->workspace_bytes() / sizeof(float) + 1, junk);
  convolution->bind({.input = input.data(),
                     .weights = weights.data(),
                     .bias = bias.data(),
                     .output = output.data(),
                     .output_gradient = output_gradient.data(),
                     .input_gradient = input_gradient.data(),
                     .weight_gradient = weight_gradient.data(),
                     .bias_gradient = bias_gradient.data(),
                     .kept = kept.bytes(),
                     .workspace = workspace.bytes()});
  convolution->forward();
  std::ranges::fill(workspace.values, junk);
  convolution->backward_weights();
  convolution->backward_input();
  std::vector<float> written;
  for (const Floats* each : {&output, &input_gradient, &weight_gradient, &bias_gradient})
    written.insert(written.end(), each->values.begin(), each->values.end());
  return written;
}

// A network's layers share a workspace, and memory goes from one network to the next.
TEST(ConvolutionMethods, WhatTheWorkspaceHeldChangesNothing) {
  const int channels = onednn::channel_block();
  for (const Precision precision : {Precision::Float32, Precision::Bfloat16})
    for (const auto& [kernel_height, kernel_width] : {std::array{3, 3}, std::array{5, 5}, std::array{2, 7}})
      for (int stride = 1; stride <= 4; ++stride)
        for (const int width : {1, 2, 3, 5}) {
          onednn::ConvolutionShape shape{.batch = 3,
                                         .in_channels = channels,
                                         .out_channels = channels,
                                         .in_height = 4,
                                         .in_width = width,
                                         .kernel_height = kernel_height,
                                         .kernel_width = kernel_width,
                                         .stride_height = stride,
                                         .stride_width = stride,
                                         .precision = precision,
                                         .block = channels};
          const graph::WindowGeometry geometry = graph::window_geometry(
              {kernel_height, kernel_width, stride, stride, Padding::Same}, shape.in_height, width);
          shape.out_height = geometry.out_height;
          shape.out_width = geometry.out_width;
          shape.pad_top = geometry.pad_top;
          shape.pad_left = geometry.pad_left;
          EXPECT_EQ(passes_over(shape, NAN), passes_over(shape, 0.0F))
              << to_string(precision) << ", kernel " << kernel_height << "×" << kernel_width << ", stride "
              << stride << ", 4×" << width << " pixels";
        }
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
