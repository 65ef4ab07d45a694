// Vector helpers that every kernel file compiles once per instruction set. Included after
// hwy/foreach_target.h; the guard is Highway's, which lets the file through once for each target.
#if defined(RETORT_ENGINE_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef RETORT_ENGINE_KERNELS_LANES_INL_H_
#undef RETORT_ENGINE_KERNELS_LANES_INL_H_
#else
#define RETORT_ENGINE_KERNELS_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>
#include <type_traits>

#include "engine/kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
// Arrays of vectors live in registers only when every loop over them is unrolled.
#ifndef RETORT_UNROLL
#define RETORT_UNROLL _Pragma("GCC unroll 32")
#endif

namespace retort::engine::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The vector for blocks of B channels: B lanes, or as many as the target has; a block is then B / N vectors.
template <int B>
using BlockTag = hn::CappedTag<float, static_cast<size_t>(B)>;
using WideTag = hn::ScalableTag<float>;

// All activations are clamps; their gradients pass strictly between the limits.
struct Limits {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};
inline Limits limits_of(Activation activation) {
  Limits limits;
  if (activation != Activation::None) limits.low = 0;
  if (activation == Activation::Relu6) limits.high = 6;
  return limits;
}

template <class D>
struct Clamp {
  using V = hn::Vec<D>;
  V low;
  V high;
  HWY_INLINE Clamp(D d, Activation activation)
      : low(hn::Set(d, limits_of(activation).low)), high(hn::Set(d, limits_of(activation).high)) {}
  // The limits come first so that a NaN passes on (x86 returns the second operand).
  HWY_INLINE V operator()(V v) const { return hn::Min(high, hn::Max(low, v)); }
  HWY_INLINE hn::Mask<D> passes(V y) const { return hn::And(hn::Gt(y, low), hn::Lt(y, high)); }
};

// Calls body(tag, i) for vectors covering [0, n), then for single elements.
template <class Body>
HWY_INLINE void for_each_vector(size_t n, const Body& body) {
  const WideTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(d, i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) body(one, i);
}

// Whether all numbers that it saw are finite: x - x is 0 for those and NaN for others, and a NaN stays in a sum.
struct FiniteCheck {
  hn::Vec<WideTag> wide;
  float single = 0;

  HWY_INLINE FiniteCheck() : wide(hn::Zero(WideTag())) {}
  template <class D>
  HWY_INLINE void see(D, hn::Vec<D> v) {
    if constexpr (std::is_same_v<D, WideTag>)
      wide = hn::Add(wide, hn::Sub(v, v));
    else
      single += hn::GetLane(hn::Sub(v, v));
  }
  [[nodiscard]] HWY_INLINE bool all() const {
    return hn::GetLane(hn::SumOfLanes(WideTag(), wide)) + single == 0;
  }
};

// sums[i] += v[i] for the lanes of v.
template <class D>
HWY_INLINE void add_to_doubles(D d, hn::Vec<D> v, double* sums) {
  alignas(64) float values[16];  // the widest target's lanes
  hn::Store(v, d, values);
  for (size_t lane = 0; lane < hn::Lanes(d); ++lane) sums[lane] += static_cast<double>(values[lane]);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
