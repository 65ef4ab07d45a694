#include "int8/arithmetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "int8/kernel_parameters.h"
#include "int8/softmax.h"

namespace retort::int8 {
namespace {

__extension__ using Wide = __int128;

// Numbers of every size, with the ends among them.
int32_t any_int(Rng& rng) {
  constexpr int32_t kMinimum = std::numeric_limits<int32_t>::min();
  switch (rng.below(16)) {
    case 0:
      return kMinimum;
    case 1:
      return std::numeric_limits<int32_t>::max();
    case 2:
      return 0;
    default:
      return static_cast<int32_t>(rng.next_u32()) >> rng.below(32);
  }
}

// 2ab / 2^32 to the nearest, as a fraction of 2^31, halves upwards for positive and towards zero for
// negative.
int32_t high_multiply_by_definition(int32_t a, int32_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  const Wide nudge = product >= 0 ? Wide{1} << 30 : 1 - (Wide{1} << 30);
  const Wide result = (product + nudge) / (Wide{1} << 31);
  return static_cast<int32_t>(std::min<Wide>(result, std::numeric_limits<int32_t>::max()));
}

TEST(Arithmetic, HighMultiplyIsTheDefinitionInWideIntegers) {
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const int32_t a = any_int(rng);
    const int32_t b = any_int(rng);
    ASSERT_EQ(rounding_doubling_high_multiply(a, b), high_multiply_by_definition(a, b)) << a << " · " << b;
  }
}

TEST(Arithmetic, DivideByPowerOfTwoRoundsHalvesAwayFromZero) {
  Rng rng(2);
  for (int i = 0; i < 200000; ++i) {
    const int32_t x = any_int(rng);
    const auto exponent = static_cast<int>(rng.below(32));
    const long double exact = static_cast<long double>(x) / std::exp2(static_cast<long double>(exponent));
    ASSERT_EQ(rounding_divide_by_power_of_two(x, exponent), static_cast<int64_t>(std::round(exact)))
        << x << " / 2^" << exponent;
  }
}

TEST(Arithmetic, QuantizeMultiplierIsTheNearestMantissa) {
  Rng rng(3);
  for (int i = 0; i < 50000; ++i) {
    const double real = std::exp2(60.0 * static_cast<double>(rng.uniform()) - 30.0);
    const Multiplier multiplier = quantize_multiplier(real);
    ASSERT_GE(multiplier.mantissa, 1 << 30);
    const long double back = static_cast<long double>(multiplier.mantissa) *
                             std::exp2(static_cast<long double>(multiplier.shift - 31));
    const long double step = std::exp2(static_cast<long double>(multiplier.shift - 31));
    ASSERT_LE(std::abs(back - static_cast<long double>(real)), step / 2) << real;
  }
  EXPECT_EQ(quantize_multiplier(0), Multiplier{});
  EXPECT_EQ(quantize_multiplier(0x1p-40), Multiplier{});
  EXPECT_EQ(quantize_multiplier(1), (Multiplier{1 << 30, 1}));
  // Rounds up to 2^31, which does not fit: the next power of two.
  EXPECT_EQ(quantize_multiplier(1 - 0x1p-40), (Multiplier{1 << 30, 1}));
}

TEST(Arithmetic, MultiplyIsWithinOneOfTheRealProduct) {
  Rng rng(4);
  for (int i = 0; i < 100000; ++i) {
    const int32_t x = static_cast<int32_t>(rng.next_u32()) >> (8 + rng.below(20));
    const double real = std::exp2(16.0 * static_cast<double>(rng.uniform()) - 14.0);
    const double exact = x * real;
    ASSERT_LE(std::abs(multiply(x, quantize_multiplier(real)) - exact), 1.0 + std::abs(exact) * 0x1p-30)
        << x << " · " << real;
  }
}

TEST(Arithmetic, MeanIsWithinOneOfTheRealMean) {
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    const int height = 1 + static_cast<int>(rng.below(20));
    const int width = 1 + static_cast<int>(rng.below(20));
    const float in_scale = rng.uniform(0.01F, 0.1F);
    const float out_scale = in_scale * rng.uniform(0.3F, 2.0F);
    const auto in_zero = static_cast<int64_t>(rng.below(256)) - 128;
    const auto out_zero = static_cast<int64_t>(rng.below(256)) - 128;
    QuantGraph graph;
    graph.tensors = {{"x", Type::Int8, {1, height, width, 1}, {{in_scale}, {in_zero}, 0}, {}},
                     {"axes", Type::Int32, {2}, {}, {1, 0, 0, 0, 2, 0, 0, 0}},
                     {"y", Type::Int8, {1, 1}, {{out_scale}, {out_zero}, 0}, {}}};
    const Operator op{Mean{}, {0, 1}, {2}};
    int32_t sum = 0;
    for (int cell = 0; cell < height * width; ++cell) sum += static_cast<int32_t>(rng.below(256)) - 128;
    const double real = (static_cast<double>(sum) / (height * width) - static_cast<double>(in_zero)) *
                            static_cast<double>(in_scale) / static_cast<double>(out_scale) +
                        static_cast<double>(out_zero);
    const double expected = std::min(std::max(real, -128.0), 127.0);
    ASSERT_NEAR(mean(mean_parameters(graph, op), sum), expected, 1.0);
  }
}

