#include "engine/kernels/peak.h"

#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/peak.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

namespace {

// The best of several tries within about `seconds`. `run(rounds, &sink)` returns the operations that it did.
template <typename Run>
double best_rate(double seconds, const Run& run) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t rounds = 200'000;  // some hundred microseconds
  volatile float kept = 0;
  double best = 0;
  const auto begin = Clock::now();
  do {
    float sink = 0;
    const auto start = Clock::now();
    const double operations = run(rounds, &sink);
    best = std::max(best, operations / std::chrono::duration<double>(Clock::now() - start).count());
    kept = kept + sink;
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  return best;
}

#if defined(__x86_64__)
// Highway has no name for it in the versions we build with. As above: twelve chains, each its own.
__attribute__((target("avx512f,avx512bf16"))) double multiply_add_bfloat16(size_t rounds, float* sink) {
  constexpr int chains = 12;
  const auto factor = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3C003C00));  // 2⁻⁷, twice
  const auto term = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3F803F80));    // 1, twice
  __m512 sums[chains];
#pragma GCC unroll 12
  for (int i = 0; i < chains; ++i) sums[i] = _mm512_set1_ps(0.1F * static_cast<float>(i));
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], factor, term);
  }
  __m512 sum = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < chains; ++i) sum = _mm512_add_ps(sum, sums[i]);
  *sink += _mm512_cvtss_f32(sum);
  return 2.0 * 2.0 * 16.0 * chains * static_cast<double>(rounds);
}
#endif

}  // namespace

double multiply_add_peak(double seconds) {
  return best_rate(
      seconds, [](size_t rounds, float* sink) { return HWY_DYNAMIC_DISPATCH(MultiplyAdd)(rounds, sink); });
}

std::optional<double> bfloat16_multiply_add_peak([[maybe_unused]] double seconds) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return best_rate(seconds, multiply_add_bfloat16);
#endif
  return std::nullopt;
}

}  // namespace retort::engine::kernels
#endif
