#include "engine/kernels/kernels.h"
#include "engine/kernels/taps.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/first_conv.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <utility>

#include "engine/kernels/lanes-inl.h"

// One input value is broadcast against a vector of output channels. The border is materialised, so a tap is
// nothing but an offset from an output pixel's corner, and a kernel of any size is a list of offsets.
HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// --- forward ---

// P output pixels of a row × Q output blocks: P · Q independent sums, enough to hide the latency of the
// multiply-adds and few enough for the registers.
template <int B, int P, int Q>
HWY_INLINE void ForwardTile(const Taps& taps, const float* HWY_RESTRICT x, size_t stride,
                            const float* HWY_RESTRICT weights, const float* bias,
                            const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT y, size_t y_block) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  V sums[P * Q];
  RETORT_UNROLL
  for (size_t q = 0; q < Q; ++q) {
    const V start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + q * B);
    RETORT_UNROLL
    for (size_t p = 0; p < P; ++p) sums[q * P + p] = start;
  }
  const size_t w_block = taps.count * B;
  for (size_t tap = 0; tap < taps.count; ++tap, weights += B) {
    const float* HWY_RESTRICT corner = x + taps.offsets[tap];
    V w[Q];
    RETORT_UNROLL
    for (size_t q = 0; q < Q; ++q) w[q] = hn::LoadU(d, weights + q * w_block);
    RETORT_UNROLL
    for (size_t p = 0; p < P; ++p) {
      const V value = hn::Set(d, corner[p * stride]);
      RETORT_UNROLL
      for (size_t q = 0; q < Q; ++q) sums[q * P + p] = hn::MulAdd(value, w[q], sums[q * P + p]);
    }
  }
  RETORT_UNROLL
  for (size_t q = 0; q < Q; ++q) {
    RETORT_UNROLL
    for (size_t p = 0; p < P; ++p) hn::StoreU(clamp(sums[q * P + p]), d, y + q * y_block + p * B);
  }
}

// AVX-512 has twice the registers.
constexpr int kTile = HWY_TARGET <= HWY_AVX3 ? 24 : 12;

// kStride 0: that of `stride`, unknown to the compiler.
template <int B, int Q, size_t kStride>
void ForwardRow(const Taps& taps, const float* x, size_t stride, const float* weights, const float* bias,
                const Clamp<BlockTag<B>>& clamp, float* y, size_t y_block, size_t width) {
  if constexpr (kStride != 0) stride = kStride;
  const auto tiles = [&](auto size) HWY_ATTR {
    constexpr size_t kSize = decltype(size)::value;
    for (; width >= kSize; width -= kSize) {
      ForwardTile<B, kSize, Q>(taps, x, kStride == 0 ? stride : kStride, weights, bias, clamp, y, y_block);
      x += kSize * stride;
      y += kSize * B;
    }
  };
  tiles(std::integral_constant<int, kTile / Q>());
  if constexpr (kTile / Q > 6) tiles(std::integral_constant<int, 6>());
  tiles(std::integral_constant<int, 4>());
  tiles(std::integral_constant<int, 2>());
  tiles(std::integral_constant<int, 1>());
}

template <int B, int Q>
void ForwardRowOfStride(const Taps& taps, size_t stride, const float* x, const float* weights,
                        const float* bias, const Clamp<BlockTag<B>>& clamp, float* y, size_t y_block,
                        size_t width) {
  switch (stride) {
    case 1:
      return ForwardRow<B, Q, 1>(taps, x, stride, weights, bias, clamp, y, y_block, width);
    case 2:
      return ForwardRow<B, Q, 2>(taps, x, stride, weights, bias, clamp, y, y_block, width);
    default:
      return ForwardRow<B, Q, 0>(taps, x, stride, weights, bias, clamp, y, y_block, width);
  }
}

template <int B>
void ForwardOfBlock(const FirstConvShape& shape, const float* input, const float* weights, const float* bias,
                    Activation activation, float* output) {
  const BlockTag<B> d;
  const Taps taps(shape);
  const Clamp<BlockTag<B>> clamp(d, activation);
  const auto width = static_cast<size_t>(shape.output.width);
  const auto height = static_cast<size_t>(shape.output.height);
  const auto blocks = static_cast<size_t>(shape.output.channel_blocks);
  const auto stride = static_cast<size_t>(shape.stride_width);
  const size_t row_step =
      static_cast<size_t>(shape.stride_height) * static_cast<size_t>(shape.input.padded_width());
  const size_t plane = shape.output.pixels() * B;
  for (size_t image = 0; image < static_cast<size_t>(shape.output.images); ++image) {
    const float* x = input + image * shape.input.image_size();
    float* y = output + image * shape.output.image_size();
    for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
      size_t ob = 0;
      const auto blocks_at_once = [&](auto size) HWY_ATTR {
        constexpr int kSize = decltype(size)::value;
        for (; ob + kSize <= blocks; ob += kSize)
          for (size_t row = 0; row < height; ++row)
            ForwardRowOfStride<B, kSize>(taps, stride, x + row * row_step,
                                         weights + ob * taps.count * B + lane,
                                         bias == nullptr ? nullptr : bias + ob * B + lane, clamp,
                                         y + ob * plane + row * width * B + lane, plane, width);
      };
      blocks_at_once(std::integral_constant<int, 2>());
      blocks_at_once(std::integral_constant<int, 1>());
    }
  }
}

