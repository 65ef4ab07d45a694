// Batch norm, pools and layout changes against loops in double precision and finite differences.
#include <algorithm>
#include <array>
#include <vector>

#include "engine/kernels_tensors.h"

namespace retort::engine::kernels {
namespace {

int random_int(Rng& rng, int low, int high) {
  return low + static_cast<int>(rng.below(static_cast<uint32_t>(high - low + 1)));
}

Activation random_activation(Rng& rng) {
  return static_cast<Activation>(rng.below(3));
}

// Batch norm in double precision from float parameters.
struct NormReference {
  std::vector<double> mean;
  std::vector<double> variance;

  explicit NormReference(const Blocked& x)
      : mean(x.shape.channels(), 0.0), variance(x.shape.channels(), 0.0) {
    const double count = static_cast<double>(x.shape.pixels()) * x.shape.images;
    x.each([&](int n, int c, int h, int w) { mean[static_cast<size_t>(c)] += x.get(n, c, h, w) / count; });
    x.each([&](int n, int c, int h, int w) {
      const double v = x.get(n, c, h, w) - mean[static_cast<size_t>(c)];
      variance[static_cast<size_t>(c)] += v * v / count;
    });
  }
};

struct Norm {
  std::vector<float> mean, inv_std, variance, gamma, beta, shift, dgamma, dbeta;

