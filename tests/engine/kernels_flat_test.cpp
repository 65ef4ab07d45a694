// Element-wise kernels, losses, optimisers and fake quantisation against loops in double precision.
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "engine/kernels_tensors.h"
#include "graph/quantized_form.h"

namespace retort::engine::kernels {
namespace {

std::vector<float> normals(Rng& rng, size_t n, float scale = 1) {
  std::vector<float> values(n);
  for (float& v : values) v = scale * rng.normal();
  return values;
}

TEST(KernelsElementwise, MatchLoops) {
  for_each_target([] {
    Rng rng(31);
    for (const size_t n : {1U, 7U, 8U, 33U, 100U, 1001U}) {
      const std::vector<float> a = normals(rng, n, 4);
      const std::vector<float> b = normals(rng, n, 4);
      for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
        std::vector<float> y(n);
        std::vector<float> sum(n);
        std::vector<float> dx(n);
        activation_forward(n, activation, a.data(), y.data());
        add_forward(n, a.data(), b.data(), activation, sum.data());
        activation_backward(n, activation, y.data(), b.data(), dx.data());
        for (size_t i = 0; i < n; ++i) {
          EXPECT_EQ(static_cast<double>(y[i]), activate(static_cast<double>(a[i]), activation));
          EXPECT_EQ(static_cast<double>(sum[i]), activate(static_cast<double>(a[i] + b[i]), activation));
          EXPECT_EQ(dx[i], passes(static_cast<double>(y[i]), activation) ? b[i] : 0.0F);
        }
      }
      std::vector<float> sum = b;
      accumulate(n, a.data(), sum.data());
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(sum[i], b[i] + a[i]);
    }
    // Divergence must not be hidden by an activation (the portable baseline's minimum drops NaNs).
    if ((hwy::SupportedTargets() & HWY_SSE4) == 0) return;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> bad(9, nan);
    std::vector<float> y(9);
    activation_forward(9, Activation::Relu6, bad.data(), y.data());
    for (const float v : y) EXPECT_TRUE(std::isnan(v));
  });
}

TEST(KernelsElementwise, DropoutDependsOnKeyAndIndexAlone) {
  std::vector<float> of_best_target;
  for_each_target([&] {
    Rng rng(32);
    constexpr size_t kCount = 100000;
    const std::vector<float> ones(kCount, 1.0F);
    // Near the end of 32 bits, so that a carry is seen.
    const uint64_t offset = (uint64_t{3} << 32U) - 5000;
    const uint64_t key = 0x123456789ABCDEFULL;
    std::vector<float> whole(kCount);
    dropout(kCount, 0.3F, key, offset, ones.data(), whole.data());
    if (of_best_target.empty()) of_best_target = whole;
    EXPECT_EQ(whole, of_best_target);
    std::vector<float> pieces(kCount);
    for (size_t i = 0; i < kCount;) {
      const size_t n = std::min<size_t>(1 + rng.below(3000), kCount - i);
      dropout(n, 0.3F, key, offset + i, ones.data() + i, pieces.data() + i);
      i += n;
    }
    EXPECT_EQ(pieces, whole);
    std::vector<float> other(kCount);
    dropout(kCount, 0.3F, key + 1, offset, ones.data(), other.data());
    double kept = 0;
    double pairs = 0;
    double both = 0;
    for (size_t i = 0; i < kCount; ++i) {
      ASSERT_TRUE(whole[i] == 0 || whole[i] == 1.0F / 0.7F);
      kept += whole[i] != 0 ? 1 : 0;
      both += whole[i] != 0 && other[i] != 0 ? 1 : 0;
      pairs += i > 0 && whole[i] != 0 && whole[i - 1] != 0 ? 1 : 0;
    }
    // Five deviations of a binomial.
    EXPECT_NEAR(kept / kCount, 0.7, 0.0073);
    EXPECT_NEAR(both / kCount, 0.49, 0.008);
    EXPECT_NEAR(pairs / kCount, 0.49, 0.01);
    dropout(kCount, 0.0F, key, offset, ones.data(), other.data());
    EXPECT_EQ(other, ones);
  });
}

std::vector<double> softmax_of(const float* z, size_t n, double temperature) {
  std::vector<double> p(n);
  double largest = -1e300;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<double>(z[i]));
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += p[i] = std::exp((static_cast<double>(z[i]) - largest) / temperature);
  for (double& v : p) v /= sum;
  return p;
}

