#include "int8/evaluator_vnni.h"

#include <hwy/targets.h>

#include <algorithm>

namespace retort::int8::kernels::vnni {

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

#if defined(__x86_64__)

bool available() {
  static const bool has_it =
      __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  // What Highway calls the CPUs that have VNNI, but for the first of them, which lacked the rest.
  static const int64_t target = __builtin_cpu_supports("avx512vbmi2") != 0 ? HWY_AVX3_DL : HWY_AVX3;
  return has_it && (hwy::SupportedTargets() & target) != 0;
}

#else  // other CPUs have none

bool available() {
  return false;
}

#endif

}  // namespace retort::int8::kernels::vnni
