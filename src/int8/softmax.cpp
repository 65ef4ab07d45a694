#include "int8/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace retort::int8 {

namespace {

constexpr int kDifferenceIntegerBits = 5;  // Q5.26
constexpr int kDifferenceFractionBits = 31 - kDifferenceIntegerBits;
constexpr int kSumIntegerBits = 12;  // Q12.19

// x · 2^exponent, saturating; exponent > 0.
int32_t saturating_shift_left(int32_t x, int exponent) {
  const int64_t wide = static_cast<int64_t>(x) * (int64_t{1} << exponent);
  return static_cast<int32_t>(
      std::clamp<int64_t>(wide, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
}

// e^a for a in [−1/4, 0), both Q0.31: a Taylor polynomial around −1/8.
int32_t exponential_near_zero(int32_t a) {
  constexpr int32_t kExponentialOfMinusEighth = 1895147668;
  constexpr int32_t kThird = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = rounding_doubling_high_multiply(x, x);
  const int32_t x3 = rounding_doubling_high_multiply(x2, x);
  const int32_t x4 = rounding_doubling_high_multiply(x2, x2);
  const int32_t cubic_and_quartic =
      rounding_doubling_high_multiply(rounding_divide_by_power_of_two(x4, 2) + x3, kThird);
  const int32_t rest = rounding_divide_by_power_of_two(cubic_and_quartic + x2, 1);
  return kExponentialOfMinusEighth + rounding_doubling_high_multiply(kExponentialOfMinusEighth, x + rest);
}

// e^a for a ≤ 0 in Q5.26; the result is Q0.31. What lies beyond the last quarter is a product of e^(−2^k).
int32_t exponential(int32_t a) {
  if (a == 0) return std::numeric_limits<int32_t>::max();
  constexpr int32_t kQuarter = 1 << (kDifferenceFractionBits - 2);
  constexpr std::array<int32_t, 7> kPowers = {1672461947, 1302514674, 790015084, 290630308,
                                              39332535,   720401,     242};
  const int32_t in_quarter = (a & (kQuarter - 1)) - kQuarter;
  int32_t result = exponential_near_zero(saturating_shift_left(in_quarter, kDifferenceIntegerBits));
  const auto remainder = static_cast<uint32_t>(in_quarter) - static_cast<uint32_t>(a);
  for (size_t k = 0; k < kPowers.size(); ++k)
    if ((remainder >> (static_cast<size_t>(kDifferenceFractionBits) - 2 + k) & 1U) != 0)
      result = rounding_doubling_high_multiply(result, kPowers[k]);
  return result;
}

// 1 / (1 + a) for a in [0, 1), both Q0.31, by three steps of Newton and Raphson.
int32_t reciprocal_of_one_plus(int32_t a) {
  constexpr int32_t k48Over17 = 1515870810;        // Q2.29
  constexpr int32_t kMinus32Over17 = -1010580540;  // Q2.29
  constexpr int32_t kOne = 1 << 29;                // Q2.29
  const auto half_denominator =
      static_cast<int32_t>((static_cast<int64_t>(a) + std::numeric_limits<int32_t>::max() + 1) / 2);
  int32_t x = k48Over17 + rounding_doubling_high_multiply(half_denominator, kMinus32Over17);
  for (int step = 0; step < 3; ++step) {
    const int32_t error = kOne - rounding_doubling_high_multiply(half_denominator, x);
    x += saturating_shift_left(rounding_doubling_high_multiply(x, error), 2);
  }
  return saturating_shift_left(x, 1);
}

// e^(−d) of a difference d ≥ 0 between inputs; 0 where it does not count.
int32_t exponential_below(const SoftmaxParameters& parameters, int32_t d) {
  if (-d < parameters.difference_min) return 0;
  return exponential(rounding_doubling_high_multiply(wrapping_shift_left(-d, parameters.multiplier.shift),
                                                     parameters.multiplier.mantissa));
}

// exponential_of(d) as exponential_below.
template <typename Exponential>
void normalise_row(std::span<const int8_t> input, std::span<int8_t> output,
                   const Exponential& exponential_of) {
  const int32_t maximum = *std::max_element(input.begin(), input.end());
  int32_t sum = 0;
  for (const int8_t value : input)
    sum =
        wrapping_add(sum, rounding_divide_by_power_of_two(exponential_of(maximum - value), kSumIntegerBits));

  const int headroom = std::countl_zero(static_cast<uint32_t>(sum));
  const auto fraction =
      static_cast<int32_t>((static_cast<uint32_t>(sum) << (headroom & 31)) - (uint32_t{1} << 31));
  const int32_t scale = reciprocal_of_one_plus(fraction);
  const int exponent = std::clamp(kSumIntegerBits - headroom + 31 - 8, 0, 31);
  for (size_t i = 0; i < input.size(); ++i) {
    const int32_t value = rounding_divide_by_power_of_two(
        rounding_doubling_high_multiply(scale, exponential_of(maximum - input[i])), exponent);
    output[i] = static_cast<int8_t>(std::clamp(value - 128, -128, 127));
  }
}

}  // namespace

SoftmaxParameters softmax_parameters(float beta, float input_scale) {
  const double real = std::min(static_cast<double>(beta) * static_cast<double>(input_scale) *
                                   static_cast<double>(1 << kDifferenceFractionBits),
                               static_cast<double>((int64_t{1} << 31) - 1));
  SoftmaxParameters parameters;
  parameters.multiplier = quantize_multiplier(real);
  const double radius = static_cast<double>((1 << kDifferenceIntegerBits) - 1) *
                        static_cast<double>(1 << kDifferenceFractionBits) /
                        static_cast<double>(int64_t{1} << parameters.multiplier.shift);
  parameters.difference_min = -static_cast<int32_t>(std::floor(radius));
  return parameters;
}

void softmax_row(const SoftmaxParameters& parameters, std::span<const int8_t> input,
                 std::span<int8_t> output) {
  normalise_row(input, output, [&](int32_t d) { return exponential_below(parameters, d); });
}

ExponentialTable softmax_exponentials(const SoftmaxParameters& parameters) {
  ExponentialTable table{};
  for (size_t d = 0; d < table.size(); ++d) table[d] = exponential_below(parameters, static_cast<int32_t>(d));
  return table;
}

void softmax_row(const ExponentialTable& exponentials, std::span<const int8_t> input,
                 std::span<int8_t> output) {
  normalise_row(input, output, [&](int32_t d) { return exponentials[static_cast<size_t>(d)]; });
}

}  // namespace retort::int8
