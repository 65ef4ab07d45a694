// The first convolution's kernel as a list of offsets into its planar input. Private to the kernels.
#pragma once

#include <cassert>
#include <cstddef>

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

}  // namespace retort::engine::kernels
