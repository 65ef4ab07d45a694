#include "int8/evaluator_vnni.h"

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // in GCC's own intrinsics (its bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// Each function here says which instructions it may use, so that none of them leaks into the rest of the
// program; templates and inline functions of other headers stay what they are.
#define RETORT_VNNI __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define RETORT_VNNI_INLINE RETORT_VNNI __attribute__((always_inline)) inline
#endif

namespace retort::int8::kernels::vnni {

std::vector<size_t> blocks_of(size_t groups) {
  constexpr size_t most = 4;  // whose sums, for several rows, the registers hold
  const size_t count = (groups + most - 1) / most;
  std::vector<size_t> blocks;
  for (size_t i = 0; i < count; ++i) blocks.push_back(groups / count + (i < groups % count ? 1 : 0));
  return blocks;
}

Requantizer make_requantizer(const LayerParameters& parameters, std::span<const int64_t> weight_sums) {
  constexpr int most_right = 22;  // addends stay below 2^62
  Requantizer made;
  made.channels = parameters.multipliers.size();
  made.range = parameters.range;
  made.zero_point = parameters.output_zero_point;
  bool one_shift = true;
  const size_t padded = (made.channels + kLanes - 1) / kLanes * kLanes;
  for (size_t c = 0; c < padded; ++c) {
    const bool inside = c < made.channels;
    const Multiplier multiplier = inside ? parameters.multipliers[c] : Multiplier{};
    const int left = std::max(multiplier.shift, 0);
    // A factor of 0 gives 0 after any shift.
    const int right = multiplier.mantissa == 0 ? 1 : std::max(-multiplier.shift, 0);
    const int64_t offset = inside ? (128 + int64_t{parameters.input_zero_point}) * weight_sums[c] : 0;
    const int32_t bias = inside ? parameters.bias[c] : 0;
    made.bias.push_back(static_cast<int32_t>(static_cast<uint32_t>(bias) - static_cast<uint32_t>(offset)));
    made.mantissas.push_back(multiplier.mantissa);
    made.left_shifts.push_back(left);
    made.right_shifts.push_back(right);
    one_shift = one_shift && left == 0 && right >= 1 && right <= most_right && multiplier.mantissa >= 0;
  }
  if (!one_shift) return made;
  made.rounding = made.range.minimum >= made.zero_point ? Rounding::Rectified : Rounding::Signed;
  for (size_t group = 0; group < padded; group += kLanes)
    for (size_t odd = 0; odd < 2; ++odd)
      for (size_t c = group + odd; c < group + kLanes; c += 2) {
        const int right = made.right_shifts[c];
        made.addends.push_back((int64_t{1} << 30) + (int64_t{1} << (30 + right)) +
                               made.zero_point * (int64_t{1} << (31 + right)));
        // Odd channels' results stay in the upper half of the product's 64 bits, where they belong.
        made.shifts.push_back(odd == 0 ? 31 + right : right - 1);
      }
  return made;
}

std::optional<Add> make_add(const AddParameters& parameters) {
  constexpr Multiplier half{1 << 30, 0};
  Add made;
  made.swapped = parameters.multipliers[0] != half;
  const size_t halved = made.swapped ? 1 : 0;
  const Multiplier& other = parameters.multipliers[1 - halved];
  if (parameters.multipliers[halved] != half || other.shift > 0 || other.mantissa < 0) return std::nullopt;
  made.zero_points = {parameters.zero_points[halved], parameters.zero_points[1 - halved]};
  made.high = other.mantissa >> 11;
  made.low = other.mantissa & ((1 << 11) - 1);
  made.right = -other.shift;
  LayerParameters sum;
  sum.output_zero_point = parameters.output_zero_point;
  sum.range = parameters.range;
  sum.multipliers.assign(kLanes, parameters.output_multiplier);
  sum.bias.assign(kLanes, 0);
  const std::array<int64_t, kLanes> sums{};
  made.sum = make_requantizer(sum, sums);
  return made;
}

size_t depthwise_scratch_bytes(const Border& border) {
  return static_cast<size_t>(border.rows) * static_cast<size_t>(border.row_cells) * kLanes * kQuad;
}

#if defined(__x86_64__)

bool available() {
  static const bool has_it =
      __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  // What Highway calls the CPUs that have VNNI, but for the first of them, which lacked the rest.
  static const int64_t target = __builtin_cpu_supports("avx512vbmi2") != 0 ? HWY_AVX3_DL : HWY_AVX3;
  return has_it && (hwy::SupportedTargets() & target) != 0;
}

namespace {

// One group's factors.
struct Factors {
  __m512i mantissa;
  __m512i odd_mantissa;
  __m512i left;
  __m512i right;
  __m512i addend;
  __m512i odd_addend;
  __m512i shift;
  __m512i odd_shift;
};

template <Rounding rounding>
RETORT_VNNI_INLINE Factors load_factors(const Requantizer& r, size_t channel) {
  Factors made;
  made.mantissa = _mm512_load_si512(r.mantissas.data() + channel);
  made.odd_mantissa = _mm512_srli_epi64(made.mantissa, 32);
  if constexpr (rounding == Rounding::General) {
    made.left = _mm512_load_si512(r.left_shifts.data() + channel);
    made.right = _mm512_load_si512(r.right_shifts.data() + channel);
  } else {
    made.addend = _mm512_load_si512(r.addends.data() + channel);
    made.odd_addend = _mm512_load_si512(r.addends.data() + channel + kLanes / 2);
    made.shift = _mm512_load_si512(r.shifts.data() + channel);
    made.odd_shift = _mm512_load_si512(r.shifts.data() + channel + kLanes / 2);
  }
  return made;
}

constexpr __mmask16 kOddLanes = 0xAAAA;

// From sums to values on the output's grid, not yet within its range.
template <Rounding rounding>
RETORT_VNNI_INLINE __m512i scale(__m512i x, const Factors& by, int32_t zero_point) {
  if constexpr (rounding == Rounding::General) {
    const __m512i half = _mm512_set1_epi64(int64_t{1} << 30);
    const __m512i one = _mm512_set1_epi32(1);
    x = _mm512_sllv_epi32(x, by.left);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, by.mantissa), half);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), by.odd_mantissa), half);
    const __m512i high =
        _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 31), kOddLanes, _mm512_slli_epi64(odd, 1));
    const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, by.right), one);
    const __m512i threshold = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(high, 31));
    const __mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(high, mask), threshold);
    const __m512i shifted = _mm512_srav_epi32(high, by.right);
    return _mm512_add_epi32(_mm512_mask_add_epi32(shifted, up, shifted, one), _mm512_set1_epi32(zero_point));
  } else {
    if constexpr (rounding == Rounding::Rectified) x = _mm512_max_epi32(x, _mm512_setzero_si512());
    const __m512i odd_x = _mm512_srli_epi64(x, 32);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, by.mantissa), by.addend);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_x, by.odd_mantissa), by.odd_addend);
    if constexpr (rounding == Rounding::Signed) {
      const __m512i sign = _mm512_set1_epi64(int64_t{1} << 31);
      even = _mm512_sub_epi64(even, _mm512_and_si512(x, sign));
      odd = _mm512_sub_epi64(odd, _mm512_and_si512(odd_x, sign));
    }
    return _mm512_mask_mov_epi32(_mm512_srav_epi64(even, by.shift), kOddLanes,
                                 _mm512_srav_epi64(odd, by.odd_shift));
  }
}

