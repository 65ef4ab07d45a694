// What happens to an image between its file and the network, in this order: decoded to bytes, made grey,
// resized. Each step ends in bytes, so that code generated for a device can repeat it exactly.
#pragma once

#include <cstdint>
#include <span>

#include "data/dataset.h"

namespace retort::data {

// grey = 0.2989 R + 0.5870 G + 0.1140 B (the notebook's weights, the ITU-R BT.601 luma), rounded to the
// nearest byte; computed in integers as (2989 R + 5870 G + 1140 B + 5000) div 10000. `rgb` has three bytes a
// pixel; `gray` may lie at its beginning.
void to_gray(std::span<const uint8_t> rgb, std::span<uint8_t> gray);

// Separable triangle filter, widened by the scale when shrinking so that every source pixel counts
// (antialiasing). Along each axis, with scale s = in/out and support r = max(s, 1), output o is Σ w(i)·x(i) /
// Σ w(i) over the source pixels i inside the image, w(i) = max(0, 1 − |i + ½ − c| / r), c = (o + ½)·s.
// In integers, so that a device gives the same bytes (deploy/runtime/image.c): the weights are 2·max(in, out)
// times these, columns are filtered first to 256ths of a level, rounded, then rows, rounded again, halves up.
// The same size gives the same bytes. `from` and `to` have the same channels. Throws Error(Usage) where memory is not left for
// the columns of as many rows as make one.
void resize(std::span<const uint8_t> image, ImageShape from, std::span<uint8_t> out, ImageShape to);

}  // namespace retort::data
