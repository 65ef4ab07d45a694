// The first convolution, its fusion with a pool, and the depthwise convolution against loops in double
// precision.
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

struct FirstConvCase {
  FirstConvShape shape;
  std::vector<float> input;
  std::vector<float> weights;
  std::vector<float> bias;
  int channels = 0;  // of the output

  FirstConvCase(Rng& rng, int block, bool pooled) {
    const int kernel_height = random_int(rng, 1, pooled ? 3 : 5);
    const int kernel_width = random_int(rng, 1, pooled ? 3 : 7);
    const int stride_height = pooled ? 1 : random_int(rng, 1, 3);
    const int stride_width = pooled ? 1 : random_int(rng, 1, 3);
    shape.input = {random_int(rng, 1, 2),  random_int(rng, 1, 4), random_int(rng, 4, 9),
                   random_int(rng, 4, 31), random_int(rng, 0, 2), random_int(rng, 0, 2),
                   random_int(rng, 0, 2),  random_int(rng, 0, 2)};
    shape.kernel_height = kernel_height;
    shape.kernel_width = std::min(kernel_width, shape.input.padded_width() - 1);
    shape.kernel_height = std::min(kernel_height, shape.input.padded_height() - 1);
    shape.stride_height = stride_height;
    shape.stride_width = stride_width;
    channels = random_int(rng, 1, 3 * block);
    int height = (shape.input.padded_height() - shape.kernel_height) / stride_height + 1;
    int width = (shape.input.padded_width() - shape.kernel_width) / stride_width + 1;
    if (pooled) {
      height /= 2;
      width /= 2;
    }
    shape.output = {shape.input.images, (channels + block - 1) / block, height, width, block};
    std::vector<uint8_t> bytes(static_cast<size_t>(shape.input.images * shape.input.channels *
                                                   shape.input.height * shape.input.width));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
    input.assign(shape.input.size(), -1.0F);
    bytes_to_planar(shape.input, bytes.data(), input.data());
    const size_t taps = static_cast<size_t>(shape.kernel_height * shape.kernel_width * shape.input.channels);
    weights.assign(taps * shape.output.channels(), 0.0F);
    bias.assign(shape.output.channels(), 0.0F);
    for (int c = 0; c < channels; ++c) {
      for (size_t t = 0; t < taps; ++t) weights[weight_index(c, t)] = rng.normal();
      bias[static_cast<size_t>(c)] = rng.normal();
    }
  }

  [[nodiscard]] size_t taps() const {
    return static_cast<size_t>(shape.kernel_height * shape.kernel_width * shape.input.channels);
  }
  [[nodiscard]] size_t weight_index(int c, size_t tap) const {
    const auto block = static_cast<size_t>(shape.output.block);
    const auto channel = static_cast<size_t>(c);
    return (channel / block * taps() + tap) * block + channel % block;
  }
  [[nodiscard]] double input_at(int n, int oy, int ox, int ky, int kx, int c) const {
    const int row = shape.input.padded_width();
    const int plane = row * shape.input.padded_height();
    return static_cast<double>(input[static_cast<size_t>(n) * shape.input.image_size() +
                                     static_cast<size_t>(c * plane + (oy * shape.stride_height + ky) * row +
                                                         ox * shape.stride_width + kx)]);
  }
  // Before the activation.
  [[nodiscard]] double output_at(int n, int c, int oy, int ox) const {
    double sum = static_cast<double>(bias[static_cast<size_t>(c)]);
    size_t tap = 0;
    for (int ky = 0; ky < shape.kernel_height; ++ky)
      for (int kx = 0; kx < shape.kernel_width; ++kx)
        for (int ic = 0; ic < shape.input.channels; ++ic, ++tap)
          sum += static_cast<double>(weights[weight_index(c, tap)]) * input_at(n, oy, ox, ky, kx, ic);
    return sum;
  }
  [[nodiscard]] Blocked make_output() const {
    return Blocked(shape.output.images, channels, shape.output.height, shape.output.width,
                   shape.output.block);
  }
  // Adds the gradient of output (n, c, oy, ox) to doubles in the weights' layout.
  void add_gradient(int n, int c, int oy, int ox, double g, std::vector<double>& dweights,
                    std::vector<double>& dbias) const {
    size_t tap = 0;
    for (int ky = 0; ky < shape.kernel_height; ++ky)
      for (int kx = 0; kx < shape.kernel_width; ++kx)
        for (int ic = 0; ic < shape.input.channels; ++ic, ++tap)
          dweights[weight_index(c, tap)] += g * input_at(n, oy, ox, ky, kx, ic);
    dbias[static_cast<size_t>(c)] += g;
  }
};

void expect_all_close(const std::vector<float>& got, const std::vector<double>& wanted, double tolerance,
                      const char* what) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NO_FATAL_FAILURE(expect_close(static_cast<double>(got[i]), wanted[i], tolerance, what, i));
}

