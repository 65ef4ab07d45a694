#ifndef RETORT_MAX_POOL
#define RETORT_MAX_POOL
/* Rows [first, last) of the output, of which `output` points at the first. `input` points at row `input_row`. */
RETORT_KERNEL void retort_max_pool(const retort_pool *pool, const int8_t *input, int32_t input_row, int8_t *output,
                            int32_t first, int32_t last) {
  const int32_t channels = pool->channels, width = pool->input_width;
  int32_t row, column, c, x, y;
  for (row = first; row < last; ++row)
    for (column = 0; column < pool->output_width; ++column) {
      const retort_region region = retort_pool_region(pool, row, column);
      const int8_t *const corner = input + ((region.top - input_row) * width + region.left) * channels;
      c = 0;
#if RETORT_DSP
      for (; c + 4 <= channels; c += 4, output += 4) {
        uint32_t largest = 0x80808080u;
        for (y = 0; y < region.bottom - region.top; ++y) {
          const int8_t *from = corner + y * width * channels + c;
          for (x = region.left; x < region.right; ++x, from += channels) {
            uint32_t difference;
            __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2" : "+r"(largest), "=&r"(difference) : "r"(retort_load(from)));
          }
        }
        retort_store(output, largest);
        for (x = 0; x < 4; ++x) output[x] = (int8_t)retort_clamp(output[x], pool->minimum, pool->maximum);
      }
#endif
      for (; c < channels; ++c) {
        int32_t largest = -128;
        for (y = 0; y < region.bottom - region.top; ++y) {
          const int8_t *from = corner + y * width * channels + c;
          for (x = region.left; x < region.right; ++x, from += channels)
            if (*from > largest) largest = *from;
        }
        *output++ = (int8_t)retort_clamp(largest, pool->minimum, pool->maximum);
      }
    }
}
#endif
