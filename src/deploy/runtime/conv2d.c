#ifndef RETORT_CONV2D
#define RETORT_CONV2D
typedef struct {
  retort_layer layer; /* weights: output channel, row, column, input channel; a filter padded to a multiple of 4 */
  uint16_t input_height, input_width, input_channels;
  uint16_t output_width, output_channels;
  uint16_t filter_height, filter_width;
  uint16_t stride_height, stride_width;
  uint16_t dilation_height, dilation_width;
  int16_t pad_top, pad_left;
} retort_conv2d_layer;

/* Four output pixels are computed at once. What their windows see is laid out beside each other: four values of the
 * first pixel's window, four of the second's, and so on, as 16-bit numbers. */
enum { RETORT_PIXELS = 4 };

#if RETORT_DSP
/* Within each four values the order is 0, 2, 1, 3: that of sign-extending two bytes of a word at a time. */
enum { RETORT_SECOND = 2, RETORT_THIRD = 1 };

/* Lays out `count` values, a multiple of 4, of one window. */
RETORT_ASSEMBLY void retort_widen(const int8_t *from RETORT_ARGUMENT, int32_t count RETORT_ARGUMENT,
                                  int16_t *to RETORT_ARGUMENT) {
#define RETORT_WIDEN(four, at)      \
  "sxtb16 r8, " four "\n"           \
  "sxtb16 r9, " four ", ror #8\n"   \
  "strd r8, r9, [r2, #" at "]\n"
  __asm__ volatile(
      "push {r4-r9}\n"
      "subs r1, r1, #16\n"
      "blt 2f\n"
      "1:\n"
      "ldmia r0!, {r4-r7}\n" RETORT_WIDEN("r4", "0") RETORT_WIDEN("r5", "32") RETORT_WIDEN("r6", "64")
      RETORT_WIDEN("r7", "96")
      "add r2, r2, #128\n"
      "subs r1, r1, #16\n"
      "bge 1b\n"
      "2:\n"
      "adds r1, r1, #16\n"
      "beq 4f\n"
      "3:\n"
      "ldr r4, [r0], #4\n" RETORT_WIDEN("r4", "0")
      "add r2, r2, #32\n"
      "subs r1, r1, #4\n"
      "bne 3b\n"
      "4:\n"
      "pop {r4-r9}\n"
      "bx lr\n");
#undef RETORT_WIDEN
}

/* All filters of a narrow layer on four windows. */
typedef struct {
  const int16_t *windows;
  int32_t quads; /* fours of weights in a filter */
  const retort_channel *channels, *channels_end;
  int8_t *output;
  int32_t stride; /* bytes from one pixel's output to the next's */
  int32_t minimum, maximum;
  int32_t zero_point; /* twice the output's, plus 1 */
  int32_t count;      /* of pixels that are stored */
} retort_block;