TEST(KernelsFirstConv, ForwardAndWeightGradientMatchLoops) {
  for_each_target([] {
    Rng rng(11);
    for (int round = 0; round < 40; ++round) {
      const FirstConvCase test(rng, round % 2 == 0 ? 8 : 16, false);
      const Activation activation = random_activation(rng);
      Blocked y = test.make_output();
      first_conv_forward(test.shape, test.input.data(), test.weights.data(), test.bias.data(), activation,
                         y.values.data());
      ASSERT_NO_FATAL_FAILURE(y.expect_clean());
      y.each([&](int n, int c, int oy, int ox) {
        EXPECT_NEAR(y.get(n, c, oy, ox), activate(test.output_at(n, c, oy, ox), activation), 2e-5);
      });
      Blocked dy = test.make_output();
      dy.randomize(rng);
      std::vector<double> dweights(test.weights.size(), 0.25);
      std::vector<double> dbias(test.bias.size(), 0.5);
      y.each([&](int n, int c, int oy, int ox) {
        if (passes(y.get(n, c, oy, ox), activation))
          test.add_gradient(n, c, oy, ox, dy.get(n, c, oy, ox), dweights, dbias);
      });
      // Gradients are added to what is there.
      std::vector<float> got_weights(dweights.size(), 0.25F);
      std::vector<float> got_bias(dbias.size(), 0.5F);
      first_conv_backward_weights(test.shape, test.input.data(), dy.values.data(), y.values.data(),
                                  activation, got_weights.data(), got_bias.data());
      ASSERT_NO_FATAL_FAILURE(expect_all_close(got_weights, dweights, 1e-4, "dweights"));
      ASSERT_NO_FATAL_FAILURE(expect_all_close(got_bias, dbias, 1e-4, "dbias"));
      // A masked gradient without the mask's help, and no bias.
      activation_backward(dy.values.size(), activation, y.values.data(), dy.values.data(), dy.values.data());
      std::fill(got_weights.begin(), got_weights.end(), 0.25F);
      first_conv_backward_weights(test.shape, test.input.data(), dy.values.data(), nullptr, Activation::None,
                                  got_weights.data(), nullptr);
      ASSERT_NO_FATAL_FAILURE(expect_all_close(got_weights, dweights, 1e-4, "dweights"));
    }
  });
}

TEST(KernelsFirstConv, WeightGradientIsTheForwardsSlope) {
  Rng rng(12);
  FirstConvCase test(rng, 8, false);
  Blocked dy = test.make_output();
  dy.randomize(rng);
  std::vector<float> dweights(test.weights.size(), 0.0F);
  first_conv_backward_weights(test.shape, test.input.data(), dy.values.data(), nullptr, Activation::None,
                              dweights.data(), nullptr);
  const auto loss = [&] {
    Blocked y = test.make_output();
    first_conv_forward(test.shape, test.input.data(), test.weights.data(), nullptr, Activation::None,
                       y.values.data());
    double sum = 0;
    for (size_t i = 0; i < y.values.size(); ++i)
      sum += static_cast<double>(y.values[i]) * static_cast<double>(dy.values[i]);
    return sum;
  };
  for (int c = 0; c < test.channels; ++c)
    for (size_t t = 0; t < test.taps(); ++t) {
      const size_t i = test.weight_index(c, t);
      ASSERT_NEAR(static_cast<double>(dweights[i]), numeric_gradient(test.weights[i], 1.0F, loss), 2e-3) << i;
    }
}

TEST(KernelsFirstConv, PooledMatchesConvThenPool) {
  for_each_target([] {
    Rng rng(13);
    for (int round = 0; round < 40; ++round) {
      const FirstConvCase test(rng, round % 2 == 0 ? 8 : 16, true);
      const Activation activation = random_activation(rng);
      Blocked y = test.make_output();
      std::vector<uint8_t> argmax(y.values.size(), 9);
      first_conv_pool_forward(test.shape, test.input.data(), test.weights.data(), test.bias.data(),
                              activation, y.values.data(), argmax.data());
      Blocked plain = test.make_output();
      first_conv_pool_forward(test.shape, test.input.data(), test.weights.data(), test.bias.data(),
                              activation, plain.values.data(), nullptr);
      ASSERT_EQ(y.values, plain.values);
      ASSERT_NO_FATAL_FAILURE(y.expect_clean());
      Blocked dy = test.make_output();
      dy.randomize(rng);
      std::vector<double> dweights(test.weights.size(), 0.0);
      std::vector<double> dbias(test.bias.size(), 0.0);
      y.each([&](int n, int c, int oy, int ox) {
        double largest = -1e30;
        for (int cell = 0; cell < 4; ++cell)
          largest = std::max(largest, test.output_at(n, c, 2 * oy + cell / 2, 2 * ox + cell % 2));
        const int cell = argmax[y.index(n, c, oy, ox)];
        ASSERT_LT(cell, 4);
        EXPECT_NEAR(test.output_at(n, c, 2 * oy + cell / 2, 2 * ox + cell % 2), largest, 2e-5);
        EXPECT_NEAR(y.get(n, c, oy, ox), activate(largest, activation), 2e-5);
        if (passes(y.get(n, c, oy, ox), activation))
          test.add_gradient(n, c, 2 * oy + cell / 2, 2 * ox + cell % 2, dy.get(n, c, oy, ox), dweights,
                            dbias);
      });
      std::vector<float> got_weights(dweights.size(), 0.0F);
      std::vector<float> got_bias(dbias.size(), 0.0F);
      const float* output = activation == Activation::None ? nullptr : y.values.data();
      first_conv_pool_backward_weights(test.shape, test.input.data(), dy.values.data(), output, argmax.data(),
                                       activation, got_weights.data(), got_bias.data());
      ASSERT_NO_FATAL_FAILURE(expect_all_close(got_weights, dweights, 1e-4, "dweights"));
      ASSERT_NO_FATAL_FAILURE(expect_all_close(got_bias, dbias, 1e-4, "dbias"));
    }
  });
}