  Norm(Rng& rng, const Blocked& x)
      : mean(x.shape.channels()),
        inv_std(mean),
        variance(mean),
        gamma(mean),
        beta(mean),
        shift(mean),
        dgamma(mean),
        dbeta(mean) {
    for (size_t c = 0; c < static_cast<size_t>(x.channels); ++c) {
      gamma[c] = 1 + 0.3F * rng.normal();
      beta[c] = rng.normal();
    }
  }
  [[nodiscard]] BatchNormView view(Activation activation) const {
    return {mean.data(), inv_std.data(), gamma.data(), beta.data(), activation};
  }
  // In two ranges of images where there are two, as two threads would.
  void measure(const Blocked& x, float epsilon) {
    const auto [first, second] = halves(x.shape);
    std::vector<double> sums(4 * x.shape.channels());
    batch_norm_shift(x.shape, x.values.data(), shift.data());
    batch_norm_sums(first, x.values.data(), shift.data(), sums.data());
    batch_norm_sums(second, x.values.data() + first.size(), shift.data(),
                    sums.data() + 2 * x.shape.channels());
    batch_norm_finish(x.shape.channels(), 2, count(x.shape), sums.data(), shift.data(), epsilon, mean.data(),
                      inv_std.data(), variance.data());
  }
  void backward(const Blocked& x, const Blocked& dy, Activation activation, Activation input_activation,
                Blocked& dx) {
    const auto [first, second] = halves(x.shape);
    std::vector<double> sums(4 * x.shape.channels());
    batch_norm_backward_sums(first, view(activation), x.values.data(), dy.values.data(), sums.data());
    batch_norm_backward_sums(second, view(activation), x.values.data() + first.size(),
                             dy.values.data() + first.size(), sums.data() + 2 * x.shape.channels());
    batch_norm_backward_finish(x.shape.channels(), 2, sums.data(), dgamma.data(), dbeta.data());
    batch_norm_backward(x.shape, view(activation), input_activation, count(x.shape), dgamma.data(),
                        dbeta.data(), x.values.data(), dy.values.data(), dx.values.data());
  }
  static int64_t count(const BlockedShape& shape) {
    return static_cast<int64_t>(shape.pixels()) * shape.images;
  }
  static std::array<BlockedShape, 2> halves(const BlockedShape& shape) {
    std::array<BlockedShape, 2> parts{shape, shape};
    parts[0].images = shape.images / 2;
    parts[1].images = shape.images - parts[0].images;
    return parts;
  }
};

constexpr float kEpsilon = 1e-3F;

TEST(KernelsBatchNorm, ForwardMatchesLoops) {
  for_each_target([] {
    Rng rng(21);
    for (int round = 0; round < 30; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      Blocked x(random_int(rng, 1, 5), random_int(rng, 1, 2 * block + 3), random_int(rng, 1, 17),
                random_int(rng, 1, 17), block);
      // A mean up to a hundred deviations from zero must not cost accuracy.
      x.randomize(rng, 1.0F, round % 3 == 0 ? 100.0F : 0.5F);
      const NormReference reference(x);
      const Activation activation = random_activation(rng);
      Norm norm(rng, x);
      norm.measure(x, kEpsilon);
      Blocked y = x;
      batch_norm_forward(x.shape, norm.view(activation), x.values.data(), y.values.data());
      ASSERT_NO_FATAL_FAILURE(y.expect_clean());
      for (size_t c = 0; c < static_cast<size_t>(x.channels); ++c) {
        ASSERT_NO_FATAL_FAILURE(
            expect_close(static_cast<double>(norm.mean[c]), reference.mean[c], 1e-6, "mean", c));
        ASSERT_NO_FATAL_FAILURE(
            expect_close(static_cast<double>(norm.variance[c]), reference.variance[c], 2e-6, "variance", c));
      }
      x.each([&](int n, int c, int h, int w) {
        const auto channel = static_cast<size_t>(c);
        const double scale = static_cast<double>(norm.gamma[channel]) /
                             std::sqrt(reference.variance[channel] + static_cast<double>(kEpsilon));
        const double wanted =
            (x.get(n, c, h, w) - reference.mean[channel]) * scale + static_cast<double>(norm.beta[channel]);
        EXPECT_NEAR(y.get(n, c, h, w), activate(wanted, activation), 4e-4) << "round " << round;
      });
      std::vector<float> inv_std(norm.inv_std.size());
      batch_norm_inv_std(inv_std.size(), norm.variance.data(), kEpsilon, inv_std.data());
      for (size_t c = 0; c < inv_std.size(); ++c)
        EXPECT_NEAR(inv_std[c], norm.inv_std[c], 1e-5F * norm.inv_std[c]);
    }
  });
}

TEST(KernelsBatchNorm, BackwardIsTheSlopeOfALoopInDoubles) {
  for_each_target([] {
    Rng rng(22);
    for (int round = 0; round < 9; ++round) {
      const auto activation = static_cast<Activation>(round % 3);
      const auto input_activation = static_cast<Activation>(round / 3);
      Blocked x(3, 3, 2, random_int(rng, 1, 3), round % 2 == 0 ? 8 : 16);
      x.randomize(rng, 2.0F, 1.0F);
      // Values away from the kinks of the input's activation, some beyond them; 0 where it clamped.
      std::vector<float> before = x.values;
      x.each([&](int n, int c, int h, int w) {
        float& v = x.at(n, c, h, w);
        v = static_cast<float>(activate(static_cast<double>(v), input_activation));
      });
      Blocked dy = x;
      dy.randomize(rng);
      Norm norm(rng, x);
      // Loss as a function of what entered the input's activation.
      const auto loss = [&] {
        Blocked in = x;
        x.each([&](int n, int c, int h, int w) {
          in.at(n, c, h, w) = static_cast<float>(
              activate(static_cast<double>(before[x.index(n, c, h, w)]), input_activation));
        });
        const NormReference reference(in);
        double sum = 0;
        in.each([&](int n, int c, int h, int w) {
          const auto channel = static_cast<size_t>(c);
          const double scale = static_cast<double>(norm.gamma[channel]) /
                               std::sqrt(reference.variance[channel] + static_cast<double>(kEpsilon));
          const double y = (in.get(n, c, h, w) - reference.mean[channel]) * scale +
                           static_cast<double>(norm.beta[channel]);
          sum += activate(y, activation) * dy.get(n, c, h, w);
        });
        return sum;
      };
      norm.measure(x, kEpsilon);
      Blocked dx = dy;
      norm.backward(x, dy, activation, input_activation, dx);
      ASSERT_NO_FATAL_FAILURE(dx.expect_clean());
      // In place gives the same.
      Blocked in_place = dy;
      norm.backward(x, in_place, activation, input_activation, in_place);
      EXPECT_EQ(in_place.values, dx.values);
      int kinks = 0;
      x.each([&](int n, int c, int h, int w) {
        const size_t i = x.index(n, c, h, w);
        const double fine = numeric_gradient(before[i], 2e-4F, loss);
        const double coarse = numeric_gradient(before[i], 4e-4F, loss);
        if (std::abs(fine - coarse) > 3e-3)
          ++kinks;  // a step over a kink of some value: no slope to compare with
        else
          EXPECT_NEAR(dx.get(n, c, h, w), fine, 3e-3 * (1 + std::abs(fine))) << "round " << round;
      });
      EXPECT_LT(kinks, 8);
      for (size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(norm.dgamma[c], numeric_gradient(norm.gamma[c], 1e-4F, loss), 3e-3) << "round " << round;
        EXPECT_NEAR(norm.dbeta[c], numeric_gradient(norm.beta[c], 1e-4F, loss), 3e-3) << "round " << round;
      }
    }
  });
}

TEST(KernelsPool, MatchLoops) {
  for_each_target([] {
    Rng rng(24);
    for (int round = 0; round < 60; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      Window2d window;
      if (round % 3 != 0) {
        window = {
            random_int(rng, 1, 4), random_int(rng, 1, 4), random_int(rng, 1, 3), random_int(rng, 1, 3), 0, 0};
        window.pad_top = random_int(rng, 0, window.height - 1);
        window.pad_left = random_int(rng, 0, window.width - 1);
      }
      Blocked x(random_int(rng, 1, 2), random_int(rng, 1, 2 * block + 3), random_int(rng, 2, 9),
                random_int(rng, 2, 9), block);
      x.randomize(rng, 4.0F);
      const Activation activation = random_activation(rng);
      activation_forward(x.values.size(), activation, x.values.data(), x.values.data());
      int height = random_int(rng, 1, (x.shape.height - 1 + window.pad_top) / window.stride_height + 1);
      int width = random_int(rng, 1, (x.shape.width - 1 + window.pad_left) / window.stride_width + 1);
      if (round % 3 == 0) {
        height = x.shape.height / 2;
        width = x.shape.width / 2;
      }
      Blocked y(x.shape.images, x.channels, height, width, block);
      Blocked dy = y;
      dy.randomize(rng);
      Blocked average = y;
      std::vector<uint8_t> argmax(y.values.size(), 255);
      max_pool_forward(x.shape, y.shape, window, x.values.data(), y.values.data(), argmax.data());
      avg_pool_forward(x.shape, y.shape, window, x.values.data(), average.values.data());
      std::vector<double> max_dx(x.values.size(), 0.0);
      std::vector<double> masked_dx(x.values.size(), 0.0);
      std::vector<double> avg_dx(x.values.size(), 0.0);
      y.each([&](int n, int c, int oy, int ox) {
        double largest = -1e30;
        int where = -1;
        double sum = 0;
        std::vector<size_t> cells;
        for (int cell = 0; cell < window.height * window.width; ++cell) {
          const int iy = oy * window.stride_height - window.pad_top + cell / window.width;
          const int ix = ox * window.stride_width - window.pad_left + cell % window.width;
          if (iy < 0 || iy >= x.shape.height || ix < 0 || ix >= x.shape.width) continue;
          cells.push_back(x.index(n, c, iy, ix));
          sum += x.get(n, c, iy, ix);
          if (x.get(n, c, iy, ix) > largest) {
            largest = x.get(n, c, iy, ix);
            where = cell;
          }
        }
        const size_t o = y.index(n, c, oy, ox);
        EXPECT_EQ(y.get(n, c, oy, ox), largest);
        EXPECT_EQ(argmax[o], where);
        EXPECT_NEAR(average.get(n, c, oy, ox), sum / static_cast<double>(cells.size()), 1e-5);
        const double g = dy.get(n, c, oy, ox);
        const size_t target = x.index(n, c, oy * window.stride_height - window.pad_top + where / window.width,
                                      ox * window.stride_width - window.pad_left + where % window.width);
        max_dx[target] += g;
        if (passes(largest, activation)) masked_dx[target] += g;
        for (const size_t cell : cells) avg_dx[cell] += g / static_cast<double>(cells.size());
      });
      std::vector<float> dx(x.values.size(), 5.0F);
      max_pool_backward(x.shape, y.shape, window, dy.values.data(), argmax.data(), nullptr, Activation::None,
                        dx.data());
      for (size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], max_dx[i], 1e-5);
      max_pool_backward(x.shape, y.shape, window, dy.values.data(), argmax.data(), y.values.data(),
                        activation, dx.data());
      for (size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], masked_dx[i], 1e-5);
      avg_pool_backward(x.shape, y.shape, window, dy.values.data(), dx.data());
      for (size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], avg_dx[i], 1e-5);
      std::vector<float> plain(y.values.size(), 5.0F);
      max_pool_forward(x.shape, y.shape, window, x.values.data(), plain.data(), nullptr);
      EXPECT_EQ(plain, y.values);
      if (testing::Test::HasFailure()) FAIL() << "round " << round;
    }
  });
}

