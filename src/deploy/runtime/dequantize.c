#ifndef RETORT_DEQUANTIZE
#define RETORT_DEQUANTIZE
RETORT_KERNEL void retort_dequantize(float scale, int32_t zero_point, const int8_t *input, float *output, int32_t count) {
  for (; count > 0; --count) *output++ = (float)((double)scale * (*input++ - zero_point));
}
#endif
