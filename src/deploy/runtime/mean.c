#ifndef RETORT_MEAN
#define RETORT_MEAN
typedef struct {
  int32_t multiplier; /* 1 / cells included */
  int8_t shift;
  int16_t input_zero_point, output_zero_point;
  uint32_t cells;
  uint16_t channels;
} retort_mean_layer;

RETORT_KERNEL void retort_mean(const retort_mean_layer *mean, const int8_t *input, int8_t *output) {
  int32_t c;
  uint32_t i;
  for (c = 0; c < mean->channels; ++c) {
    const int8_t *from = input + c;
    uint32_t sum = 0u - (uint32_t)mean->input_zero_point * mean->cells, value;
    for (i = mean->cells; i > 0; --i, from += mean->channels) sum += (uint32_t)*from;
    value = (uint32_t)retort_multiply(retort_wrap(sum), mean->multiplier, mean->shift);
    output[c] = (int8_t)retort_clamp(retort_wrap(value + (uint32_t)mean->output_zero_point), -128, 127);
  }
}
#endif
