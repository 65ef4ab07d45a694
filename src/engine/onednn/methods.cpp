#include "engine/onednn/methods.h"

#include <algorithm>

namespace retort::engine::onednn {
namespace {

constexpr int kTile = 4;  // rows and columns of the output that Winograd's algorithm computes at once

// How many of the multiplications that Winograd's tiles make belong to the output.
double tile_share(const ConvolutionShape& shape) {
  const auto share = [](int size) {
    const int tiles = (size + kTile - 1) / kTile;
    return static_cast<double>(size) / (tiles * kTile);
  };
  return share(shape.out_height) * share(shape.out_width);
}

// Measured on a Zen 4 core, batch 32, in GMAC/s of the direct convolution (direct: 48 to 83): 16 channels on
// both sides 60 to 70, 16 and 32 60 to 120, 32 and 32 100 to 130, 64 and 64 100 to 160; all times the share
// of its tiles, and less when an image has one tile alone. Where the direct one has two units, s21_16 (16 and 32 channels)
// trains 1.7 times as quickly by it, and what has 32 on both sides is quicker by Winograd there too.
bool winograd_pays(const ConvolutionShape& shape) {
  const bool window = shape.kernel_height == 3 && shape.kernel_width == 3 && shape.stride_height == 1 &&
                      shape.stride_width == 1;
  if (!window || shape.block != 16) return false;
  const int fewer = std::min(shape.in_channels, shape.out_channels);
  const int more = std::max(shape.in_channels, shape.out_channels);
  const double share = tile_share(shape);
  if (fewer < 32)
    return !has_intels_avx512() && more >= 32 && share > 0.9 && shape.out_height * shape.out_width >= 64;
  if (shape.out_height * shape.out_width <= kTile * kTile) return fewer >= 64 && share > 0.9;
  return share > 0.65;
}

// With one column of outputs and a stride, oneDNN 2.x's gradients of bfloat16 weights read columns of the kernel
// that lie beyond the image from memory that nobody wrote.
bool bfloat16_reads_beyond_the_image(const ConvolutionShape& shape) {
  return shape.stride_width > 1 && shape.out_width == 1 &&
         shape.kernel_width - shape.pad_left > shape.in_width;
}

}  // namespace

Method choose_method(const ConvolutionShape& shape) {
  const int fewer = std::min(shape.in_channels, shape.out_channels);
  const bool winograd = winograd_pays(shape);
  if (shape.precision == Precision::Bfloat16 && shape.block == 16 && multiplies_bfloat16() &&
      shape.stride_height == shape.stride_width && !bfloat16_reads_beyond_the_image(shape)) {
    // Rounding reads and writes both tensors once more: that must be little beside the multiplications. A
    // tile product in float32 beats plain products in bfloat16 where channels are many.
    const bool worth_rounding = shape.kernel_height * shape.kernel_width * fewer >= 64;
    if (worth_rounding && (!winograd || fewer < 32)) return Method::Bfloat16;
  }
  return winograd ? Method::Winograd : Method::Direct;
}

}  // namespace retort::engine::onednn
