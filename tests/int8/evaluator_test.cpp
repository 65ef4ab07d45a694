#include "int8/evaluator.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "int8/evaluate.h"
#include "int8/evaluator_vnni.h"
#include "int8/kernel_parameters.h"
#include "int8/random_networks.h"
#include "int8/reference.h"
#include "int8/tflite.h"

namespace retort::int8 {
namespace {

// What the evaluator must give for one image, from the interpreter.
std::vector<int8_t> expected_outputs(Interpreter& interpreter, std::span<const uint8_t> image) {
  const QuantGraph& graph = interpreter.graph();
  const Tensor& tensor_in = graph.tensors[static_cast<size_t>(graph.inputs[0])];
  const bool is_float = tensor_in.type == Type::Float32;
  std::vector<uint8_t> input;
  for (const uint8_t byte : image) {
    const float value = static_cast<float>(byte) / 255.0F;
    if (!is_float) {
      input.push_back(
          static_cast<uint8_t>(quantize(value, tensor_scale(tensor_in), tensor_zero_point(tensor_in))));
      continue;
    }
    uint8_t raw[sizeof(float)];
    std::memcpy(raw, &value, sizeof(value));
    input.insert(input.end(), raw, raw + sizeof(raw));
  }
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  interpreter.invoke(input, output);
  const bool gives_float = graph.tensors[static_cast<size_t>(graph.outputs[0])].type == Type::Float32;
  const int tensor = gives_float ? graph.operators.back().inputs[0] : graph.outputs[0];
  const auto values = interpreter.tensor(tensor);
  return {reinterpret_cast<const int8_t*>(values.data()),
          reinterpret_cast<const int8_t*>(values.data()) + values.size()};
}

void expect_equal(const QuantGraph& network, std::span<const uint8_t> input, int number) {
  Interpreter interpreter(network);
  Evaluator evaluator(network);
  const size_t images = input.size() / evaluator.image_bytes();
  std::vector<int8_t> outputs(images * evaluator.outputs());
  evaluator.run(input, images, outputs);
  for (size_t i = 0; i < images; ++i) {
    const auto image = std::span(input).subspan(i * evaluator.image_bytes(), evaluator.image_bytes());
    const auto mine = std::span(outputs).subspan(i * evaluator.outputs(), evaluator.outputs());
    const std::vector<int8_t> expected = expected_outputs(interpreter, image);
    ASSERT_TRUE(std::equal(mine.begin(), mine.end(), expected.begin(), expected.end()))
        << "network " << number << ", image " << i;
  }
}

size_t input_size(const QuantGraph& network) {
  return static_cast<size_t>(network.tensors[static_cast<size_t>(network.inputs[0])].elements());
}

// On random images, and on black, white and striped ones, whose sums are the largest.
void expect_equal(const QuantGraph& network, Rng& rng, size_t images, int number) {
  const size_t size = input_size(network);
  std::vector<uint8_t> input = random_bytes(rng, images * size);
  input.insert(input.end(), size, 0);
  input.insert(input.end(), size, 255);
  for (size_t i = 0; i < size; ++i) input.push_back(i % 7 < 3 ? 255 : 0);
  expect_equal(network, input, number);
}

// Runs body under each instruction set that this CPU has, one alone at a time; those that the kernels are not
// compiled for fall back to the portable baseline.
void for_each_target(const std::function<void()>& body) {
  for (int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
    body();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
    if (testing::Test::HasFatalFailure()) return;
  }
}

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

// Other people's int8 inputs have grids of their own; a byte still stands for b / 255.
TEST(Evaluator, BytesEnterOnTheInputsGrid) {
  const auto image_of = [](float scale, int64_t zero_point) {
    return image_table({"x", Type::Int8, {1, 4}, {{scale}, {zero_point}, 0}, {}});
  };
  const ByteTable ours = image_of(1.0F / 255, -128);
  for (size_t byte = 0; byte < ours.size(); ++byte)
    ASSERT_EQ(ours[byte], static_cast<int>(byte) - 128) << byte;
  const ByteTable symmetric = image_of(1.0F / 127, 0);
  EXPECT_EQ(symmetric[0], 0);
  EXPECT_EQ(symmetric[128], 64);
  EXPECT_EQ(symmetric[255], 127);
  const ByteTable narrow = image_of(0.5F / 255, -128);  // holds 0 to 0.5
  EXPECT_EQ(narrow[100], 72);
  EXPECT_EQ(narrow[255], 127);

  QuantGraph g;
  g.tensors = {{"x", Type::Int8, {1, 4}, {{1.0F / 127}, {0}, 0}, {}},
               {"y", Type::Int8, {1, 4}, {{1.0F / 127}, {0}, 0}, {}}};
  g.operators = {{ReluOp{}, {0}, {1}}};
  g.inputs = {0};
  g.outputs = {1};
  const std::vector<uint8_t> image = {0, 51, 128, 255};
  std::vector<int8_t> outputs(4);
  Evaluator(g).run(image, 1, outputs);
  EXPECT_EQ(outputs, (std::vector<int8_t>{0, 25, 64, 127}));
}

// A dilated window over a small input, in many layers: a small file, but a border and its windows each.
TEST(Evaluator, RefusesToTakeAllMemory) {
  const auto network = [](int side, int dilation, int layers) {
    const Quantization grid{{0.1F}, {0}, 0};
    QuantGraph g;
    g.tensors = {{"x", Type::Int8, {1, side, side, 1}, grid, {}},
                 {"kernel", Type::Int8, {1, 2, 2, 1}, grid, std::vector<uint8_t>(4)}};
    Conv2D conv;
    conv.dilation_height = conv.dilation_width = dilation;
    for (int i = 0; i < layers; ++i) {
      g.tensors.push_back({"y", Type::Int8, {1, side, side, 1}, grid, {}});
      g.operators.push_back({conv, {i == 0 ? 0 : i + 1, 1}, {i + 2}});
    }
    g.inputs = {0};
    g.outputs = {layers + 1};
    return g;
  };
  EXPECT_NO_THROW(Evaluator{network(256, 100, 2)});
  EXPECT_THROW(Evaluator{network(32, 1 << 12, 1)}, Error) << "one border of 4128 × 4128, in a batch";
  EXPECT_THROW(Evaluator{network(64, 1, 1200)}, Error) << "1200 lists of windows";
  // As quads a depthwise border takes 64 bytes a cell.
  QuantGraph depthwise = network(1024, 1, 1);
  depthwise.tensors[1].dims = {1, 2, 2, 1};
  DepthwiseConv2D conv;
  conv.dilation_height = 1 << 13;
  depthwise.operators[0].kind = conv;
  EXPECT_THROW(Evaluator{depthwise}, Error);
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

TEST(Evaluator, RunsImagesByTheirIndices) {
  Rng rng(19);
  const QuantGraph network = random_network(rng);
  Evaluator evaluator(network);
  const std::vector<uint8_t> images = random_bytes(rng, 5 * evaluator.image_bytes());
  std::vector<int8_t> all(5 * evaluator.outputs());
  evaluator.run(images, 5, all);
  const std::vector<uint32_t> indices = {4, 0, 4};
  std::vector<int8_t> some(3 * evaluator.outputs());
  evaluator.run(images, indices, some);
  for (size_t i = 0; i < indices.size(); ++i)
    for (size_t o = 0; o < evaluator.outputs(); ++o)
      ASSERT_EQ(some[i * evaluator.outputs() + o], all[indices[i] * evaluator.outputs() + o]);
  EXPECT_THROW(evaluator.run(images, std::vector<uint32_t>{0, 1, 5}, some), Error);
}

TEST(Evaluator, CopiesShareNothingThatChanges) {
  Rng rng(10);
  const QuantGraph network = random_network(rng);
  Evaluator one(network);
  Evaluator two(one);
  const std::vector<uint8_t> a = random_bytes(rng, one.image_bytes());
  const std::vector<uint8_t> b = random_bytes(rng, one.image_bytes());
  std::vector<int8_t> first(one.outputs());
  std::vector<int8_t> again(one.outputs());
  one.run(a, 1, first);
  two.run(b, 1, again);
  one.run(a, 1, again);
  EXPECT_EQ(first, again);
}

TEST(Evaluator, RefusesWrongSizesAndInnerFloats) {
  Rng rng(11);
  const QuantGraph network = random_network(rng);
  Evaluator evaluator(network);
  std::vector<uint8_t> image(evaluator.image_bytes() + 1);
  std::vector<int8_t> output(evaluator.outputs());
  EXPECT_THROW(evaluator.run(image, 1, output), Error);
  image.pop_back();
  output.push_back(0);
  EXPECT_THROW(evaluator.run(image, 1, output), Error);

  QuantGraph inner;
  const Quantization grid{{0.1F}, {0}, 0};
  inner.tensors = {{"x", Type::Int8, {1, 4}, grid, {}},
                   {"f", Type::Float32, {1, 4}, {}, {}},
                   {"y", Type::Int8, {1, 4}, grid, {}}};
  inner.operators = {{Dequantize{}, {0}, {1}}, {Quantize{}, {1}, {2}}};
  inner.inputs = {0};
  inner.outputs = {2};
  EXPECT_NO_THROW(Interpreter{inner});
  EXPECT_THROW(Evaluator{inner}, Error);
}

TEST(Evaluate, OutputsAreTheInterpretersWhateverTheThreadsAndTheOrder) {
  Rng rng(12);
  const QuantGraph network = random_network(rng);
  Interpreter interpreter(network);
  const auto bytes = static_cast<size_t>(interpreter.input_bytes());
  const size_t images = 700;
  const std::vector<uint8_t> input = random_bytes(rng, images * bytes);
  std::vector<uint16_t> labels(images);
  std::vector<uint32_t> indices;
  std::vector<int8_t> expected;
  size_t correct = 0;
  for (size_t i = 0; i < images; i += 1 + rng.below(2)) {
    indices.insert(indices.begin(), static_cast<uint32_t>(i));  // the last first
    const std::vector<int8_t> outputs =
        expected_outputs(interpreter, std::span(input).subspan(i * bytes, bytes));
    expected.insert(expected.begin(), outputs.begin(), outputs.end());
    labels[i] = static_cast<uint16_t>(rng.below(static_cast<uint32_t>(outputs.size())));
    if (predicted_class(outputs) == labels[i]) ++correct;
  }
  const Evaluator evaluator(network);
  for (const int threads : {1, 2, 5}) {
    size_t last = 0;
    const std::vector<int8_t> outputs = run_all(evaluator, {input, indices}, threads, [&](size_t done) {
      EXPECT_GT(done, last);
      last = done;
    });
    EXPECT_EQ(outputs, expected);
    EXPECT_EQ(last, indices.size());
    EXPECT_DOUBLE_EQ(accuracy(outputs, indices, labels),
                     static_cast<double>(correct) / static_cast<double>(indices.size()));
  }
  EXPECT_TRUE(run_all(evaluator, {input, {}}, 2).empty());
  EXPECT_EQ(accuracy({}, {}, labels), 0);
}

TEST(Evaluate, RefusesWhatIsNoImage) {
  Rng rng(13);
  const Evaluator evaluator(random_network(rng));
  const std::vector<uint8_t> input(evaluator.image_bytes() * 3);
  const std::vector<uint32_t> indices = {2, 3};
  EXPECT_THROW(run_all(evaluator, {input, indices}, 1), Error);
  EXPECT_NO_THROW(run_all(evaluator, {input, std::span(indices).first(1)}, 1));
  EXPECT_THROW(run_all(evaluator, {std::span(input).first(input.size() - 1), {}}, 1), Error);
}

TEST(Evaluate, EndsWithWhatIsThrownBetween) {
  Rng rng(14);
  const Evaluator evaluator(random_network(rng));
  const std::vector<uint8_t> input(evaluator.image_bytes());
  const std::vector<uint32_t> indices(2000, 0);
  size_t heard = 0;
  EXPECT_THROW(run_all(evaluator, {input, indices}, 2,
                       [&](size_t) {
                         ++heard;
                         throw Error(ErrorCode::Interrupted, "stop");
                       }),
               Error);
  EXPECT_EQ(heard, 1U);
}

TEST(Evaluate, TiesGoToTheFirst) {
  const std::vector<int8_t> outputs = {-3, 7, 7, 2};
  EXPECT_EQ(predicted_class(outputs), 1);
}

}  // namespace
}  // namespace retort::int8
