#include "int8/arithmetic.h"

#include <cmath>

namespace retort::int8 {

Multiplier quantize_multiplier(double real) {
  if (real == 0) return {};
  int shift = 0;
  const double fraction = std::frexp(real, &shift);
  auto mantissa = static_cast<int64_t>(std::round(fraction * static_cast<double>(int64_t{1} << 31)));
  if (mantissa == int64_t{1} << 31) {
    mantissa /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  return {static_cast<int32_t>(mantissa), shift};
}

}  // namespace retort::int8
