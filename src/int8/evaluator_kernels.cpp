#include "int8/evaluator_kernels.h"

// A portable baseline, SSE4, AVX2 and AVX-512; those between add compile time and no speed.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "int8/evaluator_kernels.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace retort::int8::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using I32 = hn::ScalableTag<int32_t>;
using F32 = hn::ScalableTag<float>;
using I8 = hn::Rebind<int8_t, I32>;  // as many lanes as I32
using V32 = hn::Vec<I32>;

size_t Lanes() {
  return hn::Lanes(I32());
}

// One channel group's factors in registers. multiply() is arithmetic.h's, lane by lane.
struct Factors {
  V32 mantissa;
  V32 left;
  V32 right;
  V32 mask;
};

// A pair of 16-bit values beside each lane of I32.
#if HWY_TARGET == HWY_SCALAR
struct Pairs {
  int32_t first;
  int32_t second;
};
HWY_INLINE Pairs LoadPairs(const int16_t* pairs) {
  return {pairs[0], pairs[1]};
}
HWY_INLINE Pairs BroadcastPair(const int16_t* pair) {
  return {pair[0], pair[1]};
}
HWY_INLINE V32 MultiplyAdd(Pairs a, Pairs b, V32 sum, V32&) {
  return hn::Add(sum, hn::Set(I32(), a.first * b.first + a.second * b.second));
}

HWY_INLINE V32 RoundingDoublingHighMultiply(V32 a, V32 b) {
  return hn::Set(I32(), rounding_doubling_high_multiply(hn::GetLane(a), hn::GetLane(b)));
}
#else
using I16 = hn::Repartition<int16_t, I32>;
using U64 = hn::Repartition<uint64_t, I32>;
using Pairs = hn::Vec<I16>;
HWY_INLINE Pairs LoadPairs(const int16_t* pairs) {
  return hn::Load(I16(), pairs);
}
HWY_INLINE Pairs BroadcastPair(const int16_t* pair) {
  int32_t both = 0;
  std::memcpy(&both, pair, sizeof(both));
  return hn::BitCast(I16(), hn::Set(I32(), both));
}
// Adds a lane's two products to its sum, or one of them to `odd` where the target prefers that.
HWY_INLINE V32 MultiplyAdd(Pairs a, Pairs b, V32 sum, V32& odd) {
  return hn::ReorderWidenMulAccumulate(I32(), a, b, sum, odd);
}

HWY_INLINE V32 RoundingDoublingHighMultiply(V32 a, V32 b) {
  const I32 d;
  const U64 wide;
  const auto half = hn::Set(wide, uint64_t{1} << 30);
  const auto odd_lanes = [&](V32 v)
                             HWY_ATTR { return hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, v))); };
  const auto even = hn::Add(hn::BitCast(wide, hn::MulEven(a, b)), half);
  const auto odd = hn::Add(hn::BitCast(wide, hn::MulEven(odd_lanes(a), odd_lanes(b))), half);
  // Bits 31 to 62 of each product, back in the lane that it came from.
  return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<1>(odd)), hn::BitCast(d, hn::ShiftRight<31>(even)));
}
#endif

HWY_INLINE V32 Multiply(V32 x, const Factors& by) {
  const V32 high = RoundingDoublingHighMultiply(hn::Shl(x, by.left), by.mantissa);
  const V32 negative = hn::ShiftRight<31>(high);  // −1 or 0
  const V32 threshold = hn::Sub(hn::ShiftRight<1>(by.mask), negative);
  const V32 rounded_up = hn::VecFromMask(I32(), hn::Gt(hn::And(high, by.mask), threshold));  // −1 or 0
  return hn::Sub(hn::Shr(high, by.right), rounded_up);
}

HWY_INLINE Factors LoadFactors(const Requantizer& r, size_t channel) {
  const I32 d;
  return {hn::Load(d, r.mantissas.data() + channel), hn::Load(d, r.left_shifts.data() + channel),
          hn::Load(d, r.right_shifts.data() + channel), hn::Load(d, r.masks.data() + channel)};
}

HWY_INLINE Factors SetFactors(const Multiplier& multiplier) {
  const I32 d;
  const int right = std::max(-multiplier.shift, 0);
  return {hn::Set(d, multiplier.mantissa), hn::Set(d, std::max(multiplier.shift, 0)), hn::Set(d, right),
          hn::Set(d, static_cast<int32_t>((int64_t{1} << right) - 1))};
}