TEST(KernelsDepthwise, MatchesLoops) {
  for_each_target([] {
    Rng rng(14);
    for (int round = 0; round < 80; ++round) {
      const int block = round % 2 == 0 ? 8 : 16;
      const int images = random_int(rng, 1, 2);
      const int channels = random_int(rng, 1, 2 * block + 3);
      Window2d window{
          random_int(rng, 1, 5), random_int(rng, 1, 7), random_int(rng, 1, 3), random_int(rng, 1, 3), 0, 0};
      window.pad_top = random_int(rng, 0, window.height - 1);
      window.pad_left = random_int(rng, 0, window.width - 1);
      Blocked x(images, channels, random_int(rng, 1, 8), random_int(rng, 1, 21), block);
      // Windows may reach beyond the end as long as they begin inside.
      const int height = random_int(rng, 1, (x.shape.height - 1 + window.pad_top) / window.stride_height + 1);
      const int width = random_int(rng, 1, (x.shape.width - 1 + window.pad_left) / window.stride_width + 1);
      Blocked y(images, channels, height, width, block);
      Blocked dy = y;
      x.randomize(rng);
      dy.randomize(rng);
      const auto taps = static_cast<size_t>(window.height * window.width);
      std::vector<float> weights(taps * x.shape.channels(), 0.0F);
      std::vector<float> bias(x.shape.channels(), 0.0F);
      const auto weight_index = [&](int c, int ky, int kx) {
        return (static_cast<size_t>(c / block) * taps + static_cast<size_t>(ky * window.width + kx)) *
                   static_cast<size_t>(block) +
               static_cast<size_t>(c % block);
      };
      for (int c = 0; c < channels; ++c) {
        for (int t = 0; t < static_cast<int>(taps); ++t) weights[weight_index(c, 0, t)] = rng.normal();
        bias[static_cast<size_t>(c)] = rng.normal();
      }
      const Activation activation = random_activation(rng);
      std::vector<double> wanted_y(y.values.size(), 0.0);
      std::vector<double> wanted_dx(x.values.size(), 0.0);
      std::vector<double> wanted_dw(weights.size(), 0.0);
      std::vector<double> wanted_db(bias.size(), 0.0);
      y.each([&](int n, int c, int oy, int ox) {
        const size_t o = y.index(n, c, oy, ox);
        const double g = dy.get(n, c, oy, ox);
        double sum = static_cast<double>(bias[static_cast<size_t>(c)]);
        for (int ky = 0; ky < window.height; ++ky)
          for (int kx = 0; kx < window.width; ++kx) {
            const int iy = oy * window.stride_height - window.pad_top + ky;
            const int ix = ox * window.stride_width - window.pad_left + kx;
            if (iy < 0 || iy >= x.shape.height || ix < 0 || ix >= x.shape.width) continue;
            const size_t w = weight_index(c, ky, kx);
            sum += static_cast<double>(weights[w]) * x.get(n, c, iy, ix);
            wanted_dx[x.index(n, c, iy, ix)] += g * static_cast<double>(weights[w]);
            wanted_dw[w] += g * x.get(n, c, iy, ix);
          }
        wanted_y[o] = activate(sum, activation);
        wanted_db[static_cast<size_t>(c)] += g;
      });
      depthwise_forward(x.shape, y.shape, window, x.values.data(), weights.data(), bias.data(), activation,
                        y.values.data());
      ASSERT_NO_FATAL_FAILURE(expect_all_close(y.values, wanted_y, 2e-5, "y"));
      std::vector<float> dx(x.values.size(), 7.0F);
      depthwise_backward_data(x.shape, y.shape, window, dy.values.data(), weights.data(), dx.data());
      ASSERT_NO_FATAL_FAILURE(expect_all_close(dx, wanted_dx, 2e-5, "dx"));
      std::vector<float> dw(weights.size(), 0.0F);
      std::vector<float> db(bias.size(), 0.0F);
      depthwise_backward_weights(x.shape, y.shape, window, x.values.data(), dy.values.data(), dw.data(),
                                 db.data());
      ASSERT_NO_FATAL_FAILURE(expect_all_close(dw, wanted_dw, 1e-4, "dw"));
      ASSERT_NO_FATAL_FAILURE(expect_all_close(db, wanted_db, 1e-4, "db"));
    }
  });
}

}  // namespace
}  // namespace retort::engine::kernels
