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
                            const float* HWY_RESTRICT weights, const float* bias, size_t lane,
                            const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT y, size_t y_block) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  V sums[P * Q];
  for (int q = 0; q < Q; ++q) {
    const V start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + q * B + lane);
    for (int p = 0; p < P; ++p) sums[q * P + p] = start;
  }
  const size_t w_block = taps.count * B;
  for (size_t tap = 0; tap < taps.count; ++tap) {
    const float* HWY_RESTRICT corner = x + taps.offsets[tap];
    V w[Q];
    for (size_t q = 0; q < Q; ++q) w[q] = hn::LoadU(d, weights + q * w_block + tap * B + lane);
    for (size_t p = 0; p < P; ++p) {
      const V value = hn::Set(d, corner[p * stride]);
      for (size_t q = 0; q < Q; ++q) sums[q * P + p] = hn::MulAdd(value, w[q], sums[q * P + p]);
    }
  }
  for (size_t q = 0; q < Q; ++q)
    for (size_t p = 0; p < P; ++p) hn::StoreU(clamp(sums[q * P + p]), d, y + q * y_block + p * B + lane);
}

// AVX-512 has twice the registers.
constexpr int kTile = HWY_TARGET == HWY_AVX3 ? 24 : 12;

template <int B, int Q, size_t kStride>
void ForwardRow(const Taps& taps, const float* x, const float* weights, const float* bias, size_t lane,
                const Clamp<BlockTag<B>>& clamp, float* y, size_t y_block, size_t width) {
  constexpr int kWide = kTile / Q;
  size_t p = 0;
  for (; p + kWide <= width; p += kWide)
    ForwardTile<B, kWide, Q>(taps, x + p * kStride, kStride, weights, bias, lane, clamp, y + p * B, y_block);
  for (; p + 4 <= width; p += 4)
    ForwardTile<B, 4, Q>(taps, x + p * kStride, kStride, weights, bias, lane, clamp, y + p * B, y_block);
  for (; p < width; ++p)
    ForwardTile<B, 1, Q>(taps, x + p * kStride, kStride, weights, bias, lane, clamp, y + p * B, y_block);
}

template <int B, int Q>
void ForwardRowOfStride(const Taps& taps, size_t stride, const float* x, const float* weights,
                        const float* bias, size_t lane, const Clamp<BlockTag<B>>& clamp, float* y,
                        size_t y_block, size_t width) {
  switch (stride) {
    case 1:
      return ForwardRow<B, Q, 1>(taps, x, weights, bias, lane, clamp, y, y_block, width);
    case 2:
      return ForwardRow<B, Q, 2>(taps, x, weights, bias, lane, clamp, y, y_block, width);
    default:
      for (size_t p = 0; p < width; ++p)
        ForwardTile<B, 1, Q>(taps, x + p * stride, stride, weights, bias, lane, clamp, y + p * B, y_block);
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
      for (; ob + 2 <= blocks; ob += 2)
        for (size_t row = 0; row < height; ++row)
          ForwardRowOfStride<B, 2>(taps, stride, x + row * row_step, weights + ob * taps.count * B,
                                   bias == nullptr ? nullptr : bias + ob * B, lane, clamp,
                                   y + ob * plane + row * width * B, plane, width);
      for (; ob < blocks; ++ob)
        for (size_t row = 0; row < height; ++row)
          ForwardRowOfStride<B, 1>(taps, stride, x + row * row_step, weights + ob * taps.count * B,
                                   bias == nullptr ? nullptr : bias + ob * B, lane, clamp,
                                   y + ob * plane + row * width * B, plane, width);
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
  const float* x;
  const float* dy;
  const float* y;  // or null
  size_t width;
  size_t height;
  size_t row_step;
  size_t stride;
};

// Sums of T taps stay in registers over the whole plane. With kBias, that of dy too.
template <int B, int T, bool kBias, bool kMask>
HWY_INLINE void GradientOfTaps(const GradientPlane& plane, const size_t* offsets,
                               const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT dweights,
                               float* HWY_RESTRICT dbias) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  V sums[T];
  for (size_t t = 0; t < T; ++t) sums[t] = hn::Zero(d);
  V bias = hn::Zero(d);
  size_t o = 0;
  for (size_t row = 0; row < plane.height; ++row) {
    const float* HWY_RESTRICT corner = plane.x + row * plane.row_step;
    for (size_t p = 0; p < plane.width; ++p, o += B, corner += plane.stride) {
      V g = hn::LoadU(d, plane.dy + o);
      if constexpr (kMask) g = hn::IfThenElseZero(clamp.passes(hn::LoadU(d, plane.y + o)), g);
      if constexpr (kBias) bias = hn::Add(bias, g);
      for (size_t t = 0; t < T; ++t) sums[t] = hn::MulAdd(hn::Set(d, corner[offsets[t]]), g, sums[t]);
    }
  }
  for (size_t t = 0; t < T; ++t)
    hn::StoreU(hn::Add(hn::LoadU(d, dweights + t * B), sums[t]), d, dweights + t * B);
  if constexpr (kBias) hn::StoreU(hn::Add(hn::LoadU(d, dbias), bias), d, dbias);
}

template <int B, int T>
void GradientGroup(const GradientPlane& plane, const size_t* offsets, const Clamp<BlockTag<B>>& clamp,
                   float* dweights, float* dbias) {
  if (plane.y == nullptr)
    dbias == nullptr ? GradientOfTaps<B, T, false, false>(plane, offsets, clamp, dweights, dbias)
                     : GradientOfTaps<B, T, true, false>(plane, offsets, clamp, dweights, dbias);
  else
    dbias == nullptr ? GradientOfTaps<B, T, false, true>(plane, offsets, clamp, dweights, dbias)
                     : GradientOfTaps<B, T, true, true>(plane, offsets, clamp, dweights, dbias);
}

template <int B>
void GradientOfBlock(const FirstConvShape& shape, const float* input, const float* dy, const float* output,
                     Activation activation, float* dweights, float* dbias) {
  const BlockTag<B> d;
  const Taps taps(shape);
  const Clamp<BlockTag<B>> clamp(d, activation);
  const size_t plane_size = shape.output.pixels() * B;
  GradientPlane plane{};
  plane.width = static_cast<size_t>(shape.output.width);
  plane.height = static_cast<size_t>(shape.output.height);
  plane.row_step = static_cast<size_t>(shape.stride_height) * static_cast<size_t>(shape.input.padded_width());
  plane.stride = static_cast<size_t>(shape.stride_width);
  for (size_t image = 0; image < static_cast<size_t>(shape.output.images); ++image) {
    plane.x = input + image * shape.input.image_size();
    for (size_t ob = 0; ob < static_cast<size_t>(shape.output.channel_blocks); ++ob) {
      for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
        const size_t at = image * shape.output.image_size() + ob * plane_size + lane;
        plane.dy = dy + at;
        plane.y = output == nullptr || activation == Activation::None ? nullptr : output + at;
        float* dw = dweights + ob * taps.count * B + lane;
        float* db = dbias == nullptr ? nullptr : dbias + ob * B + lane;
        size_t tap = 0;
        const auto group = [&](auto size) HWY_ATTR {
          constexpr int kSize = decltype(size)::value;
          for (; tap + kSize <= taps.count; tap += kSize)
            GradientGroup<B, kSize>(plane, taps.offsets + tap, clamp, dw + tap * B, tap == 0 ? db : nullptr);
        };
        group(std::integral_constant<int, 9>());
        group(std::integral_constant<int, 5>());
        group(std::integral_constant<int, 3>());
        group(std::integral_constant<int, 1>());
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
