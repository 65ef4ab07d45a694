#ifndef RETORT_FULLY_CONNECTED
#define RETORT_FULLY_CONNECTED
typedef struct {
  retort_layer layer; /* weights: output, input; the inputs padded to a multiple of 4 */
  uint16_t rows, inputs, outputs;
} retort_fully_connected_layer;

RETORT_KERNEL void retort_fully_connected(const retort_fully_connected_layer *dense, const int8_t *input, int8_t *output) {
  const int32_t inputs = dense->inputs, outputs = dense->outputs, quads = (inputs + 3) / 4;
  int32_t row, o, i;
  for (row = 0; row < dense->rows; ++row, input += inputs, output += outputs) {
    const int8_t *weights = dense->layer.weights;
    for (o = 0; o < outputs; ++o, weights += 4 * quads) {
#if RETORT_DSP
      /* Two outputs at once; of an odd one at the end the second is not kept. */
      const int8_t *first = weights, *second = o + 1 < outputs ? weights + 4 * quads : weights;
      const int8_t *x = input;
      int32_t a = dense->layer.channels[o].bias, b = o + 1 < outputs ? dense->layer.channels[o + 1].bias : 0;
      for (i = quads; i > 0; --i, x += 4, first += 4, second += 4) {
        const uint32_t four = retort_load(x), w = retort_load(first), v = retort_load(second);
        const uint32_t even = retort_even_bytes(four), odd = retort_odd_bytes(four);
        a = retort_multiply_pairs(retort_even_bytes(w), even, a);
        b = retort_multiply_pairs(retort_even_bytes(v), even, b);
        a = retort_multiply_pairs(retort_odd_bytes(w), odd, a);
        b = retort_multiply_pairs(retort_odd_bytes(v), odd, b);
      }
      output[o] = retort_requantized(&dense->layer, dense->layer.channels + o, a);
      if (o + 1 < outputs) {
        ++o;
        weights += 4 * quads;
        output[o] = retort_requantized(&dense->layer, dense->layer.channels + o, b);
      }
#else
      uint32_t sum = (uint32_t)dense->layer.channels[o].bias;
      for (i = 0; i < inputs; ++i) sum += (uint32_t)(weights[i] * input[i]);
      output[o] = retort_requantized(&dense->layer, dense->layer.channels + o, retort_wrap(sum));
#endif
    }
  }
}
#endif