// An output's range, for bytes.
RETORT_VNNI_INLINE __m512i minimum_of(const ValueRange& range) {
  return _mm512_set1_epi8(static_cast<char>(range.minimum));
}
RETORT_VNNI_INLINE __m512i maximum_of(const ValueRange& range) {
  return _mm512_set1_epi8(static_cast<char>(range.maximum));
}

// One vector of values to bytes within their range, the first `count` of which are stored.
RETORT_VNNI_INLINE void store(__m512i values, __m512i minimum, __m512i maximum, int8_t* to, size_t count) {
  const __m128i bytes =
      _mm_min_epi8(_mm_max_epi8(_mm512_cvtsepi32_epi8(values), _mm512_castsi512_si128(minimum)),
                   _mm512_castsi512_si128(maximum));
  if (count >= kLanes)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  else
    _mm_mask_storeu_epi8(to, static_cast<__mmask16>((1U << count) - 1U), bytes);
}

// Four vectors, one after another.
RETORT_VNNI_INLINE __m512i pack(__m512i a, __m512i b, __m512i c, __m512i d, __m512i minimum,
                                __m512i maximum) {
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  // Packing interleaves the vectors' quarters.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_min_epi8(_mm512_max_epi8(bytes, minimum), maximum));
}

RETORT_VNNI_INLINE void store_quarters(__m512i bytes, int8_t* to, size_t stride) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + stride), _mm512_extracti32x4_epi32(bytes, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * stride), _mm512_extracti32x4_epi32(bytes, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * stride), _mm512_extracti32x4_epi32(bytes, 3));
}