// Scaled values to int8: adds the zero point, clamps, and stores the first `count` lanes.
HWY_INLINE void StoreBytes(V32 value, int32_t zero_point, const ValueRange& range, int8_t* output,
                           size_t count) {
  const I32 d;
  const I8 bytes;
  value = hn::Add(value, hn::Set(d, zero_point));
  value = hn::Min(hn::Max(value, hn::Set(d, range.minimum)), hn::Set(d, range.maximum));
  const auto narrow = hn::DemoteTo(bytes, value);
  if (HWY_LIKELY(count >= hn::Lanes(d))) {
    hn::StoreU(narrow, bytes, output);
  } else {
    HWY_ALIGN int8_t buffer[HWY_MAX_BYTES];
    hn::Store(narrow, bytes, buffer);
    std::memcpy(output, buffer, count);
  }
}

HWY_INLINE void StoreChannels(V32 sum, const Requantizer& r, const Factors& factors, size_t channel,
                              int8_t* cell) {
  if (channel < r.channels)
    StoreBytes(Multiply(sum, factors), r.zero_point, r.range, cell + channel, r.channels - channel);
}

template <typename T>
void ExpandRow(const Border& border, const int8_t* source, T* target, int cells) {
  const auto channels = static_cast<size_t>(border.channels);
  if constexpr (std::is_same_v<T, int16_t>) {
    const hn::Rebind<int16_t, I32> shorts;
    const I8 bytes;
    const auto zero = hn::Set(shorts, static_cast<int16_t>(border.zero_point));
    const size_t count = static_cast<size_t>(cells) * channels;
    const size_t lanes = hn::Lanes(shorts);
    size_t i = 0;
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(hn::Sub(hn::PromoteTo(shorts, hn::LoadU(bytes, source + i)), zero), shorts, target + i);
    for (; i < count; ++i) target[i] = static_cast<int16_t>(source[i] - border.zero_point);
  } else {
    const F32 df;
    const I32 d;
    const I8 bytes;
    const size_t lanes = hn::Lanes(d);
    const auto zero = hn::Set(d, border.zero_point);
    const auto multiplier = static_cast<size_t>(border.multiplier);
    for (int cell = 0; cell < cells; ++cell, source += channels, target += border.cell_stride) {
      size_t c = 0;
      if (multiplier == 1)
        for (; c + lanes <= channels; c += lanes) {
          const auto value = hn::PromoteTo(d, hn::LoadU(bytes, source + c));
          hn::StoreU(hn::ConvertTo(df, hn::Sub(value, zero)), df, target + c);
        }
      for (; c < channels * multiplier; ++c) {
        const size_t channel = c / multiplier;
        target[c] = static_cast<T>(source[channel] - border.zero_point);
      }
      std::fill(target + c, target + border.cell_stride, T{0});
    }
  }
}

template <typename T>
void Expand(const Border& border, const int8_t* source, T* target) {
  const size_t row_size = static_cast<size_t>(border.row_cells) * border.cell_stride;
  const size_t left = static_cast<size_t>(border.pad_left) * border.cell_stride;
  const int cells = std::min(border.width, border.row_cells - border.pad_left);
  for (int row = 0; row < border.rows; ++row, target += row_size) {
    const int y = row - border.pad_top;
    if (y < 0 || y >= border.height) {
      std::fill(target, target + row_size, T{0});
      continue;
    }
    std::fill(target, target + left, T{0});
    const size_t from = static_cast<size_t>(y) * static_cast<size_t>(border.width);
    ExpandRow(border, source + from * static_cast<size_t>(border.channels), target + left, cells);
    std::fill(target + left + static_cast<size_t>(cells) * border.cell_stride, target + row_size, T{0});
  }
}
void ExpandShorts(const Border& border, const int8_t* source, int16_t* target) {
  Expand(border, source, target);
}
void ExpandFloats(const Border& border, const int8_t* source, float* target) {
  Expand(border, source, target);
}

