// Dense layers against loops in double precision.
#include "engine/kernels/dense.h"

#include <algorithm>
#include <vector>

#include "engine/kernels_tensors.h"

namespace retort::engine::kernels {
namespace {

std::vector<float> normals(Rng& rng, int rows, int columns) {
  std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  for (float& value : values) value = rng.normal();
  return values;
}

double value(const std::vector<float>& matrix, int columns, int row, int column) {
  return static_cast<double>(matrix[static_cast<size_t>(row * columns + column)]);
}

void expect_like_loops(const DenseSize& size, Activation activation, bool has_bias, Rng& rng) {
  SCOPED_TRACE(testing::Message() << size.images << " images, " << size.in << " to " << size.out);
  const auto [images, in, out] = size;
  const std::vector<float> x = normals(rng, images, in);
  const std::vector<float> w = normals(rng, out, in);
  const std::vector<float> bias = normals(rng, 1, out);
  const std::vector<float> dy = normals(rng, images, out);
  const float* b = has_bias ? bias.data() : nullptr;
  std::vector<float> y(dy.size(), 9.0F);
  dense_forward(size, x.data(), w.data(), b, activation, y.data());
  for (int n = 0; n < images; ++n)
    for (int o = 0; o < out; ++o) {
      double sum = has_bias ? value(bias, out, 0, o) : 0;
      for (int i = 0; i < in; ++i) sum += value(x, in, n, i) * value(w, in, o, i);
      ASSERT_NEAR(value(y, out, n, o), activate(sum, activation), 2e-5) << n << ", " << o;
    }

  std::vector<float> workspace(dense_backward_workspace(size));
  std::vector<float> dx(x.size(), 9.0F);
  dense_backward_data(size, dy.data(), w.data(), workspace.data(), dx.data());
  for (int n = 0; n < images; ++n)
    for (int i = 0; i < in; ++i) {
      double sum = 0;
      for (int o = 0; o < out; ++o) sum += value(dy, out, n, o) * value(w, in, o, i);
      ASSERT_NEAR(value(dx, in, n, i), sum, 2e-5) << n << ", " << i;
    }

  // Split anywhere.
  std::vector<float> dw(w.size(), 9.0F);
  std::vector<float> db(bias.size(), 9.0F);
  const int split = 1 + static_cast<int>(rng.below(static_cast<uint32_t>(out - 1)));
  for (const auto& [first, last] : {std::pair(0, split), std::pair(split, out)})
    dense_backward_weights(size, first, last, x.data(), dy.data(), workspace.data(), dw.data(),
                           has_bias ? db.data() : nullptr);
  for (int o = 0; o < out; ++o) {
    double bias_sum = 0;
    for (int n = 0; n < images; ++n) bias_sum += value(dy, out, n, o);
    ASSERT_NEAR(value(db, out, 0, o), has_bias ? bias_sum : 9.0, 2e-5);
    for (int i = 0; i < in; ++i) {
      double sum = 0;
      for (int n = 0; n < images; ++n) sum += value(dy, out, n, o) * value(x, in, n, i);
      ASSERT_NEAR(value(dw, in, o, i), sum, 2e-5) << o << ", " << i;
    }
  }
  std::vector<float> whole(w.size());
  dense_backward_weights(size, 0, out, x.data(), dy.data(), workspace.data(), whole.data(), nullptr);
  EXPECT_EQ(whole, dw);

  // A row's bits are its own, wherever it stands.
  for (int n = 0; n < images; ++n) {
    std::vector<float> alone(static_cast<size_t>(out));
    dense_forward({1, in, out}, x.data() + static_cast<std::ptrdiff_t>(n) * in, w.data(), b, activation,
                  alone.data());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), y.begin() + static_cast<std::ptrdiff_t>(n) * out));
  }
}

TEST(KernelsDense, MatchLoops) {
  for_each_target([] {
    Rng rng(41);
    for (const int in : {8, 24, 40, 48})
      for (const int out : {8, 24, 40, 48})
        for (const int images : {1, 3, 4, 9})
          ASSERT_NO_FATAL_FAILURE(expect_like_loops({images, in, out}, static_cast<Activation>(rng.below(3)),
                                                    rng.below(2) == 1, rng));
  });
}

}  // namespace
}  // namespace retort::engine::kernels
