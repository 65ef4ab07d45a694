#ifndef RETORT_POOL
#define RETORT_POOL
typedef struct {
  uint16_t input_height, input_width, channels, output_width;
  uint16_t filter_height, filter_width;
  uint16_t stride_height, stride_width;
  int16_t pad_top, pad_left;
  int16_t minimum, maximum;
} retort_pool;

/* The part of a window that lies within the image. */
typedef struct {
  int32_t top, bottom, left, right;
} retort_region;
RETORT_INLINE retort_region retort_pool_region(const retort_pool *pool, int32_t row, int32_t column) {
  const int32_t y = row * pool->stride_height - pool->pad_top, x = column * pool->stride_width - pool->pad_left;
  retort_region region;
  region.top = y > 0 ? y : 0;
  region.left = x > 0 ? x : 0;
  region.bottom = y + pool->filter_height < pool->input_height ? y + pool->filter_height : pool->input_height;
  region.right = x + pool->filter_width < pool->input_width ? x + pool->filter_width : pool->input_width;
  return region;
}
#endif
