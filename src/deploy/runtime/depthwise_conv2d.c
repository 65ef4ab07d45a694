#ifndef RETORT_DEPTHWISE_CONV2D
#define RETORT_DEPTHWISE_CONV2D
typedef struct {
  retort_layer layer; /* weights: output channel, row, column */
  uint16_t input_height, input_width, input_channels;
  uint16_t output_height, output_width, depth_multiplier;
  uint16_t filter_height, filter_width;
  uint16_t stride_height, stride_width;
  uint16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
} retort_depthwise_conv2d_layer;

#if RETORT_DSP
/* The filter in pairs, each row padded to a multiple of 2 by a zero. */
RETORT_INLINE void retort_filter_pairs(const int8_t *weights, int32_t rows, int32_t columns, int16_t *pairs) {
  int32_t y, x;
  for (y = 0; y < rows; ++y)
    for (x = 0; x < (columns + 1) / 2 * 2; ++x) *pairs++ = x < columns ? *weights++ : 0;
}

/* A plane's outputs with a filter of 3 x 3, for a narrow layer. */
typedef struct {
  int32_t bias;
  int32_t stride; /* bytes from one window to the next, less 4 */
  int32_t multiplier, offset, right;
  int32_t step; /* bytes from one output to the next */
  int32_t minimum, maximum;
  int32_t filter[6]; /* pairs: columns 0 and 1 of the three rows, then column 2 of each */
  int32_t rows, columns;
  int32_t next; /* bytes from the end of a row of windows to the next row */
} retort_3x3;

/* `line`: bytes from one line of the plane to the next. Changes `work`. */
RETORT_ASSEMBLY void retort_apply_3x3(const int16_t *window RETORT_ARGUMENT, int32_t line RETORT_ARGUMENT,
                                      int8_t *output RETORT_ARGUMENT, retort_3x3 *work RETORT_ARGUMENT) {
#define RETORT_3X3(limit)           \
  "ldr r11, [r0]\n"                 \
  "ldr lr, [r0, r1]\n"              \
  "ldr r10, [r3]\n"                 \
  "smlad r10, r4, r11, r10\n"       \
  "ldr r11, [r0, r1, lsl #1]\n"     \
  "smlad r10, r5, lr, r10\n"        \
  "ldr lr, [r0, #4]!\n"             \
  "smlad r10, r6, r11, r10\n"       \
  "ldr r11, [r0, r1]\n"             \
  "smlad r10, r7, lr, r10\n"        \
  "ldr lr, [r0, r1, lsl #1]\n"      \
  "smlad r10, r8, r11, r10\n"       \
  "smlad r10, r9, lr, r10\n"        \
  "ldrd r11, lr, [r3, #8]\n"        \
  "lsl r10, r10, #1\n"              \
  "smmulr r10, r10, r11\n"          \
  "ldr r11, [r3, #16]\n"            \
  "add r10, r10, r10, asr #31\n"    \
  "add r10, r10, lr\n"              \
  "asr r10, r10, r11\n"             \
  "ssat r10, #8, r10\n" limit       \
  "ldr lr, [r3, #4]\n"              \
  "ldr r11, [r3, #20]\n"            \
  "add r0, r0, lr\n"                \
  "strb r10, [r12]\n"               \
  "add r12, r12, r11\n"             \
  "subs r2, r2, #1\n"
#define RETORT_NEXT_ROW      \
  "ldrd r11, lr, [r3, #60]\n" /* columns, next */ \
  "add r0, r0, lr\n"         \
  "mov r2, r11\n"            \
  "ldr r11, [r3, #56]\n"     \
  "subs r11, r11, #1\n"      \
  "str r11, [r3, #56]\n"
  __asm__ volatile(
      "push {r4-r11, lr}\n"
      "mov r12, r2\n"
      "ldr r2, [r3, #60]\n"
      "add lr, r3, #32\n"
      "ldm lr, {r4-r9}\n"
      "ldrd r11, lr, [r3, #24]\n"
      "cmn r11, #128\n"
      "it eq\n"
      "cmpeq lr, #127\n"
      "bne 2f\n"
      "1:\n" RETORT_3X3("")
      "bne 1b\n" RETORT_NEXT_ROW
      "bne 1b\n"
      "pop {r4-r11, pc}\n"
      "2:\n" RETORT_3X3("ldrd r11, lr, [r3, #24]\ncmp r10, r11\nit lt\nmovlt r10, r11\n"
                        "cmp r10, lr\nit gt\nmovgt r10, lr\n")
      "bne 2b\n" RETORT_NEXT_ROW
      "bne 2b\n"
      "pop {r4-r11, pc}\n");
#undef RETORT_3X3
#undef RETORT_NEXT_ROW
}
#endif