/* Changes `block`. */
RETORT_ASSEMBLY void retort_apply(const int8_t *weights RETORT_ARGUMENT, retort_block *block RETORT_ARGUMENT) {
#define RETORT_QUAD            \
  "ldr lr, [r0], #4\n"         \
  "ldmia r1!, {r8-r11}\n"      \
  "sxtb16 r12, lr, ror #8\n"   \
  "sxtb16 lr, lr\n"            \
  "smlad r4, lr, r8, r4\n"     \
  "smlad r4, r12, r9, r4\n"    \
  "smlad r5, lr, r10, r5\n"    \
  "smlad r5, r12, r11, r5\n"   \
  "ldmia r1!, {r8-r11}\n"      \
  "smlad r6, lr, r8, r6\n"     \
  "smlad r6, r12, r9, r6\n"    \
  "smlad r7, lr, r10, r7\n"    \
  "smlad r7, r12, r11, r7\n"
#define RETORT_SCALE(sum)                        \
  "lsl " sum ", " sum ", #1\n"                   \
  "smmulr " sum ", " sum ", r9\n"                \
  "add " sum ", " sum ", " sum ", asr #31\n"     \
  "add " sum ", " sum ", r8\n"                   \
  "asr " sum ", " sum ", r10\n"                  \
  "ssat " sum ", #8, " sum "\n"
#define RETORT_LIMIT(value)                            \
  "cmp " value ", r1\nit lt\nmovlt " value ", r1\n"    \
  "cmp " value ", r2\nit gt\nmovgt " value ", r2\n"
  __asm__ volatile(
      "push {r4-r11, lr}\n"
      "mov r3, r1\n"
      "1:\n"                   /* a filter */
      "ldrd r1, r2, [r3]\n"    /* windows, quads */
      "ldr r12, [r3, #8]\n"    /* channels */
      "ldr r4, [r12]\n"
      "mov r5, r4\n"
      "mov r6, r4\n"
      "mov r7, r4\n"
      "subs r2, r2, #4\n"
      "blt 3f\n"
      "2:\n" RETORT_QUAD RETORT_QUAD RETORT_QUAD RETORT_QUAD
      "subs r2, r2, #4\n"
      "bge 2b\n"
      "3:\n"
      "adds r2, r2, #4\n"
      "beq 5f\n"
      "4:\n" RETORT_QUAD
      "subs r2, r2, #1\n"
      "bne 4b\n"
      "5:\n"
      "ldr r12, [r3, #8]\n"
      "ldmia r12!, {r8, r9, r10}\n" /* bias, multiplier, shift */
      "str r12, [r3, #8]\n"
      "mvn r11, r10\n"              /* right - 1 */
      "ldr r8, [r3, #32]\n"
      "lsl r8, r8, r11\n"           /* the offset */
      "rsb r10, r10, #0\n"          /* right */
      RETORT_SCALE("r4") RETORT_SCALE("r5") RETORT_SCALE("r6") RETORT_SCALE("r7")
      "ldrd r1, r2, [r3, #24]\n"    /* minimum, maximum */
      "cmn r1, #128\n"
      "it eq\n"
      "cmpeq r2, #127\n"
      "beq 6f\n" RETORT_LIMIT("r4") RETORT_LIMIT("r5") RETORT_LIMIT("r6") RETORT_LIMIT("r7")
      "6:\n"
      "ldrd r11, lr, [r3, #16]\n"   /* output, stride */
      "ldr r10, [r3, #36]\n"        /* count */
      "add r9, r11, #1\n"
      "str r9, [r3, #16]\n"
      "strb r4, [r11]\n"
      "cmp r10, #4\n"
      "bne 7f\n"
      "strb r5, [r11, lr]\n"
      "strb r6, [r11, lr, lsl #1]\n"
      "add r11, r11, lr, lsl #1\n"
      "strb r7, [r11, lr]\n"
      "b 8f\n"
      "7:\n"
      "cmp r10, #2\n"
      "it ge\n"
      "strbge r5, [r11, lr]\n"
      "it gt\n"
      "strbgt r6, [r11, lr, lsl #1]\n"
      "8:\n"
      "ldr r10, [r3, #12]\n"
      "cmp r10, r12\n"
      "bne 1b\n"
      "pop {r4-r11, pc}\n");
#undef RETORT_QUAD
#undef RETORT_SCALE
#undef RETORT_LIMIT
}
#else
enum { RETORT_SECOND = 1, RETORT_THIRD = 2 };

RETORT_INLINE void retort_widen(const int8_t *from, int32_t count, int16_t *to) {
  for (; count > 0; count -= 4, from += 4, to += 4 * RETORT_PIXELS) {
    to[0] = from[0];
    to[1] = from[1];
    to[2] = from[2];
    to[3] = from[3];
  }
}
#endif

/* The same for any layer, in plain C. */
RETORT_KERNEL void retort_apply_plain(const retort_layer *layer, int32_t channels, int32_t quads, const int16_t *windows,
                               int8_t *output, int32_t count) {
  const int8_t *weights = layer->weights;
  int32_t channel, p;
  for (channel = 0; channel < channels; ++channel) {
    int32_t sums[RETORT_PIXELS];
    const int16_t *window = windows, *const end = windows + 4 * RETORT_PIXELS * quads;
    uint32_t a, b, c, d;
    a = b = c = d = (uint32_t)layer->channels[channel].bias;
    for (; window < end; weights += 4, window += 4 * RETORT_PIXELS) {
      const int32_t w = weights[0], x = weights[RETORT_SECOND], y = weights[RETORT_THIRD], z = weights[3];
      a += (uint32_t)(w * window[0] + x * window[1] + y * window[2] + z * window[3]);
      b += (uint32_t)(w * window[4] + x * window[5] + y * window[6] + z * window[7]);
      c += (uint32_t)(w * window[8] + x * window[9] + y * window[10] + z * window[11]);
      d += (uint32_t)(w * window[12] + x * window[13] + y * window[14] + z * window[15]);
    }
    sums[0] = retort_wrap(a);
    sums[1] = retort_wrap(b);
    sums[2] = retort_wrap(c);
    sums[3] = retort_wrap(d);
    for (p = 0; p < count; ++p)
      output[p * channels + channel] = retort_requantized(layer, layer->channels + channel, sums[p]);
  }
}

