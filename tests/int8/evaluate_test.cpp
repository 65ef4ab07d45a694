#include "int8/evaluate.h"

#include <gtest/gtest.h>

#include "address_space_limit.h"
#include "base/error.h"
#include "int8/against_interpreter.h"

namespace retort::int8 {
namespace {

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
  Evaluator evaluator(network);
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
  Evaluator evaluator(random_network(rng));
  const std::vector<uint8_t> input(evaluator.image_bytes() * 3);
  const std::vector<uint32_t> indices = {2, 3};
  EXPECT_THROW(run_all(evaluator, {input, indices}, 1), Error);
  EXPECT_NO_THROW(run_all(evaluator, {input, std::span(indices).first(1)}, 1));
  EXPECT_THROW(run_all(evaluator, {std::span(input).first(input.size() - 1), {}}, 1), Error);
}

TEST(Evaluate, EndsWithWhatIsThrownBetween) {
  Rng rng(14);
  Evaluator evaluator(random_network(rng));
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

#ifndef RETORT_SANITIZED  // whose shadows are memory too

// Takes a picture of so many pixels a side, and keeps the largest of each 64 × 64.
QuantGraph pools(int side) {
  constexpr int kFilter = 64;
  const Quantization grid{{1.0F / 255}, {-128}, 0};
  MaxPool2D pool;
  pool.filter_height = pool.filter_width = pool.stride_height = pool.stride_width = kFilter;
  QuantGraph g;
  g.tensors = {{"x", Type::Int8, {1, side, side, 1}, grid, {}},
               {"y", Type::Int8, {1, side / kFilter, side / kFilter, 1}, grid, {}}};
  g.operators = {{pool, {0}, {1}}};
  g.inputs = {0};
  g.outputs = {1};
  return g;
}

TEST(Evaluate, HasNoMoreThreadsThanThereIsMemoryFor) {
  Evaluator evaluator(pools(2048));
  EXPECT_GE(evaluator.memory_bytes(), evaluator.image_bytes());
  const std::vector<uint8_t> image(evaluator.image_bytes(), 200);
  const std::vector<uint32_t> indices(64, 0);
  const std::vector<int8_t> expected(indices.size() * evaluator.outputs(), 200 - 128);
  const AddressSpaceLimit memory(evaluator.memory_bytes() * 8);
  EXPECT_EQ(run_all(evaluator, {image, indices}, 64), expected);
}

TEST(Evaluate, ANetworkThatIsTooLargeForWhatIsLeftIsRefused) {
  const QuantGraph large = pools(8192);
  const auto refused = [&] {
    try {
      const Evaluator evaluator(large);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused(), "");
  const AddressSpaceLimit memory(uint64_t{32} << 20U);
  EXPECT_NE(refused().find("more than the memory that is left"), std::string::npos) << refused();
}

#endif

TEST(Evaluate, TiesGoToTheFirst) {
  const std::vector<int8_t> outputs = {-3, 7, 7, 2};
  EXPECT_EQ(predicted_class(outputs), 1);
}

}  // namespace
}  // namespace retort::int8