double reference_loss(const float* z, const float* t, size_t classes, size_t label,
                      const Objective& objective) {
  const std::vector<double> p = softmax_of(z, classes, 1);
  const auto smoothing = static_cast<double>(objective.label_smoothing);
  double hard = 0;
  for (size_t i = 0; i < classes; ++i)
    hard -= std::log(p[i]) * ((i == label ? 1 - smoothing : 0.0) + smoothing / static_cast<double>(classes));
  if (t == nullptr) return hard;
  const auto temperature = static_cast<double>(objective.temperature);
  const std::vector<double> q = softmax_of(z, classes, temperature);
  const std::vector<double> teacher = softmax_of(t, classes, temperature);
  double divergence = 0;
  for (size_t i = 0; i < classes; ++i) divergence += teacher[i] * std::log(teacher[i] / q[i]);
  const auto alpha = static_cast<double>(objective.alpha);
  return alpha * hard + (1 - alpha) * temperature * temperature * divergence;
}

TEST(KernelsLoss, ValueAndSlopeMatchDoubles) {
  for_each_target([] {
    Rng rng(33);
    for (int round = 0; round < 40; ++round) {
      const int images = 1 + static_cast<int>(rng.below(5));
      const int classes = round < 4 ? 10 : 1 + static_cast<int>(rng.below(40));
      const auto size = static_cast<size_t>(classes);
      const size_t stride = round % 3 == 0 ? size : (size + 15) / 16 * 16;
      const bool distils = round % 2 == 1;
      Objective objective;
      objective.label_smoothing = round % 4 < 2 ? 0.0F : 0.1F;
      if (distils) {
        objective.alpha = 0.1F;
        objective.temperature = 3;
      }
      std::vector<float> logits(static_cast<size_t>(images) * stride, 77.0F);
      const std::vector<float> teacher = normals(rng, static_cast<size_t>(images) * size, 5);
      std::vector<uint16_t> labels(static_cast<size_t>(images));
      int correct = 0;
      double wanted = 0;
      for (size_t n = 0; n < static_cast<size_t>(images); ++n) {
        float* row = logits.data() + n * stride;
        for (size_t i = 0; i < size; ++i) row[i] = 5 * rng.normal();
        labels[n] = static_cast<uint16_t>(rng.below(static_cast<uint32_t>(classes)));
        correct += std::max_element(row, row + size) - row == labels[n] ? 1 : 0;
        wanted +=
            reference_loss(row, distils ? teacher.data() + n * size : nullptr, size, labels[n], objective);
      }
      std::vector<float> gradient(logits.size(), 9.0F);
      const auto run = [&](float* dlogits) {
        return softmax_loss(images, classes, stride, logits.data(), labels.data(),
                            distils ? teacher.data() : nullptr, objective, 7, dlogits);
      };
      const LossResult result = run(gradient.data());
      EXPECT_EQ(result.correct, correct);
      EXPECT_NEAR(result.loss_sum, wanted, 3e-6 * (1 + std::abs(wanted)));
      EXPECT_EQ(run(nullptr).loss_sum, result.loss_sum);
      for (size_t n = 0; n < static_cast<size_t>(images); ++n) {
        float* row = logits.data() + n * stride;
        for (size_t i = 0; i < stride; ++i) {
          if (i >= size) {
            EXPECT_EQ(gradient[n * stride + i], 0.0F);
            continue;
          }
          const double slope = numeric_gradient(row[i], 1e-3F, [&] {
            return reference_loss(row, distils ? teacher.data() + n * size : nullptr, size, labels[n],
                                  objective);
          });
          EXPECT_NEAR(gradient[n * stride + i], slope / 7, 1e-6);
        }
      }
    }
  });
}

