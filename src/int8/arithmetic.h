// The integer arithmetic of TensorFlow Lite's int8 kernels: real factors as 32-bit mantissas and shifts,
// applied with two roundings (gemmlowp's, Jacob et al., arXiv 1712.05877). Everything wraps where 32-bit
// hardware does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace retort::int8 {

// A real factor: mantissa · 2^(shift − 31), with the mantissa in [2^30, 2^31) or 0.
struct Multiplier {
  int32_t mantissa = 0;
  int shift = 0;
  bool operator==(const Multiplier&) const = default;
};

// The multiplier nearest to `real` (finite, not negative). Factors below about 2^−32 become 0.
Multiplier quantize_multiplier(double real);

inline int32_t wrapping_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// x · 2^shift modulo 2^32; shift in [0, 31].
inline int32_t wrapping_shift_left(int32_t x, int shift) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) << shift);
}

// The high half of 2·a·b, rounded half up; INT_MIN · INT_MIN saturates. Rounding 'half away from zero,
// truncated', as the original says it, is the same thing: (ab + 1 − 2^30) / 2^31 truncated is (ab + 2^30) >>
// 31 for negative ab.
inline int32_t rounding_doubling_high_multiply(int32_t a, int32_t b) {
  if (a == std::numeric_limits<int32_t>::min() && b == a) return std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>((static_cast<int64_t>(a) * b + (int64_t{1} << 30)) >> 31);
}

// x / 2^exponent, rounded half away from zero; exponent in [0, 31].
inline int32_t rounding_divide_by_power_of_two(int32_t x, int exponent) {
  const auto mask = static_cast<int32_t>((int64_t{1} << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

inline int32_t multiply(int32_t x, const Multiplier& by) {
  const int32_t high =
      rounding_doubling_high_multiply(wrapping_shift_left(x, std::max(by.shift, 0)), by.mantissa);
  return rounding_divide_by_power_of_two(high, std::max(-by.shift, 0));
}

}  // namespace retort::int8
