#ifndef RETORT_LAYER
#define RETORT_LAYER
/* What the kernels of convolutions and dense layers share. */
typedef struct {
  int32_t bias;       /* less the input's zero point times the sum of the filter's weights */
  int32_t multiplier; /* mantissa */
  int32_t shift;      /* exponent: a negative one shifts to the right */
} retort_channel;

typedef struct {
  const int8_t *weights;
  const retort_channel *channels; /* of the output */
  int16_t input_zero_point;
  int16_t output_zero_point;
  int16_t minimum;
  int16_t maximum;
  uint8_t narrow; /* 1: sums stay below 2^30, and all shifts lie between -22 and -1 */
} retort_layer;

/* A sum to an output value. In narrow layers both roundings need no branch: (2 zero point + 1) * 2^(right - 1) is a
 * half and the zero point. */
RETORT_INLINE int8_t retort_requantized(const retort_layer *layer, const retort_channel *channel, int32_t sum) {
  int32_t value;
  if (layer->narrow) {
    const int32_t right = -channel->shift;
    value = retort_high_multiply_narrow(sum, channel->multiplier);
    value = (value + (value >> 31) + (2 * layer->output_zero_point + 1) * (1 << (right - 1))) >> right;
  } else {
    value = retort_multiply(sum, channel->multiplier, channel->shift);
    value = retort_wrap((uint32_t)value + (uint32_t)layer->output_zero_point);
  }
  return (int8_t)retort_clamp(value, layer->minimum, layer->maximum);
}
#endif
