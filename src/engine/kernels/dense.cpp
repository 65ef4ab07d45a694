#include "engine/kernels/dense.h"

#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/dense.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

constexpr size_t kRows = 4;     // of a tile
constexpr size_t kVectors = 3;  // of a tile

// At most 16 lanes, and no more than what `in` and `out` are multiples of.
using DenseTag8 = hn::CappedTag<float, 8>;
using DenseTag16 = hn::CappedTag<float, 16>;

// Dot products of R rows of x with C rows of w, along both.
template <size_t R, size_t C, class D>
HWY_INLINE void DotTile(D d, size_t in, const float* HWY_RESTRICT x, const float* HWY_RESTRICT weights,
                        const float* bias, Activation activation, size_t out, float* HWY_RESTRICT y) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[R][C];
  for (size_t r = 0; r < R; ++r)
    for (size_t c = 0; c < C; ++c) sums[r][c] = hn::Zero(d);
  for (size_t i = 0; i < in; i += lanes) {
    hn::Vec<D> w[C];
    for (size_t c = 0; c < C; ++c) w[c] = hn::LoadU(d, weights + c * in + i);
    for (size_t r = 0; r < R; ++r) {
      const auto v = hn::LoadU(d, x + r * in + i);
      for (size_t c = 0; c < C; ++c) sums[r][c] = hn::MulAdd(v, w[c], sums[r][c]);
    }
  }
  const Limits limits = limits_of(activation);
  for (size_t r = 0; r < R; ++r) {
    for (size_t c = 0; c < C; ++c) {
      const float sum = hn::GetLane(hn::SumOfLanes(d, sums[r][c])) + (bias == nullptr ? 0.0F : bias[c]);
      y[r * out + c] = std::min(std::max(sum, limits.low), limits.high);
    }
  }
}

template <size_t C, class D>
HWY_INLINE void DotRows(D d, const DenseSize& size, const float* x, const float* weights, const float* bias,
                        Activation activation, float* y) {
  const auto in = static_cast<size_t>(size.in);
  const auto out = static_cast<size_t>(size.out);
  const auto images = static_cast<size_t>(size.images);
  size_t image = 0;
  for (; image + kRows <= images; image += kRows)
    DotTile<kRows, C>(d, in, x + image * in, weights, bias, activation, out, y + image * out);
  for (; image < images; ++image)
    DotTile<1, C>(d, in, x + image * in, weights, bias, activation, out, y + image * out);
}

template <class D>
HWY_INLINE void ForwardWith(D d, const DenseSize& size, const float* x, const float* weights,
                            const float* bias, Activation activation, float* y) {
  const auto in = static_cast<size_t>(size.in);
  const auto out = static_cast<size_t>(size.out);
  const auto bias_at = [&](size_t o) { return bias == nullptr ? nullptr : bias + o; };
  size_t o = 0;
  for (; o + kVectors <= out; o += kVectors)
    DotRows<kVectors>(d, size, x, weights + o * in, bias_at(o), activation, y + o);
  for (; o < out; ++o) DotRows<1>(d, size, x, weights + o * in, bias_at(o), activation, y + o);
}

void DenseForward(const DenseSize& size, const float* x, const float* weights, const float* bias,
                  Activation activation, float* y) {
  if (size.in % 16 == 0)
    ForwardWith(DenseTag16(), size, x, weights, bias, activation, y);
  else
    ForwardWith(DenseTag8(), size, x, weights, bias, activation, y);
}

