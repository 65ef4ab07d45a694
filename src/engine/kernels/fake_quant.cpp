#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/fake_quant.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>

#include "engine/kernels/lanes-inl.h"
#include "graph/quantized_form.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// Bits are stored by whole bytes: kCount = 16 numbers at a time fill the longest vector, 8 the rest of a
// tensor.
template <size_t kCount>
using BitsTag = hn::CappedTag<float, kCount>;

void MinMax(size_t n, const float* x, Range* range) {
  const WideTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  float minimum = x[0];
  float maximum = x[0];
  if (n >= 2 * lanes) {
    auto low0 = hn::LoadU(d, x);
    auto low1 = hn::LoadU(d, x + lanes);
    auto high0 = low0;
    auto high1 = low1;
    for (i = 2 * lanes; i + 2 * lanes <= n; i += 2 * lanes) {
      const auto a = hn::LoadU(d, x + i);
      const auto b = hn::LoadU(d, x + i + lanes);
      low0 = hn::Min(low0, a);
      low1 = hn::Min(low1, b);
      high0 = hn::Max(high0, a);
      high1 = hn::Max(high1, b);
    }
    minimum = hn::GetLane(hn::MinOfLanes(d, hn::Min(low0, low1)));
    maximum = hn::GetLane(hn::MaxOfLanes(d, hn::Max(high0, high1)));
  }
  for (; i < n; ++i) {
    minimum = std::min(minimum, x[i]);
    maximum = std::max(maximum, x[i]);
  }
  *range = {minimum, maximum};
}

template <size_t kCount>
HWY_INLINE size_t FakeQuantizeBy(size_t i, size_t n, float scale, int zero_point, const float* x, float* y,
                                 uint8_t* pass_bits) {
  const BitsTag<kCount> d;
  const size_t lanes = hn::Lanes(d);
  const auto step = hn::Set(d, scale);
  // Codes relative to the zero point, so that nothing but a clamp and a product follows the rounding.
  const auto low = hn::Set(d, static_cast<float>(-128 - zero_point));
  const auto high = hn::Set(d, static_cast<float>(127 - zero_point));
  for (; i + kCount <= n; i += kCount) {
    uint32_t bits = 0;
    for (size_t part = 0; part < kCount; part += lanes) {
      const auto v = hn::LoadU(d, x + i + part);
      const auto code = hn::Round(hn::Div(v, step));
      hn::StoreU(hn::Mul(hn::Min(high, hn::Max(low, code)), step), d, y + i + part);
      uint8_t mask_bytes[8] = {};  // StoreMaskBits may write up to eight
      hn::StoreMaskBits(d, hn::And(hn::Ge(code, low), hn::Le(code, high)), mask_bytes);
      bits |= (mask_bytes[0] | static_cast<uint32_t>(mask_bytes[1]) << 8U) << part;
    }
    if (pass_bits == nullptr) continue;
    for (size_t byte = 0; byte < kCount / 8; ++byte)
      pass_bits[i / 8 + byte] = static_cast<uint8_t>(bits >> (8 * byte));
  }
  return i;
}

void FakeQuantize(size_t n, float scale, int zero_point, const float* x, float* y, uint8_t* pass_bits) {
  const size_t done = FakeQuantizeBy<16>(0, n, scale, zero_point, x, y, pass_bits);
  FakeQuantizeBy<8>(done, n, scale, zero_point, x, y, pass_bits);
}

template <size_t kCount>
HWY_INLINE size_t FakeQuantizeBackwardBy(size_t i, size_t n, const uint8_t* pass_bits, const float* dy,
                                         float* dx) {
  const BitsTag<kCount> d;
  const hn::Rebind<uint32_t, BitsTag<kCount>> du;
  const size_t lanes = hn::Lanes(d);
  alignas(64) uint32_t bit_of_lane[kCount];
  for (size_t lane = 0; lane < kCount; ++lane) bit_of_lane[lane] = uint32_t{1} << lane;
  for (; i + kCount <= n; i += kCount) {
    uint32_t bits = pass_bits[i / 8];
    if constexpr (kCount == 16) bits |= static_cast<uint32_t>(pass_bits[i / 8 + 1]) << 8U;
    for (size_t part = 0; part < kCount; part += lanes) {
      const auto passes = hn::RebindMask(d, hn::TestBit(hn::Set(du, bits), hn::Load(du, bit_of_lane + part)));
      hn::StoreU(hn::IfThenElseZero(passes, hn::LoadU(d, dy + i + part)), d, dx + i + part);
    }
  }
  return i;
}

