#ifndef RETORT_SOFTMAX
#define RETORT_SOFTMAX
typedef struct {
  int32_t multiplier, difference_min;
  int8_t shift;
  uint16_t rows, classes;
} retort_softmax_layer;

/* value * 2^exponent, saturating. */
RETORT_KERNEL int32_t retort_saturating_shift(int32_t value, int32_t exponent) {
  const int64_t wide = (int64_t)value * (1 << exponent);
  return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* e^a for a <= 0 in Q5.26; the result is Q0.31 (as gemmlowp's fixed point computes it). */
RETORT_KERNEL int32_t retort_exponential(int32_t a) {
  static const int32_t powers[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t quarter = 1 << 24, of_minus_eighth = 1895147668;
  int32_t in_quarter, x, x2, x3, x4, rest, result, k;
  uint32_t remainder;
  if (a == 0) return INT32_MAX;
  in_quarter = (a & (quarter - 1)) - quarter;
  x = retort_saturating_shift(in_quarter, 5) + (1 << 28);
  x2 = retort_high_multiply(x, x);
  x3 = retort_high_multiply(x2, x);
  x4 = retort_high_multiply(x2, x2);
  rest = retort_high_multiply(retort_divide_by_power(x4, 2) + x3, 715827883);
  rest = retort_divide_by_power(rest + x2, 1);
  result = of_minus_eighth + retort_high_multiply(of_minus_eighth, x + rest);
  remainder = (uint32_t)in_quarter - (uint32_t)a;
  for (k = 0; k < 7; ++k)
    if ((remainder >> (24 + k) & 1u) != 0) result = retort_high_multiply(result, powers[k]);
  return result;
}

RETORT_KERNEL int32_t retort_exponential_below(const retort_softmax_layer *softmax, int32_t difference) {
  if (-difference < softmax->difference_min) return 0;
  return retort_exponential(retort_high_multiply(retort_wrap((uint32_t)-difference << softmax->shift), softmax->multiplier));
}

RETORT_KERNEL void retort_softmax(const retort_softmax_layer *softmax, const int8_t *input, int8_t *output) {
  const int32_t classes = softmax->classes;
  int32_t row, i, step;
  for (row = 0; row < softmax->rows; ++row, input += classes, output += classes) {
    int32_t maximum = -128, headroom = 0, half, x, exponent;
    uint32_t sum = 0;
    for (i = 0; i < classes; ++i)
      if (input[i] > maximum) maximum = input[i];
    for (i = 0; i < classes; ++i)
      sum += (uint32_t)retort_divide_by_power(retort_exponential_below(softmax, maximum - input[i]), 12);
    while (headroom < 32 && (sum << headroom & 0x80000000u) == 0) ++headroom;
    /* 1 / (1 + fraction) by three steps of Newton and Raphson. */
    half = (int32_t)(((int64_t)retort_wrap((sum << (headroom & 31)) - 0x80000000u) + INT32_MAX + 1) / 2);
    x = 1515870810 + retort_high_multiply(half, -1010580540);
    for (step = 0; step < 3; ++step)
      x += retort_saturating_shift(retort_high_multiply(x, (1 << 29) - retort_high_multiply(half, x)), 2);
    x = retort_saturating_shift(x, 1);
    exponent = retort_clamp(12 - headroom + 31 - 8, 0, 31);
    for (i = 0; i < classes; ++i) {
      const int32_t part = retort_high_multiply(x, retort_exponential_below(softmax, maximum - input[i]));
      output[i] = (int8_t)retort_clamp(retort_divide_by_power(part, exponent) - 128, -128, 127);
    }
  }
}
#endif