// R rows of `to` (stride `width`) × V vectors: the sums over k of factors[r · factor_stride + k] times the
// vectors of strip row k.
template <size_t R, size_t V, class D>
HWY_INLINE void OuterTile(D d, size_t depth, const float* HWY_RESTRICT factors, size_t factor_stride,
                          const float* HWY_RESTRICT strip, size_t width, float* HWY_RESTRICT to) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[R][V];
  for (size_t r = 0; r < R; ++r)
    for (size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  for (size_t k = 0; k < depth; ++k) {
    hn::Vec<D> row[V];
    for (size_t v = 0; v < V; ++v) row[v] = hn::LoadU(d, strip + (k * V + v) * lanes);
    for (size_t r = 0; r < R; ++r) {
      const auto factor = hn::Set(d, factors[r * factor_stride + k]);
      for (size_t v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, row[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < R; ++r)
    for (size_t v = 0; v < V; ++v) hn::StoreU(sums[r][v], d, to + r * width + v * lanes);
}

// The same for all `rows`, on columns that begin at `from` (depth rows of stride `width`).
template <size_t V, class D>
HWY_INLINE void OuterStrip(D d, size_t rows, size_t depth, const float* factors, size_t factor_stride,
                           const float* from, size_t width, float* strip, float* to) {
  const size_t floats = V * hn::Lanes(d);
  for (size_t k = 0; k < depth; ++k)
    std::memcpy(strip + k * floats, from + k * width, floats * sizeof(float));
  size_t row = 0;
  for (; row + kRows <= rows; row += kRows)
    OuterTile<kRows, V>(d, depth, factors + row * factor_stride, factor_stride, strip, width,
                        to + row * width);
  for (; row < rows; ++row)
    OuterTile<1, V>(d, depth, factors + row * factor_stride, factor_stride, strip, width, to + row * width);
}

// to (rows × width) = factors (rows × depth) · from (depth × width).
template <class D>
HWY_INLINE void OuterWith(D d, size_t rows, size_t depth, const float* factors, size_t factor_stride,
                          const float* from, size_t width, float* strip, float* to) {
  const size_t lanes = hn::Lanes(d);
  size_t column = 0;
  for (; column + kVectors * lanes <= width; column += kVectors * lanes)
    OuterStrip<kVectors>(d, rows, depth, factors, factor_stride, from + column, width, strip, to + column);
  for (; column < width; column += lanes)
    OuterStrip<1>(d, rows, depth, factors, factor_stride, from + column, width, strip, to + column);
}

void DenseOuter(size_t rows, size_t depth, const float* factors, size_t factor_stride, const float* from,
                size_t width, float* strip, float* to) {
  if (width % 16 == 0)
    OuterWith(DenseTag16(), rows, depth, factors, factor_stride, from, width, strip, to);
  else
    OuterWith(DenseTag8(), rows, depth, factors, factor_stride, from, width, strip, to);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(DenseForward);
HWY_EXPORT(DenseOuter);

namespace {

// The widest tile's columns: 3 vectors of 16.
constexpr size_t kStripColumns = 48;

}  // namespace

void dense_forward(const DenseSize& size, const float* x, const float* weights, const float* bias,
                   Activation activation, float* y) {
  HWY_DYNAMIC_DISPATCH(DenseForward)(size, x, weights, bias, activation, y);
}

size_t dense_backward_workspace(const DenseSize& size) {
  const auto images = static_cast<size_t>(size.images);
  const auto out = static_cast<size_t>(size.out);
  return kStripColumns * std::max(images, out) + images * out;
}

void dense_backward_data(const DenseSize& size, const float* dy, const float* weights, float* workspace,
                         float* dx) {
  const auto out = static_cast<size_t>(size.out);
  HWY_DYNAMIC_DISPATCH(DenseOuter)
  (static_cast<size_t>(size.images), out, dy, out, weights, static_cast<size_t>(size.in), workspace, dx);
}

void dense_backward_weights(const DenseSize& size, int first, int last, const float* x, const float* dy,
                            float* workspace, float* dweights, float* dbias) {
  const auto images = static_cast<size_t>(size.images);
  const auto in = static_cast<size_t>(size.in);
  const auto begin = static_cast<size_t>(first);
  const size_t rows = static_cast<size_t>(last) - begin;
  // dy turned, so that a row of weights finds its factors side by side.
  float* turned = workspace + kStripColumns * images;
  for (size_t image = 0; image < images; ++image)
    for (size_t row = 0; row < rows; ++row)
      turned[row * images + image] = dy[image * static_cast<size_t>(size.out) + begin + row];
  HWY_DYNAMIC_DISPATCH(DenseOuter)(rows, images, turned, images, x, in, workspace, dweights + begin * in);
  if (dbias == nullptr) return;
  for (size_t row = 0; row < rows; ++row) {
    float sum = 0;
    for (size_t image = 0; image < images; ++image) sum += turned[row * images + image];
    dbias[begin + row] = sum;
  }
}

}  // namespace retort::engine::kernels
#endif