void FakeQuantizeBackward(size_t n, const uint8_t* pass_bits, const float* dy, float* dx) {
  const size_t done = FakeQuantizeBackwardBy<16>(0, n, pass_bits, dy, dx);
  FakeQuantizeBackwardBy<8>(done, n, pass_bits, dy, dx);
}

template <int B>
void WeightsOfBlock(int out_blocks, size_t inner, const float* weights, float* quantized, float* scales) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  constexpr size_t width = B;
  for (size_t ob = 0; ob < static_cast<size_t>(out_blocks); ++ob) {
    for (size_t lane = 0; lane < width; lane += lanes) {
      const float* w = weights + ob * inner * width + lane;
      float* q = quantized + ob * inner * width + lane;
      auto largest = hn::Zero(d);
      for (size_t i = 0; i < inner; ++i) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, w + i * width)));
      alignas(64) float steps[B];
      hn::Store(largest, d, steps);
      for (size_t i = 0; i < lanes; ++i) steps[i] = graph::weight_scale(steps[i]);
      const auto step = hn::Load(d, steps);
      for (size_t i = 0; i < inner; ++i)
        hn::StoreU(hn::Mul(hn::Round(hn::Div(hn::LoadU(d, w + i * width), step)), step), d, q + i * width);
      if (scales != nullptr) hn::StoreU(step, d, scales + ob * width + lane);
    }
  }
}

void WeightsBlocked(int out_blocks, size_t inner, int block, const float* weights, float* quantized,
                    float* scales) {
  block == 16 ? WeightsOfBlock<16>(out_blocks, inner, weights, quantized, scales)
              : WeightsOfBlock<8>(out_blocks, inner, weights, quantized, scales);
}

void WeightsRows(size_t rows, size_t columns, const float* weights, float* quantized, float* scales) {
  for (size_t row = 0; row < rows; ++row) {
    const float* w = weights + row * columns;
    float* q = quantized + row * columns;
    float largest = 0;
    if (columns > 0) {
      Range range;
      MinMax(columns, w, &range);
      largest = std::max(-range.minimum, range.maximum);
    }
    const float step = graph::weight_scale(largest);
    for_each_vector(columns, [&](auto d, size_t i) HWY_ATTR {
      const auto s = hn::Set(d, step);
      hn::StoreU(hn::Mul(hn::Round(hn::Div(hn::LoadU(d, w + i), s)), s), d, q + i);
    });
    if (scales != nullptr) scales[row] = step;
  }
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(MinMax);
HWY_EXPORT(FakeQuantize);
HWY_EXPORT(FakeQuantizeBackward);
HWY_EXPORT(WeightsBlocked);
HWY_EXPORT(WeightsRows);

Range min_max(size_t n, const float* x) {
  Range range;
  HWY_DYNAMIC_DISPATCH(MinMax)(n, x, &range);
  return range;
}

void fake_quantize(size_t n, float scale, int zero_point, const float* x, float* y, uint8_t* pass_bits) {
  HWY_DYNAMIC_DISPATCH(FakeQuantize)(n, scale, zero_point, x, y, pass_bits);
}

void fake_quantize_backward(size_t n, const uint8_t* pass_bits, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeBackward)(n, pass_bits, dy, dx);
}

void fake_quantize_weights_blocked(int out_blocks, size_t inner, int block, const float* weights,
                                   float* quantized, float* scales) {
  HWY_DYNAMIC_DISPATCH(WeightsBlocked)(out_blocks, inner, block, weights, quantized, scales);
}

void fake_quantize_weights_rows(size_t rows, size_t columns, const float* weights, float* quantized,
                                float* scales) {
  HWY_DYNAMIC_DISPATCH(WeightsRows)(rows, columns, weights, quantized, scales);
}

}  // namespace retort::engine::kernels
#endif