// sum += value · by, in place: GCC 12 copies the intrinsic's accumulators around in loops.
RETORT_VNNI_INLINE void add_products(__m512i& sum, __m512i value, __m512i by) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(value), "v"(by));
}

// Where the `kRows` windows from `row` on begin; the last stands in for those beyond it.
template <size_t kRows>
struct Origins {
  RETORT_VNNI_INLINE Origins(std::span<const uint32_t> origins, size_t row) : first(origins.data() + row) {
    if (row + kRows <= origins.size()) return;
    for (size_t i = 0; i < kRows; ++i) padded[i] = origins[std::min(row + i, origins.size() - 1)];
    first = padded;
  }
  uint32_t padded[kRows];
  const uint32_t* first;
};

RETORT_VNNI_INLINE __m512i broadcast_quad(const uint8_t* quad) {
  int32_t all = 0;
  std::memcpy(&all, quad, sizeof(all));
  return _mm512_set1_epi32(all);
}

// `kRows` rows of `kGroups` whole groups, `channels` apart.
template <size_t kGroups, size_t kRows>
RETORT_VNNI_INLINE void store_all(const __m512i (&values)[kRows][kGroups], __m512i minimum, __m512i maximum,
                                  int8_t* to, size_t channels) {
  if constexpr (kGroups == 4) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i)
      _mm512_storeu_si512(to + i * channels,
                          pack(values[i][0], values[i][1], values[i][2], values[i][3], minimum, maximum));
  } else if constexpr (kGroups == 2 && kRows % 2 == 0) {
#pragma GCC unroll 4
    for (size_t i = 0; i < kRows; i += 2) {
      const __m512i bytes =
          pack(values[i][0], values[i][1], values[i + 1][0], values[i + 1][1], minimum, maximum);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * channels), _mm512_castsi512_si256(bytes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (i + 1) * channels),
                          _mm512_extracti64x4_epi64(bytes, 1));
    }
  } else if constexpr (kRows % 4 == 0) {
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups; ++g)
#pragma GCC unroll 2
      for (size_t i = 0; i < kRows; i += 4)
        store_quarters(
            pack(values[i][g], values[i + 1][g], values[i + 2][g], values[i + 3][g], minimum, maximum),
            to + i * channels + g * kLanes, channels);
  } else {
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups; ++g)
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i)
        store(values[i][g], minimum, maximum, to + i * channels + g * kLanes, kLanes);
  }
}

// `kGroups` groups from `channel` on, for all rows, `kRows` at a time.
template <size_t kGroups, size_t kRows, Rounding rounding, Rows rows>
RETORT_VNNI void run_block(const Layer& layer, const int8_t* weights, size_t channel, const uint8_t* expanded,
                           std::span<const uint32_t> origins, int8_t* output) {
  constexpr size_t kPooled = rows == Rows::PooledFours ? 4 : 1;
  constexpr size_t kOutputs = kRows / kPooled;
  const Requantizer& r = layer.requantizer;
  const int32_t* bias = r.bias.data() + channel;
  const size_t channels = r.channels;
  const int32_t zero_point = r.zero_point;
  const __m512i minimum = minimum_of(r.range);
  const __m512i maximum = maximum_of(r.range);
  const bool whole = channel + kGroups * kLanes <= channels;
  const uint32_t* const offsets_end = layer.offsets.data() + layer.offsets.size();
  const size_t last = origins.size() - 1;
  for (size_t row = 0; row <= last; row += kRows) {
    const Origins<kRows> from(origins, row);
    const uint8_t* x[kRows];
    __m512i sums[kRows][kGroups];
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      x[i] = expanded + from.first[i];
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g) sums[i][g] = _mm512_load_si512(bias + g * kLanes);
    }
    const int8_t* w = weights;
    for (const uint32_t* at = layer.offsets.data(); at != offsets_end; ++at) {
      const size_t offset = *at;
      __m512i by[kGroups];
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g) by[g] = _mm512_load_si512(w + g * kLanes * kQuad);
      w += kGroups * kLanes * kQuad;
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const __m512i value = broadcast_quad(x[i] + offset);
#pragma GCC unroll 4
        for (size_t g = 0; g < kGroups; ++g) add_products(sums[i][g], value, by[g]);
      }
    }
    __m512i values[kOutputs][kGroups];
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups; ++g) {
      const Factors factors = load_factors<rounding>(r, channel + g * kLanes);
#pragma GCC unroll 8
      for (size_t i = 0; i < kOutputs; ++i) {
        __m512i sum = sums[i * kPooled][g];
#pragma GCC unroll 3
        for (size_t k = 1; k < kPooled; ++k) sum = _mm512_max_epi32(sum, sums[i * kPooled + k][g]);
        values[i][g] = scale<rounding>(sum, factors, zero_point);
      }
    }
    int8_t* to = output + row / kPooled * channels + channel;
    if (whole && row + kRows <= origins.size()) {
      store_all(values, minimum, maximum, to, channels);
      continue;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kOutputs; ++i) {
      if (row + i * kPooled > last) break;
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g)
        if (channel + g * kLanes < channels)
          store(values[i][g], minimum, maximum, to + i * channels + g * kLanes,
                channels - channel - g * kLanes);
    }
  }
}

