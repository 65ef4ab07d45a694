// SOFTMAX on int8 in fixed point, as TFLM's reference kernel computes it (gemmlowp's exponential and
// reciprocal).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "int8/arithmetic.h"

namespace retort::int8 {

struct SoftmaxParameters {
  Multiplier multiplier;       // from a difference of inputs to Q5.26
  int32_t difference_min = 0;  // differences below give 0
};

// β·scale must exceed 2^−26, which is checked before.
SoftmaxParameters softmax_parameters(float beta, float input_scale);

// One row; the output's scale is 1/256 and its zero point −128.
void softmax_row(const SoftmaxParameters& parameters, std::span<const int8_t> input,
                 std::span<int8_t> output);

// The same from a table of all exponentials: entry d is that of d steps below a row's maximum, 0 where it
// would not count.
using ExponentialTable = std::array<int32_t, 256>;
ExponentialTable softmax_exponentials(const SoftmaxParameters& parameters);
void softmax_row(const ExponentialTable& exponentials, std::span<const int8_t> input,
                 std::span<int8_t> output);

}  // namespace retort::int8
