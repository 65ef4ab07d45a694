#include "int8/evaluator.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "int8/kernel_parameters.h"
#include "int8/random_networks.h"
#include "int8/reference.h"

namespace retort::int8 {
namespace {

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

}  // namespace
}  // namespace retort::int8
