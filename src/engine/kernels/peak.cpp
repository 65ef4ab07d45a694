#include "engine/kernels/peak.h"

#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/peak.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve chains hide the latency of the operation (4 or 5 cycles, two a cycle). Returns the operations done;
// `sink` takes the sums, so that no compiler leaves them out.
double MultiplyAdd(size_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.999F);
  const auto term = hn::Set(d, 0.001F);
  // Each starts elsewhere: a compiler may merge chains that are alike.
  const auto start = [&](float value) { return hn::Set(d, value); };
  auto a = start(0.1F), b = start(0.2F), c = start(0.3F), e = start(0.4F), f = start(0.5F), g = start(0.6F);
  auto h = start(0.7F), i = start(0.8F), j = start(0.9F), k = start(1.1F), l = start(1.2F), m = start(1.3F);
  for (size_t round = 0; round < rounds; ++round) {
    a = hn::MulAdd(a, factor, term);
    b = hn::MulAdd(b, factor, term);
    c = hn::MulAdd(c, factor, term);
    e = hn::MulAdd(e, factor, term);
    f = hn::MulAdd(f, factor, term);
    g = hn::MulAdd(g, factor, term);
    h = hn::MulAdd(h, factor, term);
    i = hn::MulAdd(i, factor, term);
    j = hn::MulAdd(j, factor, term);
    k = hn::MulAdd(k, factor, term);
    l = hn::MulAdd(l, factor, term);
    m = hn::MulAdd(m, factor, term);
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)), hn::Add(hn::Add(f, g), hn::Add(h, i))),
              hn::Add(hn::Add(j, k), hn::Add(l, m)));
  *sink += hn::GetLane(sum);
  return 2.0 * 12.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(MultiplyAdd);

double multiply_add_peak(double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t rounds = 200'000;  // some hundred microseconds
  volatile float kept = 0;
  double best = 0;
  const auto begin = Clock::now();
  do {
    float sink = 0;
    const auto start = Clock::now();
    const double operations = HWY_DYNAMIC_DISPATCH(MultiplyAdd)(rounds, &sink);
    best = std::max(best, operations / std::chrono::duration<double>(Clock::now() - start).count());
    kept = kept + sink;
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return best;
}

}  // namespace retort::engine::kernels
#endif
