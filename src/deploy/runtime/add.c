#ifndef RETORT_ADD
#define RETORT_ADD
/* Output = (a * 2^left_a * multiplier_a + b * 2^left_b * multiplier_b) * output_multiplier, where a and b are the inputs
 * less their zero points. */
typedef struct {
  int32_t multipliers[2], output_multiplier;
  int8_t shifts[2], output_shift;
  int16_t zero_points[2], output_zero_point;
  int16_t minimum, maximum;
  uint8_t narrow; /* 1: the output's shift lies between -22 and -1 */
} retort_add_layer;

/* value * multiplier * 2^-right, rounded twice; value below 2^30, right at least 1. */
RETORT_INLINE int32_t retort_multiply_narrow(int32_t value, int32_t multiplier, int32_t half, int32_t right) {
  value = retort_high_multiply_narrow(value, multiplier);
  return (value + (value >> 31) + half) >> right;
}

/* `output` may be either input. */
RETORT_KERNEL void retort_add(const retort_add_layer *add, const int8_t *a, const int8_t *b, int8_t *output, int32_t count) {
  const int32_t minimum = add->minimum, maximum = add->maximum;
  const int32_t zero_a = add->zero_points[0], zero_b = add->zero_points[1];
  const int32_t multiplier_a = add->multipliers[0], multiplier_b = add->multipliers[1];
  /* A shift of 0 comes with a multiplier of exactly a half: then one place more to the left and to the right. */
  const int32_t right_a = add->shifts[0] == 0 ? 1 : -add->shifts[0], left_a = add->shifts[0] == 0 ? 21 : 20;
  const int32_t right_b = add->shifts[1] == 0 ? 1 : -add->shifts[1], left_b = add->shifts[1] == 0 ? 21 : 20;
  const int32_t half_a = 1 << (right_a - 1), half_b = 1 << (right_b - 1);
  if (add->narrow) {
    const int32_t multiplier = add->output_multiplier, right = -add->output_shift;
    const int32_t offset = (2 * add->output_zero_point + 1) * (1 << (right - 1));
    for (; count > 0; --count) {
      int32_t sum = retort_multiply_narrow((*a++ - zero_a) * (1 << left_a), multiplier_a, half_a, right_a);
      sum += retort_multiply_narrow((*b++ - zero_b) * (1 << left_b), multiplier_b, half_b, right_b);
      *output++ = (int8_t)retort_clamp(retort_multiply_narrow(sum, multiplier, offset, right), minimum, maximum);
    }
    return;
  }
  for (; count > 0; --count) {
    const int32_t sum = retort_multiply_narrow((*a++ - zero_a) * (1 << left_a), multiplier_a, half_a, right_a) +
                        retort_multiply_narrow((*b++ - zero_b) * (1 << left_b), multiplier_b, half_b, right_b);
    const uint32_t value = (uint32_t)retort_multiply(sum, add->output_multiplier, add->output_shift);
    *output++ = (int8_t)retort_clamp(retort_wrap(value + (uint32_t)add->output_zero_point), minimum, maximum);
  }
}
#endif
