// The first convolution's kernel as a list of offsets into its planar input. Private to the kernels.
#pragma once

#include <cassert>
#include <cstddef>
#include <type_traits>

#include "engine/kernels/kernels.h"

namespace retort::engine::kernels {

// Offsets from the corner of an output pixel's window, in the weights' order.
struct Taps {
  size_t count = 0;
  size_t offsets[kFirstConvMaximumTaps];

  explicit Taps(const FirstConvShape& shape) {
    const auto row = static_cast<size_t>(shape.input.padded_width());
    const size_t plane = row * static_cast<size_t>(shape.input.padded_height());
    assert(shape.kernel_height * shape.kernel_width * shape.input.channels <= kFirstConvMaximumTaps);
    for (size_t ky = 0; ky < static_cast<size_t>(shape.kernel_height); ++ky)
      for (size_t kx = 0; kx < static_cast<size_t>(shape.kernel_width); ++kx)
        for (size_t c = 0; c < static_cast<size_t>(shape.input.channels); ++c)
          offsets[count++] = c * plane + ky * row + kx;
  }
};

// Up to R runs of neighbouring taps of one kernel row and channel: few addresses name many taps.
template <int R>
struct TapRuns {
  const float* x[R];  // under the first tap of the run for the first output pixel
  size_t tap[R];      // its number; the next ones of the run follow every `channels`
};

// Calls body(std::integral_constant<int, R>, std::integral_constant<int, K>, const TapRuns<R>&, bool first)
// for groups of R runs of K taps, at most ten taps a group, which together are all taps of the kernel once.
// x: the image.
template <class Body>
void for_each_tap_group(const FirstConvShape& shape, const float* x, const Body& body) {
  const auto channels = static_cast<size_t>(shape.input.channels);
  const auto row = static_cast<size_t>(shape.input.padded_width());
  const size_t plane = row * static_cast<size_t>(shape.input.padded_height());
  const size_t runs = channels * static_cast<size_t>(shape.kernel_height);
  const auto width = static_cast<size_t>(shape.kernel_width);
  bool first = true;
  const auto columns = [&]<int R, int K>(std::integral_constant<int, R> r, std::integral_constant<int, K> k,
                                         size_t& run, size_t kx) {
    for (; run + R <= runs; run += R) {
      TapRuns<R> group;
      for (size_t i = 0; i < R; ++i) {
        const size_t c = (run + i) % channels;
        const size_t ky = (run + i) / channels;
        group.x[i] = x + c * plane + ky * row + kx;
        group.tap[i] = (ky * width + kx) * channels + c;
      }
      body(r, k, group, first);
      first = false;
    }
  };
  const auto all_runs = [&]<int R, int K>(std::integral_constant<int, R> r, std::integral_constant<int, K> k,
                                          size_t& kx) {
    size_t run = 0;
    columns(r, k, run, kx);
    if constexpr (R > 1) columns(std::integral_constant<int, 1>(), k, run, kx);
    kx += K;
  };
  using std::integral_constant;
  for (size_t kx = 0; kx < width;) {
    switch (width - kx) {
      case 1:
        all_runs(integral_constant<int, 6>(), integral_constant<int, 1>(), kx);
        break;
      case 2:
        all_runs(integral_constant<int, 4>(), integral_constant<int, 2>(), kx);
        break;
      case 3:
        all_runs(integral_constant<int, 3>(), integral_constant<int, 3>(), kx);
        break;
      case 4:
        all_runs(integral_constant<int, 2>(), integral_constant<int, 4>(), kx);
        break;
      default:
        all_runs(integral_constant<int, 2>(), integral_constant<int, 5>(), kx);
    }
  }
}

}  // namespace retort::engine::kernels