// Four rows by two vectors of channels. Each step multiplies a pair of a row's values with the pair of each
// channel and adds both products to that channel's sum, which is what the 16-bit multiply-add instructions
// do.
void RunLayer(const PackedLayer& layer, const int16_t* expanded, std::span<const uint32_t> origins,
              int8_t* output) {
  const I32 d;
  const size_t lanes = hn::Lanes(d);
  const size_t step = 2 * lanes;
  const Requantizer& r = layer.requantizer;
  const int16_t* group = layer.weights.data();
  size_t group_size = 0;
  for (const Run& run : layer.runs) group_size += run.count * 2 * step;

  for (size_t channel = 0; channel < r.channels; channel += 2 * lanes, group += group_size) {
    const Factors low = LoadFactors(r, channel);
    const Factors high = LoadFactors(r, channel + lanes);
    const V32 low_bias = hn::Load(d, r.bias.data() + channel);
    const V32 high_bias = hn::Load(d, r.bias.data() + channel + lanes);
    for (size_t row = 0; row < origins.size(); row += 4) {
      const size_t last = origins.size() - 1;
      const int16_t* x0 = expanded + origins[row];
      const int16_t* x1 = expanded + origins[std::min(row + 1, last)];
      const int16_t* x2 = expanded + origins[std::min(row + 2, last)];
      const int16_t* x3 = expanded + origins[std::min(row + 3, last)];
      V32 a0 = low_bias, a1 = low_bias, a2 = low_bias, a3 = low_bias;
      V32 b0 = high_bias, b1 = high_bias, b2 = high_bias, b3 = high_bias;
      // Where the target's multiply-add keeps odd and even products apart, these hold the other half.
      V32 a0_odd = hn::Zero(d), a1_odd = a0_odd, a2_odd = a0_odd, a3_odd = a0_odd;
      V32 b0_odd = a0_odd, b1_odd = a0_odd, b2_odd = a0_odd, b3_odd = a0_odd;
      const int16_t* w = group;
      for (const Run& run : layer.runs) {
        const size_t end = run.offset + 2 * static_cast<size_t>(run.count);
        for (size_t i = run.offset; i < end; i += 2, w += 2 * step) {
          const auto w0 = LoadPairs(w);
          const auto w1 = LoadPairs(w + step);
          const auto v0 = BroadcastPair(x0 + i);
          a0 = MultiplyAdd(v0, w0, a0, a0_odd);
          b0 = MultiplyAdd(v0, w1, b0, b0_odd);
          const auto v1 = BroadcastPair(x1 + i);
          a1 = MultiplyAdd(v1, w0, a1, a1_odd);
          b1 = MultiplyAdd(v1, w1, b1, b1_odd);
          const auto v2 = BroadcastPair(x2 + i);
          a2 = MultiplyAdd(v2, w0, a2, a2_odd);
          b2 = MultiplyAdd(v2, w1, b2, b2_odd);
          const auto v3 = BroadcastPair(x3 + i);
          a3 = MultiplyAdd(v3, w0, a3, a3_odd);
          b3 = MultiplyAdd(v3, w1, b3, b3_odd);
        }
      }
      const auto store = [&](size_t i, V32 a, V32 a_odd, V32 b, V32 b_odd) HWY_ATTR {
        if (row + i > last) return;
        int8_t* cell = output + (row + i) * r.channels;
        StoreChannels(hn::RearrangeToOddPlusEven(a, a_odd), r, low, channel, cell);
        StoreChannels(hn::RearrangeToOddPlusEven(b, b_odd), r, high, channel + lanes, cell);
      };
      if (layer.rows == Rows::PooledFours) {
        const auto most = [&](V32 s0, V32 o0, V32 s1, V32 o1, V32 s2, V32 o2, V32 s3, V32 o3) HWY_ATTR {
          return hn::Max(hn::Max(hn::RearrangeToOddPlusEven(s0, o0), hn::RearrangeToOddPlusEven(s1, o1)),
                         hn::Max(hn::RearrangeToOddPlusEven(s2, o2), hn::RearrangeToOddPlusEven(s3, o3)));
        };
        int8_t* cell = output + row / 4 * r.channels;
        StoreChannels(most(a0, a0_odd, a1, a1_odd, a2, a2_odd, a3, a3_odd), r, low, channel, cell);
        StoreChannels(most(b0, b0_odd, b1, b1_odd, b2, b2_odd, b3, b3_odd), r, high, channel + lanes, cell);
        continue;
      }
      store(0, a0, a0_odd, b0, b0_odd);
      store(1, a1, a1_odd, b1, b1_odd);
      store(2, a2, a2_odd, b2, b2_odd);
      store(3, a3, a3_odd, b3, b3_odd);
    }
  }
}