TEST(KernelsPool, GlobalAverage) {
  for_each_target([] {
    Rng rng(25);
    for (int round = 0; round < 10; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      Blocked x(2, random_int(rng, 1, 20), random_int(rng, 1, 9), random_int(rng, 1, 9), block);
      x.randomize(rng, 4.0F);
      const Activation activation = random_activation(rng);
      activation_forward(x.values.size(), activation, x.values.data(), x.values.data());
      Blocked flat(2, x.channels, 1, 1, block);
      Blocked dflat = flat;
      dflat.randomize(rng);
      global_avg_pool_forward(x.shape, x.values.data(), flat.values.data());
      std::vector<float> dx(x.values.size(), 5.0F);
      std::vector<float> masked(x.values.size(), 5.0F);
      global_avg_pool_backward(x.shape, dflat.values.data(), nullptr, Activation::None, dx.data());
      global_avg_pool_backward(x.shape, dflat.values.data(), x.values.data(), activation, masked.data());
      std::vector<double> means(flat.values.size(), 0.0);
      const auto pixels = static_cast<double>(x.shape.pixels());
      x.each([&](int n, int c, int h, int w) {
        means[flat.index(n, c, 0, 0)] += x.get(n, c, h, w) / pixels;
        const double g = dflat.get(n, c, 0, 0) / pixels;
        const size_t i = x.index(n, c, h, w);
        EXPECT_NEAR(dx[i], g, 1e-6);
        EXPECT_NEAR(masked[i], passes(x.get(n, c, h, w), activation) ? g : 0.0, 1e-6);
      });
      for (size_t i = 0; i < means.size(); ++i) EXPECT_NEAR(flat.values[i], means[i], 1e-5);
    }
  });
}

