#include "data/thumbnail.h"

#include <algorithm>
#include <utility>

#include "data/image_file.h"
#include "data/preprocess.h"

namespace retort::data {

Thumbnail thumbnail(std::span<const uint8_t> image, ImageShape shape, int most_side) {
  std::vector<uint8_t> pixels(image.begin(), image.end());
  if (shape.channels != 1 && shape.channels != 3) {
    std::vector<uint8_t> first(pixels.size() / static_cast<size_t>(shape.channels));
    for (size_t p = 0; p < first.size(); ++p) first[p] = pixels[p * static_cast<size_t>(shape.channels)];
    pixels = std::move(first);
    shape.channels = 1;
  }
  if (const int side = std::max(shape.height, shape.width); side > most_side) {
    const ImageShape small = {std::max(1, shape.height * most_side / side),
                              std::max(1, shape.width * most_side / side), shape.channels};
    std::vector<uint8_t> resized(small.bytes());
    resize(pixels, shape, resized, small);
    pixels = std::move(resized);
    shape = small;
  }
  return {shape.height, shape.width, png_file(pixels, shape)};
}

}  // namespace retort::data