// The interpreter and the evaluator share these tables, so that they agree on wrong ones too.
TEST(Arithmetic, TablesAreTheRealFunctionsRounded) {
  Rng rng(8);
  for (int i = 0; i < 500; ++i) {
    const float in_scale = std::exp2(rng.uniform(-7.0F, -2.0F));
    const float out_scale = in_scale * rng.uniform(0.3F, 2.0F);
    const auto in_zero = static_cast<int64_t>(rng.below(256)) - 128;
    const auto out_zero = static_cast<int64_t>(rng.below(256)) - 128;
    QuantGraph graph;
    graph.tensors = {{"x", Type::Int8, {1, 1}, {{in_scale}, {in_zero}, 0}, {}},
                     {"y", Type::Int8, {1, 1}, {{out_scale}, {out_zero}, 0}, {}}};
    const ByteTable rescaled = unary_table(graph, {Quantize{}, {0}, {1}});
    const ByteTable relu = unary_table(graph, {ReluOp{}, {0}, {1}});
    const ByteTable relu6 = unary_table(graph, {Relu6Op{}, {0}, {0}});  // on one grid
    for (int v = -128; v < 128; ++v) {
      const auto at = static_cast<size_t>(v + 128);
      const double real = static_cast<double>(in_scale) * static_cast<double>(v - in_zero);
      const auto on_grid = [](double value, float scale, int64_t zero) {
        return std::clamp(value / static_cast<double>(scale) + static_cast<double>(zero), -128.0, 127.0);
      };
      ASSERT_NEAR(rescaled[at], on_grid(real, out_scale, out_zero), 0.51);
      ASSERT_NEAR(relu[at], on_grid(std::max(real, 0.0), out_scale, out_zero), 0.51);
      ASSERT_NEAR(relu6[at], on_grid(std::clamp(real, 0.0, 6.0), in_scale, in_zero), 0.51);
    }
  }
}

TEST(Arithmetic, AverageRoundsHalvesAwayFromZero) {
  for (int32_t cells = 1; cells < 70; ++cells)
    for (int32_t sum = -128 * cells; sum <= 127 * cells; ++sum)
      ASSERT_EQ(average(sum, cells, {}), static_cast<int32_t>(std::round(static_cast<double>(sum) / cells)))
          << sum << " / " << cells;
}

TEST(Arithmetic, SoftmaxIsWithinOneStepOfTheRealOne) {
  Rng rng(6);
  for (int i = 0; i < 2000; ++i) {
    const float scale = std::exp2(rng.uniform(-9.0F, 1.0F));
    std::vector<int8_t> input(2 + rng.below(40));
    for (int8_t& value : input) value = static_cast<int8_t>(rng.next_u32());
    std::vector<int8_t> output(input.size());
    softmax_row(softmax_parameters(1, scale), input, output);
    double sum = 0;
    for (const int8_t value : input) sum += std::exp(static_cast<double>(scale) * (value - 127));
    for (size_t k = 0; k < input.size(); ++k) {
      const double real = std::exp(static_cast<double>(scale) * (input[k] - 127)) / sum;
      ASSERT_NEAR(output[k], std::min(real * 256 - 128, 127.0), 1.0);
    }
  }
}

}  // namespace
}  // namespace retort::int8