RETORT_KERNEL void retort_fill(int32_t value, int32_t count, int16_t *to) {
  for (; count > 0; count -= 4, to += 4 * RETORT_PIXELS) {
    to[0] = (int16_t)value;
    to[1] = (int16_t)value;
    to[2] = (int16_t)value;
    to[3] = (int16_t)value;
  }
}

/* Lays out the window of output pixel (row, column). `bytes` has room for one window, to gather it in where the
 * channels are no multiple of 4. */
RETORT_KERNEL void retort_window(const retort_conv2d_layer *conv, const int8_t *input, int32_t row, int32_t column,
                          int16_t *window, int8_t *bytes) {
  const int32_t channels = conv->input_channels, width = conv->input_width, height = conv->input_height;
  const int32_t filter_width = conv->filter_width, zero_point = conv->layer.input_zero_point;
  const int32_t x0 = column * conv->stride_width - conv->pad_left;
  const int32_t y0 = row * conv->stride_height - conv->pad_top;
  const int32_t inside = conv->dilation_width == 1 && x0 >= 0 && x0 + filter_width <= width;
  int32_t ky, kx, c;
  if (channels % 4 == 0) {
    const int32_t step = channels * RETORT_PIXELS; /* of the layout, a cell */
    for (ky = 0; ky < conv->filter_height; ++ky) {
      const int32_t y = y0 + ky * conv->dilation_height;
      if (y < 0 || y >= height) {
        retort_fill(zero_point, filter_width * channels, window);
        window += filter_width * step;
      } else if (inside) {
        retort_widen(input + (y * width + x0) * channels, filter_width * channels, window);
        window += filter_width * step;
      } else {
        for (kx = 0; kx < filter_width; ++kx, window += step) {
          const int32_t x = x0 + kx * conv->dilation_width;
          if (x < 0 || x >= width)
            retort_fill(zero_point, channels, window);
          else
            retort_widen(input + (y * width + x) * channels, channels, window);
        }
      }
    }
  } else {
    int8_t *to = bytes;
    for (ky = 0; ky < conv->filter_height; ++ky) {
      const int32_t y = y0 + ky * conv->dilation_height;
      if (inside && y >= 0 && y < height) {
        const int8_t *line = input + (y * width + x0) * channels;
        for (c = filter_width * channels; c > 0; --c) *to++ = *line++;
        continue;
      }
      for (kx = 0; kx < filter_width; ++kx) {
        const int32_t x = x0 + kx * conv->dilation_width;
        const int32_t valid = y >= 0 && y < height && x >= 0 && x < width;
        for (c = 0; c < channels; ++c) *to++ = valid ? input[(y * width + x) * channels + c] : (int8_t)zero_point;
      }
    }
    while ((to - bytes) % 4 != 0) *to++ = 0; /* the weights there are 0 */
    retort_widen(bytes, (int32_t)(to - bytes), window);
  }
}

/* Rows [first, last) of the output, of which `output` points at the first. `scratch`: windows of four pixels, then
 * the bytes of one. The pixels' windows are read before any of the four is written. */
RETORT_KERNEL void retort_conv2d(const retort_conv2d_layer *conv, const int8_t *input, int8_t *output, int32_t first,
                          int32_t last, void *scratch) {
  const int32_t channels = conv->output_channels;
  const int32_t quads = (conv->filter_height * conv->filter_width * conv->input_channels + 3) / 4;
  int16_t *const windows = (int16_t *)scratch;
  int8_t *const bytes = (int8_t *)(windows + 4 * RETORT_PIXELS * quads);
  int32_t pixels = (last - first) * conv->output_width;
  int32_t row = first, column = 0, p;
  for (; pixels > 0; pixels -= RETORT_PIXELS, output += RETORT_PIXELS * channels) {
    const int32_t count = pixels < RETORT_PIXELS ? pixels : RETORT_PIXELS;
    for (p = 0; p < count; ++p) {
      retort_window(conv, input, row, column, windows + 4 * p, bytes);
      if (++column == conv->output_width) {
        column = 0;
        ++row;
      }
    }
#if RETORT_DSP
    if (conv->layer.narrow) {
      retort_block block;
      block.windows = windows;
      block.quads = quads;
      block.channels = conv->layer.channels;
      block.channels_end = conv->layer.channels + channels;
      block.output = output;
      block.stride = channels;
      block.minimum = conv->layer.minimum;
      block.maximum = conv->layer.maximum;
      block.zero_point = 2 * conv->layer.output_zero_point + 1;
      block.count = count;
      retort_apply(conv->layer.weights, &block);
      continue;
    }
#endif
    retort_apply_plain(&conv->layer, channels, quads, windows, output, count);
  }
}
#endif