void Forward(const FirstConvShape& shape, const float* input, const float* weights, const float* bias,
             Activation activation, float* output) {
  shape.output.block == 16 ? ForwardOfBlock<16>(shape, input, weights, bias, activation, output)
                           : ForwardOfBlock<8>(shape, input, weights, bias, activation, output);
}

// --- weights' gradient ---

// What the gradient of one image and output block needs; pointers are to the vector's lane.
struct GradientPlane {
  const float* dy;
  const float* y;  // or null
  size_t width;
  size_t height;
  size_t row_step;
  size_t stride;
};

// Sums of R · K taps stay in registers over the whole plane. With kBias, that of dy too.
template <int B, int R, int K, bool kBias, bool kMask>
HWY_INLINE void GradientOfTaps(const GradientPlane& plane, const TapRuns<R>& runs, size_t channels,
                               const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT dweights,
                               float* HWY_RESTRICT dbias) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  V sums[R * K];
  RETORT_UNROLL
  for (size_t t = 0; t < R * K; ++t) sums[t] = hn::Zero(d);
  V bias = hn::Zero(d);
  const float* HWY_RESTRICT dy = plane.dy;
  const float* HWY_RESTRICT y = plane.y;
  for (size_t row = 0; row < plane.height; ++row) {
    size_t at = row * plane.row_step;
    for (size_t p = 0; p < plane.width; ++p, dy += B, at += plane.stride) {
      V g = hn::LoadU(d, dy);
      if constexpr (kMask) {
        g = hn::IfThenElseZero(clamp.passes(hn::LoadU(d, y)), g);
        y += B;
      }
      if constexpr (kBias) bias = hn::Add(bias, g);
      RETORT_UNROLL
      for (size_t r = 0; r < R; ++r) {
        const float* HWY_RESTRICT x = runs.x[r] + at;
        RETORT_UNROLL
        for (size_t k = 0; k < K; ++k) sums[r * K + k] = hn::MulAdd(hn::Set(d, x[k]), g, sums[r * K + k]);
      }
    }
  }
  RETORT_UNROLL
  for (size_t r = 0; r < R; ++r) {
    RETORT_UNROLL
    for (size_t k = 0; k < K; ++k) {
      float* dw = dweights + (runs.tap[r] + k * channels) * B;
      hn::StoreU(hn::Add(hn::LoadU(d, dw), sums[r * K + k]), d, dw);
    }
  }
  if constexpr (kBias) hn::StoreU(hn::Add(hn::LoadU(d, dbias), bias), d, dbias);
}

template <int B>
void GradientOfBlock(const FirstConvShape& shape, const float* input, const float* dy, const float* output,
                     Activation activation, float* dweights, float* dbias) {
  const BlockTag<B> d;
  const Clamp<BlockTag<B>> clamp(d, activation);
  const size_t plane_size = shape.output.pixels() * B;
  const auto channels = static_cast<size_t>(shape.input.channels);
  const auto taps = static_cast<size_t>(shape.kernel_height * shape.kernel_width) * channels;
  const bool masks = output != nullptr && activation != Activation::None;
  GradientPlane plane{};
  plane.width = static_cast<size_t>(shape.output.width);
  plane.height = static_cast<size_t>(shape.output.height);
  plane.row_step = static_cast<size_t>(shape.stride_height) * static_cast<size_t>(shape.input.padded_width());
  plane.stride = static_cast<size_t>(shape.stride_width);
  for (size_t image = 0; image < static_cast<size_t>(shape.output.images); ++image) {
    const float* x = input + image * shape.input.image_size();
    for (size_t ob = 0; ob < static_cast<size_t>(shape.output.channel_blocks); ++ob) {
      for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
        const size_t at = image * shape.output.image_size() + ob * plane_size + lane;
        plane.dy = dy + at;
        plane.y = masks ? output + at : nullptr;
        float* dw = dweights + ob * taps * B + lane;
        float* db = dbias == nullptr ? nullptr : dbias + ob * B + lane;
        for_each_tap_group(shape, x, [&](auto r, auto k, const auto& runs, bool first) HWY_ATTR {
          constexpr int R = decltype(r)::value;
          constexpr int K = decltype(k)::value;
          if (first && db != nullptr) {
            masks ? GradientOfTaps<B, R, K, true, true>(plane, runs, channels, clamp, dw, db)
                  : GradientOfTaps<B, R, K, true, false>(plane, runs, channels, clamp, dw, db);
          } else {
            masks ? GradientOfTaps<B, R, K, false, true>(plane, runs, channels, clamp, dw, db)
                  : GradientOfTaps<B, R, K, false, false>(plane, runs, channels, clamp, dw, db);
          }
        });
      }
    }
  }
}

void Gradient(const FirstConvShape& shape, const float* input, const float* dy, const float* output,
              Activation activation, float* dweights, float* dbias) {
  shape.output.block == 16 ? GradientOfBlock<16>(shape, input, dy, output, activation, dweights, dbias)
                           : GradientOfBlock<8>(shape, input, dy, output, activation, dweights, dbias);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(Forward);
HWY_EXPORT(Gradient);

void first_conv_forward(const FirstConvShape& shape, const float* input, const float* weights,
                        const float* bias, Activation activation, float* output) {
  HWY_DYNAMIC_DISPATCH(Forward)(shape, input, weights, bias, activation, output);
}

void first_conv_backward_weights(const FirstConvShape& shape, const float* input, const float* dy,
                                 const float* output, Activation activation, float* dweights, float* dbias) {
  HWY_DYNAMIC_DISPATCH(Gradient)(shape, input, dy, output, activation, dweights, dbias);
}

}  // namespace retort::engine::kernels
#endif
