/* From an image to the input of @name@, as training prepared it: grey by the BT.601 luma where the network is grey,
 * resized by a triangle filter, quantised. */
#ifndef @MACRO@_IMAGE_H
#define @MACRO@_IMAGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes @name@_input() from rows of bytes: 1 channel (grey) or 3 (red, green, blue) a pixel. Returns 0, or -1 where the
 * image is empty or so much larger than @MACRO@_INPUT_WIDTH x @MACRO@_INPUT_HEIGHT that sums would not fit in 32 bits (a
 * side of 900 for a network's 30). The source may have any other shape: it is stretched, not cropped. */
int @name@_image(const uint8_t *pixels, int32_t height, int32_t width, int32_t channels);

#ifdef __cplusplus
}
#endif
#endif
