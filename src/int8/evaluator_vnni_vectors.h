// What the AVX-512 VNNI kernels share: products of bytes, and sums to bytes of the output (evaluator_vnni.h says
// how). Everything is inlined into its kernel, whose registers hold the vectors. Private to these kernels.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "int8/evaluator_vnni.h"

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // in GCC's own intrinsics (its bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// Each function of the kernels says which instructions it may use, so that none of them leaks into the rest of
// the program; templates and inline functions of other headers stay what they are.
#define RETORT_VNNI __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define RETORT_VNNI_INLINE RETORT_VNNI __attribute__((always_inline)) inline

namespace retort::int8::kernels::vnni {

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

inline constexpr __mmask16 kOddLanes = 0xAAAA;

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

}  // namespace retort::int8::kernels::vnni

#endif
