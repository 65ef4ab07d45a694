#include "engine/kernels/kernels.h"
#include "engine/kernels/taps.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/first_conv_pool.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <utility>

#include "engine/kernels/lanes-inl.h"

// Four convolution outputs at a time become one pooled value before they leave the registers: memory sees a
// quarter of the activations and gradients that a convolution and a pool apart would move.
HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

template <class D>
HWY_INLINE void StoreCells(D /*tag*/, hn::Vec<hn::Rebind<int32_t, D>> cells, uint8_t* argmax) {
  const hn::Rebind<uint8_t, D> d8;
  hn::StoreU(hn::DemoteTo(d8, cells), d8, argmax);
}

// P pooled pixels of a row for one vector of output channels.
template <int B, int P>
HWY_INLINE void PooledTile(const Taps& taps, const float* HWY_RESTRICT x, size_t row,
                           const float* HWY_RESTRICT weights, const float* bias,
                           const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT y,
                           uint8_t* HWY_RESTRICT argmax) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  const hn::Rebind<int32_t, BlockTag<B>> di;
  const V start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias);
  V upper[2 * P];
  V lower[2 * P];
  RETORT_UNROLL
  for (size_t p = 0; p < 2 * P; ++p) upper[p] = lower[p] = start;
  for (size_t tap = 0; tap < taps.count; ++tap) {
    const float* HWY_RESTRICT corner = x + taps.offsets[tap];
    const float* HWY_RESTRICT below = corner + row;
    const V w = hn::LoadU(d, weights + tap * B);
    RETORT_UNROLL
    for (size_t p = 0; p < 2 * P; ++p) {
      upper[p] = hn::MulAdd(hn::Set(d, corner[p]), w, upper[p]);
      lower[p] = hn::MulAdd(hn::Set(d, below[p]), w, lower[p]);
    }
  }
  RETORT_UNROLL
  for (size_t p = 0; p < P; ++p) {
    const auto right0 = hn::Gt(upper[2 * p + 1], upper[2 * p]);
    const auto right1 = hn::Gt(lower[2 * p + 1], lower[2 * p]);
    const V top = hn::IfThenElse(right0, upper[2 * p + 1], upper[2 * p]);
    const V bottom = hn::IfThenElse(right1, lower[2 * p + 1], lower[2 * p]);
    const auto below = hn::Gt(bottom, top);
    // Activations rise, so clamping the largest is taking the largest of the clamped.
    hn::StoreU(clamp(hn::IfThenElse(below, bottom, top)), d, y + p * B);
    if (argmax != nullptr) {
      const auto top_cell = hn::IfThenElseZero(hn::RebindMask(di, right0), hn::Set(di, 1));
      const auto bottom_cell = hn::IfThenElse(hn::RebindMask(di, right1), hn::Set(di, 3), hn::Set(di, 2));
      StoreCells(d, hn::IfThenElse(hn::RebindMask(di, below), bottom_cell, top_cell), argmax + p * B);
    }
  }
}

// Twelve sums on 16 registers, 24 on 32.
constexpr int kPooledTile = HWY_TARGET <= HWY_AVX3 ? 6 : 3;

template <int B>
void PoolForwardOfBlock(const FirstConvShape& shape, const float* input, const float* weights,
                        const float* bias, Activation activation, float* output, uint8_t* argmax) {
  const BlockTag<B> d;
  const Taps taps(shape);
  const Clamp<BlockTag<B>> clamp(d, activation);
  const auto width = static_cast<size_t>(shape.output.width);
  const auto height = static_cast<size_t>(shape.output.height);
  const auto row = static_cast<size_t>(shape.input.padded_width());
  for (size_t image = 0; image < static_cast<size_t>(shape.output.images); ++image) {
    const float* x = input + image * shape.input.image_size();
    for (size_t ob = 0; ob < static_cast<size_t>(shape.output.channel_blocks); ++ob) {
      for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
        const float* w = weights + ob * taps.count * B + lane;
        const float* b = bias == nullptr ? nullptr : bias + ob * B + lane;
        const size_t plane = image * shape.output.image_size() + ob * width * height * B + lane;
        for (size_t oy = 0; oy < height; ++oy) {
          const float* corner = x + 2 * oy * row;
          float* y = output + plane + oy * width * B;
          uint8_t* cells = argmax == nullptr ? nullptr : argmax + plane + oy * width * B;
          size_t left = width;
          const auto tiles = [&](auto size) HWY_ATTR {
            constexpr size_t kSize = decltype(size)::value;
            for (; left >= kSize; left -= kSize) {
              PooledTile<B, kSize>(taps, corner, row, w, b, clamp, y, cells);
              corner += 2 * kSize;
              y += kSize * B;
              if (cells != nullptr) cells += kSize * B;
            }
          };
          tiles(std::integral_constant<int, kPooledTile>());
          tiles(std::integral_constant<int, 2>());
          tiles(std::integral_constant<int, 1>());
        }
      }
    }
  }
}

void PoolForward(const FirstConvShape& shape, const float* input, const float* weights, const float* bias,
                 Activation activation, float* output, uint8_t* argmax) {
  shape.output.block == 16 ? PoolForwardOfBlock<16>(shape, input, weights, bias, activation, output, argmax)
                           : PoolForwardOfBlock<8>(shape, input, weights, bias, activation, output, argmax);
}

