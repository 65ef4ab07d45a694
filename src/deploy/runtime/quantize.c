#ifndef RETORT_QUANTIZE
#define RETORT_QUANTIZE
RETORT_KERNEL void retort_quantize(float scale, int32_t zero_point, const float *input, int8_t *output, int32_t count) {
  for (; count > 0; --count) {
    const float steps = *input++ / scale;
    const float far = 1 << 20; /* far outside int8 */
    int32_t value = zero_point;
    if (steps > -far && steps < far) {
      value = (int32_t)steps; /* towards zero; then halves away from it */
      if (steps - (float)value >= 0.5f)
        ++value;
      else if (steps - (float)value <= -0.5f)
        --value;
      value += zero_point;
    } else if (steps >= far) {
      value = 127;
    } else if (steps <= -far) {
      value = -128;
    }
    *output++ = (int8_t)retort_clamp(value, -128, 127);
  }
}
#endif
