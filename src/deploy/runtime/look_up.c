#ifndef RETORT_LOOK_UP
#define RETORT_LOOK_UP
/* Entry v + 128 of `table` is the output for v. `output` may be `input`. */
RETORT_KERNEL void retort_look_up(const int8_t *table, const int8_t *input, int8_t *output, int32_t count) {
  for (; count > 0; --count) *output++ = table[*input++ + 128];
}
#endif
