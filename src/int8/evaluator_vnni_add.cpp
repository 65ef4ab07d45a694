// Additions, of which one input has the factor one half.
#include <array>
#include <utility>

#include "int8/evaluator_vnni.h"
#include "int8/evaluator_vnni_vectors.h"

namespace retort::int8::kernels::vnni {

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

#if defined(__x86_64__)

namespace {

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

#else  // other CPUs: nobody calls these

void run_add(const Add&, const int8_t*, const int8_t*, int8_t*, size_t) {}

#endif

}  // namespace retort::int8::kernels::vnni
