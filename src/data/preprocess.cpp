#include "data/preprocess.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <vector>

#include "base/sizes.h"

namespace retort::data {
namespace {

// The source pixels [first, first + count) that make one output pixel.
struct Taps {
  int first = 0;
  int count = 0;
  size_t weights = 0;  // offset into Filter::weights
  uint64_t sum = 0;    // of the weights
};

struct Filter {
  std::vector<Taps> taps;
  std::vector<uint32_t> weights;
};

Filter make_filter(int in, int out) {
  const int64_t full = 2 * int64_t{std::max(in, out)};
  Filter filter;
  for (int o = 0; o < out; ++o) {
    Taps taps{.first = -1, .count = 0, .weights = filter.weights.size(), .sum = 0};
    const int64_t centre = (2 * int64_t{o} + 1) * in;
    // |(2i + 1) out − centre| < full
    const auto first = static_cast<int>(std::max<int64_t>((centre - full) / (2 * int64_t{out}) - 1, 0));
    for (int i = first; i < in; ++i) {
      const int64_t weight = full - std::abs((2 * int64_t{i} + 1) * out - centre);
      if (weight <= 0) {
        if (taps.count > 0) break;
        continue;
      }
      if (taps.count == 0) taps.first = i;
      ++taps.count;
      taps.sum += static_cast<uint64_t>(weight);
      filter.weights.push_back(static_cast<uint32_t>(weight));
    }
    filter.taps.push_back(taps);
  }
  return filter;
}

}  // namespace

void to_gray(std::span<const uint8_t> rgb, std::span<uint8_t> gray) {
  assert(rgb.size() == 3 * gray.size());
  for (size_t i = 0; i < gray.size(); ++i)
    gray[i] = static_cast<uint8_t>(
        (2989U * rgb[3 * i] + 5870U * rgb[3 * i + 1] + 1140U * rgb[3 * i + 2] + 5000U) / 10000U);
}

void resize(std::span<const uint8_t> image, ImageShape from, std::span<uint8_t> out, ImageShape to) {
  assert(from.channels == to.channels && image.size() == from.bytes() && out.size() == to.bytes());
  if (from == to) {
    std::copy(image.begin(), image.end(), out.begin());
    return;
  }
  const Filter across = make_filter(from.width, to.width);
  const Filter down = make_filter(from.height, to.height);
  const auto channels = static_cast<size_t>(to.channels);
  const size_t source_row = static_cast<size_t>(from.width) * channels;
  const size_t row = static_cast<size_t>(to.width) * channels;

  // Of the narrowed rows only those that one row of the output is made of: a picture of strangers may be a million rows high.
  const auto kept = static_cast<size_t>(std::ranges::max(down.taps, {}, &Taps::count).count);
  require_memory(saturating_product({kept, row, sizeof(uint16_t)}), "resizing an image");
  std::vector<uint16_t> narrowed(kept * row);
  const auto narrow = [&](size_t y) {
    uint16_t* narrow_row = narrowed.data() + y % kept * row;
    for (size_t x = 0; x < across.taps.size(); ++x) {
      const Taps& taps = across.taps[x];
      for (size_t c = 0; c < channels; ++c) {
        uint64_t sum = 0;
        for (int i = 0; i < taps.count; ++i)
          sum += uint64_t{across.weights[taps.weights + i]} *
                 image[y * source_row + static_cast<size_t>(taps.first + i) * channels + c];
        narrow_row[x * channels + c] = static_cast<uint16_t>((256 * sum + taps.sum / 2) / taps.sum);
      }
    }
  };
  size_t next = 0;
  std::vector<uint64_t> sums(row);
  for (size_t y = 0; y < down.taps.size(); ++y) {
    const Taps& taps = down.taps[y];
    for (; next < static_cast<size_t>(taps.first + taps.count); ++next) narrow(next);
    std::fill(sums.begin(), sums.end(), 0);
    for (int i = 0; i < taps.count; ++i) {
      const uint64_t weight = down.weights[taps.weights + i];
      const uint16_t* source = narrowed.data() + static_cast<size_t>(taps.first + i) % kept * row;
      for (size_t x = 0; x < row; ++x) sums[x] += weight * source[x];
    }
    for (size_t x = 0; x < row; ++x)
      out[y * row + x] = static_cast<uint8_t>((sums[x] + 128 * taps.sum) / (256 * taps.sum));
  }
}

}  // namespace retort::data
