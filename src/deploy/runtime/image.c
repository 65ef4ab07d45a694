/* Images as training saw them: made grey or not, then resized, each step in whole bytes. */
#include "@name@_image.h"

#include "@name@.h"

enum { HEIGHT = @MACRO@_INPUT_HEIGHT, WIDTH = @MACRO@_INPUT_WIDTH, CHANNELS = @MACRO@_INPUT_CHANNELS };
@byte_table@
/* The weight of source pixel i for output pixel o: a triangle, as wide as the scale when shrinking. */
static uint32_t weight_of(int32_t i, int32_t o, int32_t in, int32_t out) {
  const int32_t full = 2 * (in > out ? in : out);
  const int32_t distance = (2 * i + 1) * out - (2 * o + 1) * in;
  const int32_t weight = full - (distance < 0 ? -distance : distance);
  return weight > 0 ? (uint32_t)weight : 0u;
}

static uint32_t sum_of_weights(int32_t o, int32_t in, int32_t out, int32_t *first, int32_t *end) {
  uint32_t sum = 0;
  int32_t i;
  *first = -1;
  *end = in;
  /* Nothing before this has a weight. */
  i = ((2 * o + 1) * in - 2 * (in > out ? in : out)) / (2 * out) - 1;
  for (i = i > 0 ? i : 0; i < in; ++i) {
    const uint32_t weight = weight_of(i, o, in, out);
    if (weight == 0) {
      if (*first < 0) continue;
      *end = i;
      break;
    }
    if (*first < 0) *first = i;
    sum += weight;
  }
  return sum;
}

/* Channel c of a source pixel. */
static uint32_t pixel_of(const uint8_t *pixel, int32_t channels, int32_t c) {
  if (channels == CHANNELS) return pixel[c];
  if (channels == 1) return pixel[0];
  return (2989u * pixel[0] + 5870u * pixel[1] + 1140u * pixel[2] + 5000u) / 10000u;
}

int @name@_image(const uint8_t *pixels, int32_t height, int32_t width, int32_t channels) {
  static uint32_t sums[WIDTH * CHANNELS];
  @type@ *input = @name@_input();
  int32_t x, y, sy, sx, c, top, bottom, left, right;
  if (height < 1 || width < 1 || height > 4096 || width > 4096 || (channels != 1 && channels != 3)) return -1;
  /* So that all sums fit in 32 bits. */
  if (2 * height * height / HEIGHT > 60000 || 2 * width * width / WIDTH > 60000) return -1;
  for (y = 0; y < HEIGHT; ++y) {
    const uint32_t down = sum_of_weights(y, height, HEIGHT, &top, &bottom);
    for (x = 0; x < WIDTH * CHANNELS; ++x) sums[x] = 0;
    for (sy = top; sy < bottom; ++sy) {
      const uint8_t *line = pixels + (uint32_t)sy * (uint32_t)width * (uint32_t)channels;
      const uint32_t weight = weight_of(sy, y, height, HEIGHT);
      for (x = 0; x < WIDTH; ++x) {
        const uint32_t across = sum_of_weights(x, width, WIDTH, &left, &right);
        for (c = 0; c < CHANNELS; ++c) {
          uint32_t sum = 0;
          for (sx = left; sx < right; ++sx)
            sum += weight_of(sx, x, width, WIDTH) * pixel_of(line + sx * channels, channels, c);
          sums[x * CHANNELS + c] += weight * ((256u * sum + across / 2u) / across);
        }
      }
    }
    for (x = 0; x < WIDTH * CHANNELS; ++x) {
      const uint32_t byte = (uint32_t)(((uint64_t)sums[x] + 128u * (uint64_t)down) / (256u * (uint64_t)down));
      *input++ = @quantized@;
    }
  }
  return 0;
}
