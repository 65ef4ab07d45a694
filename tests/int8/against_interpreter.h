// The evaluator beside the interpreter, whose outputs it must equal byte for byte.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "base/rng.h"
#include "int8/evaluator.h"
#include "int8/kernel_parameters.h"
#include "int8/quant_graph.h"
#include "int8/random_networks.h"
#include "int8/reference.h"

namespace retort::int8 {

// What the evaluator must give for one image, from the interpreter.
inline std::vector<int8_t> expected_outputs(Interpreter& interpreter, std::span<const uint8_t> image) {
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

inline void expect_equal(const QuantGraph& network, std::span<const uint8_t> input, int number) {
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

inline size_t input_size(const QuantGraph& network) {
  return static_cast<size_t>(network.tensors[static_cast<size_t>(network.inputs[0])].elements());
}

// On random images, and on black, white and striped ones, whose sums are the largest.
inline void expect_equal(const QuantGraph& network, Rng& rng, size_t images, int number) {
  const size_t size = input_size(network);
  std::vector<uint8_t> input = random_bytes(rng, images * size);
  input.insert(input.end(), size, 0);
  input.insert(input.end(), size, 255);
  for (size_t i = 0; i < size; ++i) input.push_back(i % 7 < 3 ? 255 : 0);
  expect_equal(network, input, number);
}

// Runs body under each instruction set that this CPU has, one alone at a time; those that the kernels are not
// compiled for fall back to the portable baseline.
inline void for_each_target(const std::function<void()>& body) {
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

}  // namespace retort::int8
