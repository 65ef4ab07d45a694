// Images as people see them in a page.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.h"

namespace retort::data {

struct Thumbnail {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> png;  // grey or RGB; of data with other channels (sensors) the first one, grey
};

// As it is, or made smaller so that its longer side has `most_side` pixels.
Thumbnail thumbnail(std::span<const uint8_t> image, ImageShape shape, int most_side);

}  // namespace retort::data