TEST(KernelsLoss, ExtremeLogits) {
  for_each_target([] {
    std::vector<float> logits(16, 0.0F);
    logits[0] = 1e4F;
    logits[1] = -1e4F;
    const std::array<uint16_t, 1> labels{1};
    std::vector<float> gradient(16);
    LossResult result =
        softmax_loss(1, 10, 16, logits.data(), labels.data(), nullptr, Objective{}, 1, gradient.data());
    EXPECT_NEAR(result.loss_sum, 2e4, 1e-2);
    EXPECT_EQ(gradient[0], 1.0F);
    EXPECT_EQ(gradient[1], -1.0F);
    // The first of equals counts as the answer.
    std::fill(logits.begin(), logits.end(), 2.0F);
    EXPECT_EQ(softmax_loss(1, 10, 16, logits.data(), labels.data(), nullptr, {}, 1, nullptr).correct, 0);
    // A value that is not finite anywhere in a row shows in the loss.
    logits[9] = std::numeric_limits<float>::quiet_NaN();
    result = softmax_loss(1, 10, 16, logits.data(), labels.data(), nullptr, {}, 1, nullptr);
    EXPECT_TRUE(std::isnan(result.loss_sum));
  });
}

TEST(KernelsOptimizer, AdamMatchesItsFormulas) {
  for_each_target([] {
    for (const EpsilonForm form : {EpsilonForm::Keras, EpsilonForm::PyTorch}) {
      Rng rng(34);
      constexpr size_t kCount = 37;
      OptimizerOptions options;
      options.epsilon = 1e-3F;  // large enough to tell the two forms apart
      options.epsilon_form = form;
      options.weight_decay = 0.1F;
      std::vector<float> w = normals(rng, kCount);
      std::vector<float> m(kCount, 0.0F);
      std::vector<float> v(kCount, 0.0F);
      std::vector<float> mask(kCount, 1.0F);
      mask[3] = 0;
      std::vector<double> wd(w.begin(), w.end());
      std::vector<double> md(kCount, 0.0);
      std::vector<double> vd(kCount, 0.0);
      const auto b1 = static_cast<double>(options.beta1);
      const auto b2 = static_cast<double>(options.beta2);
      const auto epsilon = static_cast<double>(options.epsilon);
      const double rate = static_cast<double>(0.01F);
      for (int step = 1; step <= 10; ++step) {
        const std::vector<float> g = normals(rng, kCount, 0.01F);
        adam_step(kCount, options, 0.01F, step, g.data(), mask.data(), m.data(), v.data(), w.data());
        for (size_t i = 0; i < kCount; ++i) {
          const auto gd = static_cast<double>(g[i]);
          md[i] = b1 * md[i] + (1 - b1) * gd;
          vd[i] = b2 * vd[i] + (1 - b2) * gd * gd;
          const double c1 = 1 - std::pow(b1, step);
          const double c2 = 1 - std::pow(b2, step);
          wd[i] -= rate * static_cast<double>(options.weight_decay) * wd[i];
          if (form == EpsilonForm::Keras)
            wd[i] -= rate * std::sqrt(c2) / c1 * md[i] / (std::sqrt(vd[i]) + epsilon);
          else
            wd[i] -= rate * (md[i] / c1) / (std::sqrt(vd[i] / c2) + epsilon);
          wd[i] *= static_cast<double>(mask[i]);
          ASSERT_NEAR(w[i], wd[i], 1e-6) << "step " << step << " entry " << i;
        }
      }
      EXPECT_EQ(w[3], 0.0F);
    }
  });
}

TEST(KernelsOptimizer, NesterovMatchesKerasFormula) {
  for_each_target([] {
    Rng rng(35);
    constexpr size_t kCount = 37;
    OptimizerOptions options;
    options.kind = OptimizerKind::Sgd;
    std::vector<float> w = normals(rng, kCount);
    std::vector<float> velocity(kCount, 0.0F);
    std::vector<double> wd(w.begin(), w.end());
    std::vector<double> vd(kCount, 0.0);
    const auto momentum = static_cast<double>(options.momentum);
    const double rate = static_cast<double>(0.05F);
    for (int step = 0; step < 10; ++step) {
      const std::vector<float> g = normals(rng, kCount);
      sgd_step(kCount, options, 0.05F, g.data(), nullptr, velocity.data(), w.data());
      for (size_t i = 0; i < kCount; ++i) {
        const auto gd = static_cast<double>(g[i]);
        vd[i] = momentum * vd[i] - rate * gd;
        wd[i] += momentum * vd[i] - rate * gd;
        ASSERT_NEAR(w[i], wd[i], 2e-6);
      }
    }
  });
}