// |x − zero_point| ≤ 255 and |w| ≤ 128: sums of this many products stay below 2^24, where floats are exact.
constexpr size_t kExactTaps = 512;

void RunDepthwise(const PackedDepthwise& layer, const float* expanded, std::span<const uint32_t> origins,
                  int8_t* output) {
  const I32 d;
  const F32 df;
  const size_t lanes = hn::Lanes(d);
  const Requantizer& r = layer.requantizer;
  for (size_t channel = 0; channel < r.channels; channel += lanes) {
    const Factors factors = LoadFactors(r, channel);
    const V32 bias = hn::Load(d, r.bias.data() + channel);
    const float* weights = layer.weights.data() + channel;
    for (size_t row = 0; row < origins.size(); row += 4) {
      const size_t last = origins.size() - 1;
      const float* x0 = expanded + origins[row] + channel;
      const float* x1 = expanded + origins[std::min(row + 1, last)] + channel;
      const float* x2 = expanded + origins[std::min(row + 2, last)] + channel;
      const float* x3 = expanded + origins[std::min(row + 3, last)] + channel;
      V32 sum0 = bias, sum1 = bias, sum2 = bias, sum3 = bias;
      for (size_t first = 0; first < layer.offsets.size(); first += kExactTaps) {
        const size_t end = std::min(first + kExactTaps, layer.offsets.size());
        auto s0 = hn::Zero(df), s1 = s0, s2 = s0, s3 = s0;
        for (size_t tap = first; tap < end; ++tap) {
          const size_t offset = layer.offsets[tap];
          const auto w = hn::Load(df, weights + tap * layer.cell_stride);
          s0 = hn::MulAdd(hn::LoadU(df, x0 + offset), w, s0);
          s1 = hn::MulAdd(hn::LoadU(df, x1 + offset), w, s1);
          s2 = hn::MulAdd(hn::LoadU(df, x2 + offset), w, s2);
          s3 = hn::MulAdd(hn::LoadU(df, x3 + offset), w, s3);
        }
        sum0 = hn::Add(sum0, hn::ConvertTo(d, s0));
        sum1 = hn::Add(sum1, hn::ConvertTo(d, s1));
        sum2 = hn::Add(sum2, hn::ConvertTo(d, s2));
        sum3 = hn::Add(sum3, hn::ConvertTo(d, s3));
      }
      const auto store = [&](size_t i, V32 sum) HWY_ATTR {
        if (row + i <= last) StoreChannels(sum, r, factors, channel, output + (row + i) * r.channels);
      };
      store(0, sum0);
      store(1, sum1);
      store(2, sum2);
      store(3, sum3);
    }
  }
}

void RunAdd(const AddParameters& p, const int8_t* a, const int8_t* b, int8_t* output, size_t count) {
  const I32 d;
  const I8 bytes;
  const size_t lanes = hn::Lanes(d);
  const Factors first = SetFactors(p.multipliers[0]);
  const Factors second = SetFactors(p.multipliers[1]);
  const Factors sum = SetFactors(p.output_multiplier);
  const auto scaled = [&](const int8_t* values, int32_t zero_point, const Factors& factors) HWY_ATTR {
    const V32 centred = hn::Sub(hn::PromoteTo(d, hn::LoadU(bytes, values)), hn::Set(d, zero_point));
    return Multiply(hn::ShiftLeft<AddParameters::kLeftShift>(centred), factors);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const V32 total =
        hn::Add(scaled(a + i, p.zero_points[0], first), scaled(b + i, p.zero_points[1], second));
    StoreBytes(Multiply(total, sum), p.output_zero_point, p.range, output + i, lanes);
  }
  for (; i < count; ++i) output[i] = add(p, a[i], b[i]);
}

void AccumulateMaxima(const int8_t* values, size_t cells, size_t channels, int8_t* maxima) {
  const hn::ScalableTag<int8_t> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t c = 0; c < channels; c += lanes) {
    auto most = hn::LoadU(d, maxima + c);
    for (size_t cell = 0; cell < cells; ++cell)
      most = hn::Max(most, hn::LoadU(d, values + cell * channels + c));
    hn::StoreU(most, d, maxima + c);
  }
}