using Block = void (*)(const Layer&, const int8_t*, size_t, const uint8_t*, std::span<const uint32_t>,
                       int8_t*);

template <Rounding rounding, Rows rows>
Block block_of(size_t groups) {
  constexpr std::array<Block, 4> blocks = {run_block<1, 8, rounding, rows>, run_block<2, 8, rounding, rows>,
                                           run_block<3, 8, rounding, rows>, run_block<4, 4, rounding, rows>};
  return blocks[groups - 1];
}

template <Rounding rounding>
Block block_of(size_t groups, Rows rows) {
  return rows == Rows::Single ? block_of<rounding, Rows::Single>(groups)
                              : block_of<rounding, Rows::PooledFours>(groups);
}

Block block_of(size_t groups, Rounding rounding, Rows rows) {
  switch (rounding) {
    case Rounding::Rectified:
      return block_of<Rounding::Rectified>(groups, rows);
    case Rounding::Signed:
      return block_of<Rounding::Signed>(groups, rows);
    case Rounding::General:
      break;
  }
  return block_of<Rounding::General>(groups, rows);
}

RETORT_VNNI void flip_signs(const int8_t* source, uint8_t* target, size_t count) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  size_t i = 0;
  for (; i + 64 <= count; i += 64)
    _mm512_storeu_si512(target + i, _mm512_xor_si512(_mm512_loadu_si512(source + i), sign));
  if (i == count) return;
  const __mmask64 rest = (__mmask64{1} << (count - i)) - 1;
  _mm512_mask_storeu_epi8(target + i, rest,
                          _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, source + i), sign));
}

// A group's channels of an image with its border, as quads of a cell and the three to its right.
RETORT_VNNI void expand_quads(const Border& border, const int8_t* source, size_t channel, uint8_t* target) {
  const auto cells = static_cast<size_t>(border.row_cells);
  const auto channels = static_cast<size_t>(border.channels);
  const auto outputs = channels * static_cast<size_t>(border.multiplier);
  const __m512i outside = _mm512_set1_epi32(border.zero_point + 128);
  const __m512i all_outside = _mm512_set1_epi8(static_cast<char>(border.zero_point + 128));
  const size_t left = static_cast<size_t>(border.pad_left);
  const size_t inside_end = std::min(left + static_cast<size_t>(border.width), cells);
  const __mmask16 mask = outputs - channel >= kLanes
                             ? __mmask16{0xFFFF}
                             : static_cast<__mmask16>((1U << (outputs - channel)) - 1U);
  const __m128i sign = _mm_set1_epi8(static_cast<char>(0x80));
  // Which of the input's channels the outputs read, where they are not the same.
  std::array<size_t, kLanes> reads{};
  for (size_t i = 0; i < kLanes; ++i)
    reads[i] = std::min(channel + i, outputs - 1) / static_cast<size_t>(border.multiplier);
  for (int row = 0; row < border.rows; ++row, target += cells * kLanes * kQuad) {
    const int y = row - border.pad_top;
    if (y < 0 || y >= border.height) {
      for (size_t cell = 0; cell < cells; ++cell)
        _mm512_store_si512(target + cell * kLanes * kQuad, all_outside);
      continue;
    }
    const int8_t* from = source + static_cast<size_t>(y) * static_cast<size_t>(border.width) * channels;
    __m512i quads = all_outside;
    const auto push = [&](size_t cell, __m512i value) RETORT_VNNI {
      quads = _mm512_or_si512(_mm512_slli_epi32(quads, 8), value);
      _mm512_store_si512(target + cell * kLanes * kQuad, quads);
    };
    size_t cell = cells;
    while (cell > inside_end) push(--cell, outside);
    if (border.multiplier == 1) {
      while (cell > left) {
        --cell;
        const __m128i bytes = _mm_maskz_loadu_epi8(mask, from + (cell - left) * channels + channel);
        push(cell, _mm512_cvtepu8_epi32(_mm_xor_si128(bytes, sign)));
      }
    } else {
      while (cell > left) {
        --cell;
        alignas(16) std::array<int8_t, kLanes> bytes{};
        for (size_t i = 0; i < kLanes; ++i) bytes[i] = from[(cell - left) * channels + reads[i]];
        push(cell, _mm512_cvtepu8_epi32(
                       _mm_xor_si128(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data())), sign)));
      }
    }
    while (cell > 0) push(--cell, outside);
  }
}