TEST(KernelsFakeQuant, Activations) {
  for_each_target([] {
    Rng rng(36);
    for (const size_t n : {8U, 24U, 1000U}) {
      const std::vector<float> x = normals(rng, n, 3);
      const Range range = min_max(n, x.data());
      EXPECT_EQ(range.minimum, *std::min_element(x.begin(), x.end()));
      EXPECT_EQ(range.maximum, *std::max_element(x.begin(), x.end()));
      const float step = 0.03F;
      const int zero_point = -20;
      std::vector<float> y(n);
      std::vector<uint8_t> bits(n / 8, 0x55);
      fake_quantize(n, step, zero_point, x.data(), y.data(), bits.data());
      const std::vector<float> dy = normals(rng, n);
      std::vector<float> dx(n);
      fake_quantize_backward(n, bits.data(), dy.data(), dx.data());
      int clamped = 0;
      for (size_t i = 0; i < n; ++i) {
        const float nearest = std::nearbyint(x[i] / step);
        const float code =
            std::clamp(nearest, static_cast<float>(-128 - zero_point), static_cast<float>(127 - zero_point));
        EXPECT_EQ(y[i], code * step);
        const bool inside = code == nearest;
        clamped += inside ? 0 : 1;
        EXPECT_EQ(dx[i], inside ? dy[i] : 0.0F);
      }
      EXPECT_TRUE(n < 1000 || clamped > 0);
    }
    for (size_t n = 1; n < 40; ++n) {
      const std::vector<float> x = normals(rng, n);
      EXPECT_EQ(min_max(n, x.data()).minimum, *std::min_element(x.begin(), x.end()));
      EXPECT_EQ(min_max(n, x.data()).maximum, *std::max_element(x.begin(), x.end()));
    }
    // Halves go to the even code.
    const std::array<float, 8> halves{0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 300.0F, -300.0F};
    std::array<float, 8> y{};
    fake_quantize(8, 1.0F, 0, halves.data(), y.data(), nullptr);
    EXPECT_EQ(y, (std::array<float, 8>{0, 2, 2, 0, -2, -2, 127, -128}));
  });
}

TEST(KernelsFakeQuant, Weights) {
  for_each_target([] {
    Rng rng(37);
    for (const int block : {8, 16}) {
      const auto width = static_cast<size_t>(block);
      constexpr size_t kInner = 13;
      std::vector<float> w = normals(rng, 2 * kInner * width);
      for (size_t i = 0; i < kInner; ++i) w[i * width + 2] = 0;        // a channel of zeros
      for (size_t i = 0; i < kInner; ++i) w[i * width + 3] *= 1e-37F;  // and one whose step would be denormal
      std::vector<float> q(w.size());
      std::vector<float> scales(2 * width);
      fake_quantize_weights_blocked(2, kInner, block, w.data(), q.data(), scales.data());
      for (size_t ob = 0; ob < 2; ++ob)
        for (size_t lane = 0; lane < width; ++lane) {
          std::vector<float> row(kInner);
          std::vector<float> row_q(kInner);
          float row_scale = 0;
          float largest = 0;
          for (size_t i = 0; i < kInner; ++i) {
            row[i] = w[(ob * kInner + i) * width + lane];
            largest = std::max(largest, std::abs(row[i]));
          }
          fake_quantize_weights_rows(1, kInner, row.data(), row_q.data(), &row_scale);
          const float wanted_scale = graph::weight_scale(largest);
          EXPECT_EQ(scales[ob * width + lane], wanted_scale);
          EXPECT_EQ(row_scale, wanted_scale);
          for (size_t i = 0; i < kInner; ++i) {
            const float wanted = std::nearbyint(row[i] / wanted_scale) * wanted_scale;
            EXPECT_EQ(q[(ob * kInner + i) * width + lane], wanted);
            EXPECT_EQ(row_q[i], wanted);
          }
        }
    }
  });
}

}  // namespace
}  // namespace retort::engine::kernels