void AccumulateSums(const int8_t* values, size_t cells, size_t channels, int32_t* sums) {
  const I32 d;
  const I8 bytes;
  const size_t lanes = hn::Lanes(d);
  for (size_t c = 0; c < channels; c += lanes) {
    V32 even = hn::LoadU(d, sums + c);
    V32 odd = hn::Zero(d);
    size_t cell = 0;
    for (; cell + 2 <= cells; cell += 2) {
      even = hn::Add(even, hn::PromoteTo(d, hn::LoadU(bytes, values + cell * channels + c)));
      odd = hn::Add(odd, hn::PromoteTo(d, hn::LoadU(bytes, values + (cell + 1) * channels + c)));
    }
    if (cell < cells) even = hn::Add(even, hn::PromoteTo(d, hn::LoadU(bytes, values + cell * channels + c)));
    hn::StoreU(hn::Add(even, odd), d, sums + c);
  }
}

}  // namespace retort::int8::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::int8::kernels {

HWY_EXPORT(Lanes);
HWY_EXPORT(ExpandShorts);
HWY_EXPORT(ExpandFloats);
HWY_EXPORT(RunLayer);
HWY_EXPORT(RunDepthwise);
HWY_EXPORT(RunAdd);
HWY_EXPORT(AccumulateMaxima);
HWY_EXPORT(AccumulateSums);

size_t vector_lanes() {
  return HWY_DYNAMIC_DISPATCH(Lanes)();
}

Requantizer make_requantizer(const LayerParameters& parameters) {
  Requantizer made;
  made.zero_point = parameters.output_zero_point;
  made.range = parameters.range;
  made.channels = parameters.multipliers.size();
  const size_t group = 2 * vector_lanes();
  const size_t padded = (made.channels + group - 1) / group * group;
  for (size_t c = 0; c < padded; ++c) {
    const Multiplier multiplier = c < made.channels ? parameters.multipliers[c] : Multiplier{};
    const int right = std::max(-multiplier.shift, 0);
    made.bias.push_back(c < made.channels ? parameters.bias[c] : 0);
    made.mantissas.push_back(multiplier.mantissa);
    made.left_shifts.push_back(std::max(multiplier.shift, 0));
    made.right_shifts.push_back(right);
    made.masks.push_back(static_cast<int32_t>((int64_t{1} << right) - 1));
  }
  return made;
}

bool never_wraps(const LayerParameters& parameters, std::span<const int64_t> weight_sizes) {
  constexpr int64_t most = (int64_t{1} << 31) - 1;
  for (size_t c = 0; c < weight_sizes.size(); ++c) {
    // |x − zero point| ≤ 255
    const int64_t sum = std::abs(int64_t{parameters.bias[c]}) + 255 * weight_sizes[c];
    if (sum > most >> std::max(parameters.multipliers[c].shift, 0)) return false;
  }
  return true;
}

void expand(const Border& border, const int8_t* source, int16_t* target) {
  HWY_DYNAMIC_DISPATCH(ExpandShorts)(border, source, target);
}
void expand(const Border& border, const int8_t* source, float* target) {
  HWY_DYNAMIC_DISPATCH(ExpandFloats)(border, source, target);
}
void run_layer(const PackedLayer& layer, const int16_t* expanded, std::span<const uint32_t> origins,
               int8_t* output) {
  HWY_DYNAMIC_DISPATCH(RunLayer)(layer, expanded, origins, output);
}
void run_depthwise(const PackedDepthwise& layer, const float* expanded, std::span<const uint32_t> origins,
                   int8_t* output) {
  HWY_DYNAMIC_DISPATCH(RunDepthwise)(layer, expanded, origins, output);
}
void run_add(const AddParameters& parameters, const int8_t* a, const int8_t* b, int8_t* output,
             size_t count) {
  HWY_DYNAMIC_DISPATCH(RunAdd)(parameters, a, b, output, count);
}
void accumulate_maxima(const int8_t* values, size_t cells, size_t channels, int8_t* maxima) {
  HWY_DYNAMIC_DISPATCH(AccumulateMaxima)(values, cells, channels, maxima);
}
void accumulate_sums(const int8_t* values, size_t cells, size_t channels, int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(AccumulateSums)(values, cells, channels, sums);
}

}  // namespace retort::int8::kernels
#endif  // HWY_ONCE
