#include "data/preprocess.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

namespace retort::data {
namespace {

// The source pixels [first, first + count) that make one output pixel; their weights sum to 1.
struct Taps {
  int first = 0;
  int count = 0;
  size_t weights = 0;  // offset into Filter::weights
};

struct Filter {
  std::vector<Taps> taps;
  std::vector<float> weights;
};

Filter make_filter(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double support = std::max(scale, 1.0);
  Filter filter;
  for (int o = 0; o < out; ++o) {
    const double centre = (o + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(std::floor(centre - support)));
    const int last = std::min(in, static_cast<int>(std::ceil(centre + support)));
    Taps taps{first, last - first, filter.weights.size()};
    double sum = 0;
    for (int i = first; i < last; ++i) sum += std::max(0.0, 1 - std::abs(i + 0.5 - centre) / support);
    for (int i = first; i < last; ++i)
      filter.weights.push_back(
          static_cast<float>(std::max(0.0, 1 - std::abs(i + 0.5 - centre) / support) / sum));
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

  std::vector<float> narrowed(static_cast<size_t>(from.height) * row);
  for (size_t y = 0; y < static_cast<size_t>(from.height); ++y) {
    for (size_t x = 0; x < across.taps.size(); ++x) {
      const Taps& taps = across.taps[x];
      for (size_t c = 0; c < channels; ++c) {
        float sum = 0;
        for (int i = 0; i < taps.count; ++i)
          sum +=
              across.weights[taps.weights + i] *
              static_cast<float>(image[y * source_row + static_cast<size_t>(taps.first + i) * channels + c]);
        narrowed[y * row + x * channels + c] = sum;
      }
    }
  }
  std::vector<float> sums(row);
  for (size_t y = 0; y < down.taps.size(); ++y) {
    const Taps& taps = down.taps[y];
    std::fill(sums.begin(), sums.end(), 0.0F);
    for (int i = 0; i < taps.count; ++i) {
      const float weight = down.weights[taps.weights + i];
      const float* source = narrowed.data() + static_cast<size_t>(taps.first + i) * row;
      for (size_t x = 0; x < row; ++x) sums[x] += weight * source[x];
    }
    for (size_t x = 0; x < row; ++x)
      out[y * row + x] = static_cast<uint8_t>(std::clamp(std::floor(sums[x] + 0.5F), 0.0F, 255.0F));
  }
}

}  // namespace retort::data
