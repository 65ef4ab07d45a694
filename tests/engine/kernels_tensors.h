// Blocked tensors, numeric gradients and instruction sets for the kernels' tests.
#pragma once

#include <gtest/gtest.h>
#include "engine/kernels/targets.h"

#include <hwy/targets.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"

namespace retort::engine::kernels {

struct Blocked {
  BlockedShape shape;
  int channels = 0;
  std::vector<float> values;

  Blocked(int images, int channel_count, int height, int width, int block)
      : shape{images, (channel_count + block - 1) / block, height, width, block},
        channels(channel_count),
        values(shape.size(), 0.0F) {}

  [[nodiscard]] size_t index(int n, int c, int y, int x) const {
    const int block = shape.block;
    return static_cast<size_t>(
        ((((n * shape.channel_blocks + c / block) * shape.height + y) * shape.width + x) * block) +
        c % block);
  }
  float& at(int n, int c, int y, int x) { return values[index(n, c, y, x)]; }
  [[nodiscard]] double get(int n, int c, int y, int x) const {
    return static_cast<double>(values[index(n, c, y, x)]);
  }

  // Calls visit(n, c, y, x) for the channels that exist.
  template <class Visit>
  void each(const Visit& visit) const {
    for (int n = 0; n < shape.images; ++n)
      for (int c = 0; c < channels; ++c)
        for (int y = 0; y < shape.height; ++y)
          for (int x = 0; x < shape.width; ++x) visit(n, c, y, x);
  }
  void randomize(Rng& rng, float scale = 1, float offset = 0) {
    each([&](int n, int c, int y, int x) { at(n, c, y, x) = offset + scale * rng.normal(); });
  }
  // Fails unless the lanes of channels that don't exist hold 0.
  void expect_clean() const {
    for (int n = 0; n < shape.images; ++n)
      for (int c = channels; c < static_cast<int>(shape.channels()); ++c)
        for (int y = 0; y < shape.height; ++y)
          for (int x = 0; x < shape.width; ++x) ASSERT_EQ(get(n, c, y, x), 0.0) << "channel " << c;
  }
};

inline double activate(double v, Activation activation) {
  if (activation == Activation::None) return v;
  const double positive = v > 0 ? v : 0;
  return activation == Activation::Relu6 && positive > 6 ? 6 : positive;
}
inline bool passes(double y, Activation activation) {
  return activation == Activation::None || (y > 0 && (activation == Activation::Relu || y < 6));
}

inline void expect_close(double got, double wanted, double tolerance, const char* what, size_t where) {
  ASSERT_NEAR(got, wanted, tolerance * (1 + std::abs(wanted))) << what << " at " << where;
}

// d loss / d values[i] by central differences; `loss` reads `values`.
inline double numeric_gradient(float& value, float step, const std::function<double()>& loss) {
  const float kept = value;
  value = kept + step;
  const float above = value;
  const double high = loss();
  value = kept - step;
  const float below = value;
  const double low = loss();
  value = kept;
  return (high - low) / (static_cast<double>(above) - static_cast<double>(below));
}

// Runs body under the CPU's best instruction set that the kernels are compiled for, and again under each
// lesser one.
inline void for_each_target(const std::function<void()>& body) {
  hwy::DisableTargets(0);
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    const int64_t best = left & -left;  // Highway numbers them from the best
    hwy::DisableTargets(best - 1);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(best));
    ASSERT_EQ(hwy::SupportedTargets() & HWY_TARGETS & -(hwy::SupportedTargets() & HWY_TARGETS), best);
    body();
    if (testing::Test::HasFatalFailure()) break;
  }
  hwy::DisableTargets(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace retort::engine::kernels
