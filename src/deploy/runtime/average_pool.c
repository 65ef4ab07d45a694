#ifndef RETORT_AVERAGE_POOL
#define RETORT_AVERAGE_POOL
/* Rows [first, last) of the output, of which `output` points at the first. `input` points at row `input_row`. */
RETORT_KERNEL void retort_average_pool(const retort_pool *pool, const int8_t *input, int32_t input_row, int8_t *output,
                                int32_t first, int32_t last) {
  const int32_t channels = pool->channels, width = pool->input_width;
  int32_t row, column, c, x, y;
  for (row = first; row < last; ++row)
    for (column = 0; column < pool->output_width; ++column) {
      const retort_region region = retort_pool_region(pool, row, column);
      const int32_t cells = (region.bottom - region.top) * (region.right - region.left);
      for (c = 0; c < channels; ++c) {
        int32_t sum = 0;
        for (y = region.top; y < region.bottom; ++y) {
          const int8_t *from = input + ((y - input_row) * width + region.left) * channels + c;
          for (x = region.left; x < region.right; ++x, from += channels) sum += *from;
        }
        sum = (sum > 0 ? sum + cells / 2 : sum - cells / 2) / cells;
        *output++ = (int8_t)retort_clamp(sum, pool->minimum, pool->maximum);
      }
    }
}
#endif