// One image and vector of output channels; pointers are to the vector's lane.
struct PooledPlane {
  const float* dy;
  const float* y;  // null: nothing to mask
  const uint8_t* argmax;
  size_t width;
  size_t height;
  size_t row;
};

// The gradient goes to one of four cells, another in each lane: four vectors with zeros elsewhere stand for
// the unpooled gradient. Sums of R · K taps stay in registers over the plane; cells beside each other share
// their inputs.
template <int B, int R, int K, bool kBias>
HWY_INLINE void PooledGradient(const PooledPlane& plane, const TapRuns<R>& runs, size_t channels,
                               const Clamp<BlockTag<B>>& clamp, float* HWY_RESTRICT dweights,
                               float* HWY_RESTRICT dbias) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  const hn::Rebind<int32_t, BlockTag<B>> di;
  const hn::Rebind<uint8_t, BlockTag<B>> d8;
  V sums[R * K];
  RETORT_UNROLL
  for (size_t t = 0; t < R * K; ++t) sums[t] = hn::Zero(d);
  V bias = hn::Zero(d);
  size_t o = 0;
  for (size_t oy = 0; oy < plane.height; ++oy) {
    size_t at = 2 * oy * plane.row;
    for (size_t ox = 0; ox < plane.width; ++ox, o += B, at += 2) {
      V g = hn::LoadU(d, plane.dy + o);
      if (plane.y != nullptr) g = hn::IfThenElseZero(clamp.passes(hn::LoadU(d, plane.y + o)), g);
      if constexpr (kBias) bias = hn::Add(bias, g);
      const auto cell = hn::PromoteTo(di, hn::LoadU(d8, plane.argmax + o));
      V cells[4];
      RETORT_UNROLL
      for (int number = 0; number < 4; ++number)
        cells[number] = hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(cell, hn::Set(di, number))), g);
      RETORT_UNROLL
      for (size_t r = 0; r < R; ++r) {
        const float* HWY_RESTRICT x = runs.x[r] + at;
        RETORT_UNROLL
        for (size_t row = 0; row < 2; ++row, x += plane.row) {
          RETORT_UNROLL
          for (size_t k = 0; k <= K; ++k) {
            const V value = hn::Set(d, x[k]);
            if (k < K) sums[r * K + k] = hn::MulAdd(value, cells[2 * row], sums[r * K + k]);
            if (k > 0) sums[r * K + k - 1] = hn::MulAdd(value, cells[2 * row + 1], sums[r * K + k - 1]);
          }
        }
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
void PoolGradientOfBlock(const FirstConvShape& shape, const float* input, const float* dy,
                         const float* output, const uint8_t* argmax, Activation activation, float* dweights,
                         float* dbias) {
  const BlockTag<B> d;
  const Clamp<BlockTag<B>> clamp(d, activation);
  const auto channels = static_cast<size_t>(shape.input.channels);
  const auto taps = static_cast<size_t>(shape.kernel_height * shape.kernel_width) * channels;
  PooledPlane plane{};
  plane.width = static_cast<size_t>(shape.output.width);
  plane.height = static_cast<size_t>(shape.output.height);
  plane.row = static_cast<size_t>(shape.input.padded_width());
  for (size_t image = 0; image < static_cast<size_t>(shape.output.images); ++image) {
    const float* x = input + image * shape.input.image_size();
    for (size_t ob = 0; ob < static_cast<size_t>(shape.output.channel_blocks); ++ob) {
      for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
        const size_t at = image * shape.output.image_size() + ob * shape.output.pixels() * B + lane;
        plane.dy = dy + at;
        plane.y = output == nullptr ? nullptr : output + at;
        plane.argmax = argmax + at;
        float* dw = dweights + ob * taps * B + lane;
        float* db = dbias == nullptr ? nullptr : dbias + ob * B + lane;
        for_each_tap_group(shape, x, [&](auto r, auto k, const auto& runs, bool first) HWY_ATTR {
          constexpr int R = decltype(r)::value;
          constexpr int K = decltype(k)::value;
          first&& db != nullptr ? PooledGradient<B, R, K, true>(plane, runs, channels, clamp, dw, db)
                                : PooledGradient<B, R, K, false>(plane, runs, channels, clamp, dw, db);
        });
      }
    }
  }
}

void PoolGradient(const FirstConvShape& shape, const float* input, const float* dy, const float* output,
                  const uint8_t* argmax, Activation activation, float* dweights, float* dbias) {
  shape.output.block == 16
      ? PoolGradientOfBlock<16>(shape, input, dy, output, argmax, activation, dweights, dbias)
      : PoolGradientOfBlock<8>(shape, input, dy, output, argmax, activation, dweights, dbias);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(PoolForward);
HWY_EXPORT(PoolGradient);

void first_conv_pool_forward(const FirstConvShape& shape, const float* input, const float* weights,
                             const float* bias, Activation activation, float* output, uint8_t* argmax) {
  HWY_DYNAMIC_DISPATCH(PoolForward)(shape, input, weights, bias, activation, output, argmax);
}

void first_conv_pool_backward_weights(const FirstConvShape& shape, const float* input, const float* dy,
                                      const float* output, const uint8_t* argmax, Activation activation,
                                      float* dweights, float* dbias) {
  HWY_DYNAMIC_DISPATCH(PoolGradient)(shape, input, dy, output, argmax, activation, dweights, dbias);
}

}  // namespace retort::engine::kernels
#endif