/* The sum of one window. `filter`: pairs for the DSP variant. */
RETORT_INLINE int32_t retort_depthwise_sum(const retort_depthwise_conv2d_layer *conv, const int16_t *window, int32_t row,
                                           const int8_t *weights, const int16_t *filter, int32_t bias) {
  const int32_t filter_width = conv->filter_width, dilation = conv->dilation_width;
  uint32_t sum = (uint32_t)bias;
  int32_t ky, kx;
#if RETORT_DSP
  if (dilation == 1) {
    for (ky = conv->filter_height; ky > 0; --ky, window += row)
      for (kx = 0; kx < filter_width; kx += 2, filter += 2)
        bias = retort_multiply_pairs(retort_load(filter), retort_load(window + kx), bias);
    return bias;
  }
#else
  (void)filter;
#endif
  for (ky = conv->filter_height; ky > 0; --ky, window += row)
    for (kx = 0; kx < filter_width; ++kx) sum += (uint32_t)(*weights++ * window[kx * dilation]);
  return retort_wrap(sum);
}

/* One channel at a time is copied out as a plane of 16-bit numbers with its border; its output may then take its
 * place. `scratch`: the plane, rows padded to a multiple of 2, then (for the DSP variant) the filter likewise. */
RETORT_KERNEL void retort_depthwise_conv2d(const retort_depthwise_conv2d_layer *conv, const int8_t *input, int8_t *output,
                                    void *scratch) {
  const int32_t channels = conv->input_channels, outputs = channels * conv->depth_multiplier;
  const int32_t filter_width = conv->filter_width, filter_height = conv->filter_height;
  const int32_t height = (conv->output_height - 1) * conv->stride_height + (filter_height - 1) * conv->dilation_height + 1;
  const int32_t used_width = (conv->output_width - 1) * conv->stride_width + (filter_width - 1) * conv->dilation_width + 1;
  const int32_t width = (used_width + 2) / 2 * 2; /* a pair may reach one beyond */
  const int32_t row = conv->dilation_height * width;
  int16_t *const plane = (int16_t *)scratch;
  int16_t *const filter = plane + height * width;
  /* What the image covers of the plane. */
  const int32_t top = conv->pad_top, left = conv->pad_left;
  const int32_t bottom = top + conv->input_height < height ? top + conv->input_height : height;
  const int32_t right = left + conv->input_width < used_width ? left + conv->input_width : used_width;
  int32_t channel, i, x, y, m;
#if RETORT_DSP
  const int32_t quick = filter_height == 3 && filter_width == 3 && conv->dilation_width == 1 && conv->layer.narrow;
  retort_3x3 work;
  work.stride = 2 * conv->stride_width - 4;
  work.step = outputs;
  work.columns = conv->output_width;
  work.next = 2 * (conv->stride_height * width - conv->output_width * conv->stride_width);
  work.minimum = conv->layer.minimum;
  work.maximum = conv->layer.maximum;
#endif
  for (i = 0; i < height * width; ++i) plane[i] = conv->layer.input_zero_point;
  for (channel = 0; channel < channels; ++channel) {
    const int8_t *line = input + channel;
    for (y = top; y < bottom; ++y, line += conv->input_width * channels) {
      const int8_t *from = line;
      int16_t *to = plane + y * width + left;
      for (x = right - left; x > 0; --x, from += channels) *to++ = *from;
    }
    for (m = 0; m < conv->depth_multiplier; ++m) {
      const int32_t o = channel * conv->depth_multiplier + m;
      const int8_t *const weights = conv->layer.weights + o * filter_height * filter_width;
      const retort_channel *const scale = conv->layer.channels + o;
      const int16_t *windows = plane;
      int8_t *to = output + o;
#if RETORT_DSP
      retort_filter_pairs(weights, filter_height, filter_width, filter);
      if (quick) {
        work.bias = scale->bias;
        work.multiplier = scale->multiplier;
        work.right = -scale->shift;
        work.offset = (2 * conv->layer.output_zero_point + 1) * (1 << (work.right - 1));
        work.rows = conv->output_height;
        for (i = 0; i < 6; ++i) work.filter[i] = (int32_t)retort_load(filter + 2 * (i < 3 ? 2 * i : 2 * i - 5));
        retort_apply_3x3(plane, 2 * row, to, &work);
        continue;
      }
#endif
      for (y = conv->output_height; y > 0; --y, windows += conv->stride_height * width) {
        const int16_t *window = windows;
        for (x = conv->output_width; x > 0; --x, window += conv->stride_width, to += outputs) {
          const int32_t sum = retort_depthwise_sum(conv, window, row, weights, filter, scale->bias);
          *to = retort_requantized(&conv->layer, scale, sum);
        }
      }
    }
  }
}
#endif