template <Rounding rounding>
RETORT_VNNI void run_depthwise_group(const Depthwise& layer, const int8_t* weights, size_t channel,
                                     const uint8_t* quads, std::span<const uint32_t> origins,
                                     int8_t* output) {
  constexpr size_t rows = 8;
  const Requantizer& r = layer.requantizer;
  const __m512i minimum = minimum_of(r.range);
  const __m512i maximum = maximum_of(r.range);
  const Factors factors = load_factors<rounding>(r, channel);
  const __m512i bias = _mm512_load_si512(r.bias.data() + channel);
  const size_t channels = r.channels;
  const int32_t zero_point = r.zero_point;
  const bool whole = channel + kLanes <= channels;
  const uint32_t* const offsets_end = layer.offsets.data() + layer.offsets.size();
  const size_t last = origins.size() - 1;
  for (size_t row = 0; row <= last; row += rows) {
    const Origins<rows> from(origins, row);
    const uint8_t* x[rows];
    __m512i values[rows][1];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) {
      x[i] = quads + from.first[i] * kLanes * kQuad;
      values[i][0] = bias;
    }
    const int8_t* w = weights;
    for (const uint32_t* offset = layer.offsets.data(); offset != offsets_end; ++offset) {
      const __m512i by = _mm512_load_si512(w);
      w += kLanes * kQuad;
      const size_t at = *offset * kLanes * kQuad;
#pragma GCC unroll 8
      for (size_t i = 0; i < rows; ++i) add_products(values[i][0], _mm512_load_si512(x[i] + at), by);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) values[i][0] = scale<rounding>(values[i][0], factors, zero_point);
    int8_t* to = output + row * channels + channel;
    if (whole && row + rows <= origins.size()) {
      store_all(values, minimum, maximum, to, channels);
      continue;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) {
      if (row + i > last) break;
      store(values[i][0], minimum, maximum, to + i * channels, channels - channel);
    }
  }
}

// The other input of an addition, scaled.
template <bool rounds>
RETORT_VNNI_INLINE __m512i scale_other(const Add& add, __m512i d) {
  const __m512i low =
      _mm512_add_epi32(_mm512_mullo_epi32(d, _mm512_set1_epi32(add.low)), _mm512_set1_epi32(1 << 10));
  const __m512i high =
      _mm512_add_epi32(_mm512_mullo_epi32(d, _mm512_set1_epi32(add.high)), _mm512_srai_epi32(low, 11));
  if constexpr (!rounds) return high;
  const __m512i half = _mm512_set1_epi32(1 << (add.right - 1));
  return _mm512_sra_epi32(_mm512_add_epi32(_mm512_add_epi32(high, half), _mm512_srai_epi32(high, 31)),
                          _mm_cvtsi32_si128(add.right));
}

template <Rounding rounding, bool rounds>
RETORT_VNNI void run_add(const Add& add, const int8_t* a, const int8_t* b, int8_t* output, size_t count) {
  const Factors factors = load_factors<rounding>(add.sum, 0);
  const __m512i minimum = minimum_of(add.sum.range);
  const __m512i maximum = maximum_of(add.sum.range);
  const __m512i first_zero = _mm512_set1_epi32(add.zero_points[0]);
  const __m512i second_zero = _mm512_set1_epi32(add.zero_points[1]);
  for (size_t i = 0; i < count; i += kLanes) {
    const size_t rest = count - i;
    const __mmask16 mask = rest >= kLanes ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << rest) - 1U);
    const __m512i x = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, a + i));
    const __m512i y = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, b + i));
    const __m512i halved = _mm512_slli_epi32(_mm512_sub_epi32(x, first_zero), 19);
    const __m512i sum = _mm512_add_epi32(halved, scale_other<rounds>(add, _mm512_sub_epi32(y, second_zero)));
    store(scale<rounding>(sum, factors, add.sum.zero_point), minimum, maximum, output + i, rest);
  }
}

