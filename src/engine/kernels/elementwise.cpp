#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/elementwise.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/rng.h"
#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

void ActivationForward(size_t n, Activation activation, const float* x, float* y) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const Clamp<decltype(d)> clamp(d, activation);
    hn::StoreU(clamp(hn::LoadU(d, x + i)), d, y + i);
  });
}

void ActivationBackward(size_t n, Activation activation, const float* y, const float* dy, float* dx) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const Clamp<decltype(d)> clamp(d, activation);
    hn::StoreU(hn::IfThenElseZero(clamp.passes(hn::LoadU(d, y + i)), hn::LoadU(d, dy + i)), d, dx + i);
  });
}

void AddForward(size_t n, const float* a, const float* b, Activation activation, float* y) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const Clamp<decltype(d)> clamp(d, activation);
    hn::StoreU(clamp(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i))), d, y + i);
  });
}

void Accumulate(size_t n, const float* x, float* y) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  });
}

// Elements whose counters share their upper 32 bits: the lower ones go through two rounds of multiply and
// xor-shift with the stream's two words mixed in before and between.
void DropoutSegment(size_t n, uint32_t threshold, float factor, uint32_t word0, uint32_t word1,
                    uint32_t first, const float* x, float* y) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<uint32_t, decltype(d)> du;
    const hn::Rebind<int32_t, decltype(d)> di;
    // Iota from a start that is no constant would go through memory.
    const auto index = hn::Add(hn::Iota(du, 0), hn::Set(du, first + static_cast<uint32_t>(i)));
    auto h = hn::Xor(index, hn::Set(du, word0));
    h = hn::Xor(h, hn::ShiftRight<16>(h));
    h = hn::Mul(h, hn::Set(du, 0x7FEB352DU));
    h = hn::Xor(h, hn::ShiftRight<15>(h));
    h = hn::Add(h, hn::Set(du, word1));
    h = hn::Mul(h, hn::Set(du, 0x846CA68BU));
    h = hn::Xor(h, hn::ShiftRight<16>(h));
    h = hn::Mul(h, hn::Set(du, 0x9E3779B1U));
    const auto draw = hn::BitCast(di, hn::ShiftRight<8>(h));
    const auto dropped = hn::Gt(hn::Set(di, static_cast<int32_t>(threshold)), draw);
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor));
    hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(d, dropped), scaled), d, y + i);
  });
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(ActivationForward);
HWY_EXPORT(ActivationBackward);
HWY_EXPORT(AddForward);
HWY_EXPORT(Accumulate);
HWY_EXPORT(DropoutSegment);

void activation_forward(size_t n, Activation activation, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(ActivationForward)(n, activation, x, y);
}

void activation_backward(size_t n, Activation activation, const float* y, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(ActivationBackward)(n, activation, y, dy, dx);
}

void add_forward(size_t n, const float* a, const float* b, Activation activation, float* y) {
  HWY_DYNAMIC_DISPATCH(AddForward)(n, a, b, activation, y);
}

void accumulate(size_t n, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(Accumulate)(n, x, y);
}

void dropout(size_t n, float rate, uint64_t key, uint64_t offset, const float* x, float* y) {
  const auto threshold = static_cast<uint32_t>(std::lround(static_cast<double>(rate) * (1 << 24)));
  const float factor = 1.0F / (1.0F - rate);
  while (n > 0) {
    const auto upper = static_cast<uint32_t>(offset >> 32U);
    const auto lower = static_cast<uint32_t>(offset);
    const auto left = static_cast<size_t>((uint64_t{1} << 32U) - lower);
    const size_t part = std::min(n, left);
    const std::array<uint32_t, 4> words =
        philox4x32({upper, 0, 0, 0}, {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32U)});
    HWY_DYNAMIC_DISPATCH(DropoutSegment)(part, threshold, factor, words[0], words[1], lower, x, y);
    n -= part;
    offset += part;
    x += part;
    y += part;
  }
}

}  // namespace retort::engine::kernels
#endif