TEST(KernelsImages, BytesBecomeFloatsInEitherLayout) {
  for_each_target([] {
    Rng rng(26);
    for (int round = 0; round < 20; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      const int channels = round < 14 ? random_int(rng, 1, 4) : random_int(rng, 5, 20);
      Blocked blocked(random_int(rng, 1, 3), channels, random_int(rng, 1, 7), random_int(rng, 1, 21), block);
      std::fill(blocked.values.begin(), blocked.values.end(), 9.0F);
      const BlockedShape& shape = blocked.shape;
      std::vector<uint8_t> bytes(static_cast<size_t>(shape.images) * static_cast<size_t>(channels) *
                                 shape.pixels());
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
      bytes_to_blocked(shape, channels, bytes.data(), blocked.values.data());
      ASSERT_NO_FATAL_FAILURE(blocked.expect_clean());
      const PlanarShape planar{shape.images, channels, shape.height, shape.width, 1, 2, 3, 0};
      std::vector<float> plane(planar.size(), 9.0F);
      bytes_to_planar(planar, bytes.data(), plane.data());
      double total = 0;
      for (const float v : plane) total += static_cast<double>(v);
      double wanted_total = 0;
      blocked.each([&](int n, int c, int h, int w) {
        const float wanted =
            static_cast<float>(bytes[static_cast<size_t>((n * shape.height + h) * shape.width + w) *
                                         static_cast<size_t>(channels) +
                                     static_cast<size_t>(c)]) /
            255.0F;
        ASSERT_EQ(blocked.at(n, c, h, w), wanted);
        const int row = planar.padded_width();
        ASSERT_EQ(
            plane[static_cast<size_t>(((n * channels + c) * planar.padded_height() + h + 1) * row + w + 3)],
            wanted);
        wanted_total += static_cast<double>(wanted);
      });
      EXPECT_NEAR(total, wanted_total, 1e-6);  // the border is 0
    }
  });
}

TEST(KernelsImages, RowsAndBack) {
  for_each_target([] {
    Rng rng(27);
    for (int round = 0; round < 10; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      Blocked x(2, random_int(rng, 1, 35), random_int(rng, 1, 5), random_int(rng, 1, 5), block);
      x.randomize(rng);
      const size_t row = x.shape.pixels() * static_cast<size_t>(x.channels);
      const size_t stride = row + 5;
      std::vector<float> rows(2 * stride, 9.0F);
      blocked_to_rows(x.shape, x.channels, x.values.data(), rows.data(), stride);
      x.each([&](int n, int c, int h, int w) {
        ASSERT_EQ(static_cast<double>(rows[static_cast<size_t>(n) * stride +
                                           static_cast<size_t>((h * x.shape.width + w) * x.channels + c)]),
                  x.get(n, c, h, w));
      });
      for (size_t i = row; i < stride; ++i) EXPECT_EQ(rows[i], 0.0F);
      std::vector<float> back(x.values.size(), 9.0F);
      rows_to_blocked(x.shape, x.channels, rows.data(), stride, back.data());
      EXPECT_EQ(back, x.values);
    }
  });
}

}  // namespace
}  // namespace retort::engine::kernels