template <Rounding rounding>
void run_add(const Add& add, const int8_t* a, const int8_t* b, int8_t* output, size_t count) {
  if (add.right == 0)
    run_add<rounding, false>(add, a, b, output, count);
  else
    run_add<rounding, true>(add, a, b, output, count);
}

}  // namespace

void run_add(const Add& add, const int8_t* a, const int8_t* b, int8_t* output, size_t count) {
  if (add.swapped) std::swap(a, b);
  switch (add.sum.rounding) {
    case Rounding::Rectified:
      return run_add<Rounding::Rectified>(add, a, b, output, count);
    case Rounding::Signed:
      return run_add<Rounding::Signed>(add, a, b, output, count);
    case Rounding::General:
      return run_add<Rounding::General>(add, a, b, output, count);
  }
}

void expand(const Border& border, const int8_t* source, uint8_t* target) {
  const auto channels = static_cast<size_t>(border.channels);
  const size_t row_size = static_cast<size_t>(border.row_cells) * channels;
  const size_t left = static_cast<size_t>(border.pad_left) * channels;
  const size_t inside =
      static_cast<size_t>(std::min(border.width, border.row_cells - border.pad_left)) * channels;
  const int outside = border.zero_point + 128;
  if (row_size == inside && border.width == border.row_cells && border.pad_top == 0) {
    const int rows = std::min(border.rows, border.height);
    flip_signs(source, target, static_cast<size_t>(rows) * row_size);
    std::memset(target + static_cast<size_t>(rows) * row_size, outside,
                static_cast<size_t>(border.rows - rows) * row_size);
    return;
  }
  for (int row = 0; row < border.rows; ++row, target += row_size) {
    const int y = row - border.pad_top;
    if (y < 0 || y >= border.height) {
      std::memset(target, outside, row_size);
      continue;
    }
    std::memset(target, outside, left);
    flip_signs(source + static_cast<size_t>(y) * static_cast<size_t>(border.width) * channels, target + left,
               inside);
    std::memset(target + left + inside, outside, row_size - left - inside);
  }
}

void run_layer(const Layer& layer, const uint8_t* expanded, std::span<const uint32_t> origins,
               int8_t* output) {
  const int8_t* weights = layer.weights.data();
  size_t channel = 0;
  for (const size_t groups : blocks_of((layer.requantizer.channels + kLanes - 1) / kLanes)) {
    block_of(groups, layer.requantizer.rounding, layer.rows)(layer, weights, channel, expanded, origins,
                                                             output);
    weights += layer.offsets.size() * groups * kLanes * kQuad;
    channel += groups * kLanes;
  }
}

void run_depthwise(const Depthwise& layer, const Border& border, const int8_t* source, uint8_t* scratch,
                   std::span<const uint32_t> origins, int8_t* output) {
  const Requantizer& r = layer.requantizer;
  const int8_t* weights = layer.weights.data();
  for (size_t channel = 0; channel < r.channels; channel += kLanes) {
    expand_quads(border, source, channel, scratch);
    switch (r.rounding) {
      case Rounding::Rectified:
        run_depthwise_group<Rounding::Rectified>(layer, weights, channel, scratch, origins, output);
        break;
      case Rounding::Signed:
        run_depthwise_group<Rounding::Signed>(layer, weights, channel, scratch, origins, output);
        break;
      case Rounding::General:
        run_depthwise_group<Rounding::General>(layer, weights, channel, scratch, origins, output);
        break;
    }
    weights += layer.offsets.size() * kLanes * kQuad;
  }
}

#else  // other CPUs: nobody calls these

bool available() {
  return false;
}
void expand(const Border&, const int8_t*, uint8_t*) {}
void run_layer(const Layer&, const uint8_t*, std::span<const uint32_t>, int8_t*) {}
void run_depthwise(const Depthwise&, const Border&, const int8_t*, uint8_t*, std::span<const uint32_t>,
                   int8_t*) {}
void run_add(const Add&, const int8_t*, const int8_t*, int8_t*, size_t) {}

#endif

}  // namespace retort::int8::kernels::vnni
