// Every kernel under every instruction set: the interpreter's bytes.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "int8/against_interpreter.h"
#include "int8/evaluator_vnni.h"
#include "int8/tflite.h"

namespace retort::int8 {
namespace {

TEST(Evaluator, EqualsTheInterpreterOnRandomNetworks) {
  for_each_target([] {
    for (int i = 0; i < 120; ++i) {
      Rng rng = Rng(7).fork("network", static_cast<uint64_t>(i));
      const QuantGraph network = random_network(rng, i % 2 == 0 ? Ends::Int8 : Ends::Float);
      expect_equal(network, rng, 1 + rng.below(40), i);
    }
  });
}

// The largest products and sums: inputs of −128 and 127 with a zero point at either end, kernels of −128 and
// 127, and more taps than a float sums exactly.
TEST(Evaluator, EqualsTheInterpreterOnExtremes) {
  constexpr int kSide = 25;
  constexpr int kChannels = 19;
  constexpr size_t kWide = 4001;
  const auto extremes = [](size_t count, int pattern) {
    std::vector<uint8_t> bytes(count);
    for (size_t i = 0; i < count; ++i) {
      const bool low = pattern == 0 || (pattern == 2 && i % 37 < 18);
      bytes[i] = static_cast<uint8_t>(low ? -128 : 127);
    }
    return bytes;
  };
  const auto single = [](Operator op, Tensor input, Tensor kernel, std::vector<int> out, float scale) {
    QuantGraph g;
    g.tensors = {
        std::move(input), std::move(kernel), {"y", Type::Int8, std::move(out), {{scale}, {3}, 0}, {}}};
    g.operators = {std::move(op)};
    g.inputs = {0};
    g.outputs = {2};
    return g;
  };
  for_each_target([&] {
    Rng rng(15);
    int number = 0;
    for (const int64_t zero_point : {-128, 0, 127})
      for (int pattern = 0; pattern < 3; ++pattern) {
        // The input's grid is such that bytes 0 and 255 become its ends.
        const float scale = zero_point == -128 ? 1.0F / 255 : 1e-4F;
        const Quantization in{{scale}, {zero_point}, 0};
        const Quantization by{{0.5F}, {0}, 0};
        const Tensor image{"x", Type::Int8, {1, kSide, kSide, kChannels}, in, {}};
        DepthwiseConv2D depthwise;
        depthwise.padding = graph::Padding::Valid;
        expect_equal(single({depthwise, {0, 1}, {2}}, image,
                            {"kernel",
                             Type::Int8,
                             {1, 23, 23, kChannels},
                             by,
                             extremes(size_t{23} * 23 * kChannels, pattern)},
                            {1, 3, 3, kChannels}, scale * 1e5F),
                     rng, 1, number++);
        expect_equal(
            single(
                {Conv2D{}, {0, 1}, {2}}, image,
                {"kernel", Type::Int8, {3, 3, 5, kChannels}, by, extremes(size_t{45} * kChannels, pattern)},
                {1, kSide, kSide, 3}, scale * 1e5F),
            rng, 1, number++);
        expect_equal(single({FullyConnected{}, {0, 1}, {2}}, {"x", Type::Int8, {1, kWide}, in, {}},
                            {"kernel", Type::Int8, {2, kWide}, by, extremes(2 * kWide, pattern)}, {1, 2},
                            scale * 1e5F),
                     rng, 1, number++);
      }
  });
}

// Channel counts around the vector sizes, and long sums.
TEST(Evaluator, EqualsTheInterpreterOnWideLayers) {
  for_each_target([] {
    Rng rng(8);
    int number = 0;
    for (const int channels : {1, 7, 8, 15, 16, 17, 31, 33, 64}) {
      graph::Graph network({9, 7, 3, false});
      network.add(graph::Conv{channels, {3, 3, 2, 1, graph::Padding::Same}});
      network.add(graph::Relu{});
      network.add(graph::DepthwiseConv{{5, 3, 1, 2, graph::Padding::Same}});
      network.add(graph::Relu6{});
      network.add(graph::Conv{channels, {1, 1, 1, 1, graph::Padding::Valid}});
      network.add(graph::Flatten{});
      network.add(graph::Dense{channels});
      const graph::QuantizedForm form = random_form(network, rng);
      expect_equal(lower(form.graph, form.parameters, {}), rng, 3, number++);
    }
  });
}

// Dilation, a depth multiplier, per-tensor kernels, a missing bias, kept dimensions and RESHAPE without a
// shape do not come from lowering, but from other people's files.
TEST(Evaluator, EqualsTheInterpreterOnForeignForms) {
  for_each_target([] {
    Rng rng(9);
    const auto bytes = [&](size_t count) { return random_bytes(rng, count); };
    for (int i = 0; i < 20; ++i) {
      const int channels = 1 + static_cast<int>(rng.below(5));
      const int multiplier = 1 + static_cast<int>(rng.below(4));
      const int wide = channels * multiplier;
      const auto count = [](int n) { return static_cast<size_t>(n); };
      QuantGraph g;
      g.tensors = {
          {"x", Type::Int8, {1, 9, 8, channels}, {{0.02F}, {-5}, 0}, {}},
          {"kernel", Type::Int8, {1, 3, 2, wide}, {{0.01F}, {0}, 0}, bytes(count(6 * wide))},
          {"y", Type::Int8, {1, 9, 8, wide}, {{0.1F}, {3}, 0}, {}},
          {"conv/kernel", Type::Int8, {6, 2, 3, wide}, {{0.01F}, {0}, 0}, bytes(count(36 * wide))},
          {"z", Type::Int8, {1, 5, 4, 6}, {{0.1F}, {10}, 0}, {}},
          {"axes", Type::Int32, {2}, {}, {0xFE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0}},
          {"m", Type::Int8, {1, 1, 1, 6}, {{0.03F}, {0}, 0}, {}},
          {"flat", Type::Int8, {6}, {{0.03F}, {0}, 0}, {}},
          {"dense", Type::Int8, {4, 6}, {{0.02F}, {0}, 0}, bytes(24)},
          {"dense/bias",
           Type::Int32,
           {4},
           {{0.0006F}, {0}, 0},
           {1, 2, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 7, 0, 0, 0}},
          {"out", Type::Int8, {1, 4}, {{0.05F}, {-20}, 0}, {}},
          {"constant", Type::Int8, {1, 4}, {{0.04F}, {1}, 0}, bytes(4)},
          {"sum", Type::Int8, {1, 4}, {{0.06F}, {2}, 0}, {}},
      };
      DepthwiseConv2D depthwise;
      depthwise.dilation_height = depthwise.dilation_width = 2;
      depthwise.depth_multiplier = multiplier;
      depthwise.activation = Activation::Relu6;
      Conv2D conv;
      conv.padding = graph::Padding::Valid;
      conv.dilation_height = 3;
      conv.dilation_width = 1;
      conv.stride_height = 1;
      g.tensors[4].dims = {1, 6, 6, 6};
      g.operators = {{depthwise, {0, 1}, {2}},
                     {conv, {2, 3, -1}, {4}},
                     {Mean{true}, {4, 5}, {6}},
                     {Reshape{}, {6}, {7}},
                     {FullyConnected{}, {7, 8, 9}, {10}},
                     {AddOp{}, {10, 11}, {12}}};
      g.inputs = {0};
      g.outputs = {12};
      expect_equal(g, rng, 5, i);
      const std::vector<uint8_t> file = write_tflite(g);
      EXPECT_EQ(write_tflite(read_tflite(file, "foreign")), file);
    }
  });
}

// On a CPU that has VNNI, the runs under each target are with it and without.
TEST(Evaluator, TargetsChooseBetweenTheKernels) {
  const bool here = kernels::vnni::available();
  int with = 0;
  int without = 0;
  for_each_target([&] { ++(kernels::vnni::available() ? with : without); });
  EXPECT_EQ(with, here ? 1 : 0);
  EXPECT_GE(without, 1);
}

size_t product(const std::vector<int>& dims) {
  size_t elements = 1;
  for (const int dim : dims) elements *= static_cast<size_t>(dim);
  return elements;
}

// A layer's factors from far below 1 to far above, zero points and activations everywhere: all the ways from
// sums to bytes.
TEST(Evaluator, EqualsTheInterpreterOnAllFactors) {
  for_each_target([] {
    Rng rng(16);
    for (int i = 0; i < 150; ++i) {
      const int inputs = 1 + static_cast<int>(rng.below(60));
      const int outputs = 1 + static_cast<int>(rng.below(70));
      const auto zero_point = [&] { return static_cast<int64_t>(rng.below(256)) - 128; };
      // Most layers have factors of one kind, since a single odd one sends all the slower way.
      const float low = rng.below(2) == 0 ? -11.0F : -36.0F;
      constexpr std::array kHighs = {-1.1F, -0.01F, 4.0F};
      const float high = kHighs[rng.below(3)];
      QuantGraph g;
      std::vector<float> scales;
      Quantization bias_grid;
      std::vector<uint8_t> bias;
      for (int o = 0; o < outputs; ++o) {
        scales.push_back(std::exp2(rng.uniform(low, high)));
        bias_grid.scales.push_back(1.0F / 255 * scales.back());
        bias_grid.zero_points.push_back(0);
        const int32_t value = rng.below(20) == 0 ? static_cast<int32_t>(rng.next_u32())
                                                 : static_cast<int32_t>(rng.below(20000)) - 10000;
        uint8_t raw[sizeof(value)];
        std::memcpy(raw, &value, sizeof(value));
        bias.insert(bias.end(), raw, raw + sizeof(raw));
      }
      if (i % 2 == 0)  // a bias that wraps nothing
        for (size_t at = 2; at < bias.size(); at += 4) bias[at] = bias[at + 1] = 0;
      g.tensors = {{"x", Type::Int8, {1, inputs}, {{1.0F / 255}, {zero_point()}, 0}, {}},
                   {"kernel",
                    Type::Int8,
                    {outputs, inputs},
                    {scales, std::vector<int64_t>(scales.size(), 0), 0},
                    random_bytes(rng, static_cast<size_t>(inputs) * static_cast<size_t>(outputs))},
                   {"bias", Type::Int32, {outputs}, bias_grid, bias},
                   {"y", Type::Int8, {1, outputs}, {{1.0F / 255}, {zero_point()}, 0}, {}}};
      constexpr std::array kActivations = {Activation::None, Activation::Relu, Activation::Relu6};
      g.operators = {{FullyConnected{kActivations[rng.below(3)]}, {0, 1, 2}, {3}}};
      g.inputs = {0};
      g.outputs = {3};
      expect_equal(g, rng, 9, i);
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// 2×2 max-pools after a convolution: of sides even and odd, of each padding, with an activation of their own;
// and those that cannot be part of it, since another reads the same, or since sums wrap.
TEST(Evaluator, EqualsTheInterpreterOnPooledConvolutions) {
  for_each_target([] {
    Rng rng(17);
    for (int i = 0; i < 120; ++i) {
      const int height = 2 + static_cast<int>(rng.below(9));
      const int width = 2 + static_cast<int>(rng.below(9));
      const int channels = 1 + static_cast<int>(rng.below(5));
      const int filters = 1 + static_cast<int>(rng.below(70));
      const auto padding = [&] { return rng.below(2) == 0 ? graph::Padding::Same : graph::Padding::Valid; };
      constexpr std::array kActivations = {Activation::None, Activation::Relu, Activation::Relu6};
      const Quantization grid{{0.05F}, {static_cast<int64_t>(rng.below(256)) - 128}, 0};
      MaxPool2D pool;
      pool.stride_height = pool.stride_width = 2;
      pool.padding = padding();
      pool.activation = kActivations[rng.below(3)];
      Conv2D conv;
      conv.activation = kActivations[rng.below(3)];
      const graph::WindowGeometry pooled = window_geometry(pool, 2, 2, height, width);
      const std::vector<int> kernel = {filters, 3, 3, channels};
      const float scale = i % 5 == 0 ? 1e7F : 0.01F;  // with the first, sums wrap
      QuantGraph g;
      g.tensors = {{"x", Type::Int8, {1, height, width, channels}, {{1.0F / 255}, {-128}, 0}, {}},
                   {"kernel", Type::Int8, kernel, {{scale}, {0}, 0}, random_bytes(rng, product(kernel))},
                   {"y", Type::Int8, {1, height, width, filters}, grid, {}},
                   {"z", Type::Int8, {1, pooled.out_height, pooled.out_width, filters}, grid, {}}};
      g.operators = {{conv, {0, 1, -1}, {2}}, {pool, {2}, {3}}};
      if (i % 7 == 0) {  // a second reader, whose output is added to the first's
        g.tensors.push_back({"second", Type::Int8, g.tensors[3].dims, grid, {}});
        g.tensors.push_back({"sum", Type::Int8, g.tensors[3].dims, grid, {}});
        g.operators.push_back({pool, {2}, {4}});
        g.operators.push_back({AddOp{}, {3, 4}, {5}});
      }
      g.inputs = {0};
      g.outputs = {static_cast<int>(g.tensors.size()) - 1};
      expect_equal(g, rng, 4, i);
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// Filters wider than a quad, channels repeated, rows apart.
TEST(Evaluator, EqualsTheInterpreterOnDepthwiseForms) {
  for_each_target([] {
    Rng rng(20);
    for (int i = 0; i < 100; ++i) {
      DepthwiseConv2D conv;
      conv.depth_multiplier = i % 2 == 0 ? 1 : 1 + static_cast<int>(rng.below(4));
      conv.stride_height = 1 + static_cast<int>(rng.below(2));
      conv.stride_width = 1 + static_cast<int>(rng.below(3));
      conv.dilation_height = 1 + static_cast<int>(rng.below(2));
      conv.padding = rng.below(2) == 0 ? graph::Padding::Same : graph::Padding::Valid;
      const int filter_height = 1 + static_cast<int>(rng.below(3));
      const int filter_width = 1 + static_cast<int>(rng.below(9));
      const int height = 5 + static_cast<int>(rng.below(6));
      const int width = 9 + static_cast<int>(rng.below(6));
      const int channels = 1 + static_cast<int>(rng.below(40));
      const int outputs = channels * conv.depth_multiplier;
      const graph::WindowGeometry window = window_geometry(conv, filter_height, filter_width, height, width);
      const std::vector<int> kernel = {1, filter_height, filter_width, outputs};
      QuantGraph g;
      g.tensors = {
          {"x",
           Type::Int8,
           {1, height, width, channels},
           {{1.0F / 255}, {static_cast<int64_t>(rng.below(256)) - 128}, 0},
           {}},
          {"kernel", Type::Int8, kernel, {{0.01F}, {0}, 0}, random_bytes(rng, product(kernel))},
          {"y", Type::Int8, {1, window.out_height, window.out_width, outputs}, {{0.02F}, {5}, 0}, {}}};
      g.operators = {{conv, {0, 1, -1}, {2}}};
      g.inputs = {0};
      g.outputs = {2};
      expect_equal(g, rng, 3, i);
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(Evaluator, EqualsTheInterpreterOnAdditions) {
  for_each_target([] {
    Rng rng(18);
    for (int i = 0; i < 150; ++i) {
      const int elements = 1 + static_cast<int>(rng.below(100));
      const auto grid = [&](float low, float high) {
        return Quantization{
            {std::exp2(rng.uniform(low, high))}, {static_cast<int64_t>(rng.below(256)) - 128}, 0};
      };
      const Quantization first = grid(-8, -4);
      const Quantization second = i % 3 == 0 ? Quantization{first.scales, {7}, 0} : grid(-12, -2);
      constexpr std::array kActivations = {Activation::None, Activation::Relu, Activation::Relu6};
      QuantGraph g;
      g.tensors = {
          {"x", Type::Int8, {1, elements}, first, {}},
          {"constant", Type::Int8, {1, elements}, second, random_bytes(rng, static_cast<size_t>(elements))},
          {"y", Type::Int8, {1, elements}, i % 4 == 0 ? grid(-20, -14) : grid(-8, -2), {}}};
      g.operators = {{AddOp{kActivations[rng.below(3)]}, {i % 2, 1 - i % 2}, {2}}};
      g.inputs = {0};
      g.outputs = {2};
      expect_equal(g, rng, 20, i);
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

}  // namespace
}  // namespace retort::int8
