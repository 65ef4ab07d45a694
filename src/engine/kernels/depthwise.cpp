#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/depthwise.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// Forward and the gradient of the input are both correlations of a grid of taps with a tensor: what differs
// is how far apart neighbouring taps lie in the tensor and the kernel, and neighbouring results in tensor and
// output.
struct Correlation {
  const float* x;  // under the first tap of the first result
  const float* w;
  ptrdiff_t x_row_step;
  ptrdiff_t x_column_step;
  ptrdiff_t w_row_step;
  ptrdiff_t w_column_step;
  ptrdiff_t x_step;  // to the next result's
  ptrdiff_t y_step;
  int rows;  // taps that lie inside the tensor
  int columns;
};

// kColumns and kStep: columns and x_step where the compiler knows them, else 0.
template <class D, int P, int kColumns, ptrdiff_t kStep>
HWY_INLINE void CorrelateTile(const Correlation& c, hn::Vec<D> start, const Clamp<D>& clamp,
                              float* HWY_RESTRICT y) {
  const D d;
  using V = hn::Vec<D>;
  const ptrdiff_t step = kStep == 0 ? c.x_step : kStep;
  V sums[P];
  RETORT_UNROLL
  for (int p = 0; p < P; ++p) sums[p] = start;
  const float* x_row = c.x;
  const float* w_row = c.w;
  for (int row = 0; row < c.rows; ++row, x_row += c.x_row_step, w_row += c.w_row_step) {
    const float* HWY_RESTRICT x = x_row;
    const float* HWY_RESTRICT w = w_row;
    const auto column = [&]() HWY_ATTR {
      const V weight = hn::LoadU(d, w);
      RETORT_UNROLL
      for (int p = 0; p < P; ++p) sums[p] = hn::MulAdd(hn::LoadU(d, x + p * step), weight, sums[p]);
      x += c.x_column_step;
      w += c.w_column_step;
    };
    if constexpr (kColumns == 0) {
      for (int i = 0; i < c.columns; ++i) column();
    } else {
      RETORT_UNROLL
      for (int i = 0; i < kColumns; ++i) column();
    }
  }
  RETORT_UNROLL
  for (int p = 0; p < P; ++p) hn::StoreU(clamp(sums[p]), d, y + p * c.y_step);
}

// One result near an edge.
template <class D>
HWY_INLINE void CorrelateOne(const Correlation& c, hn::Vec<D> start, const Clamp<D>& clamp, float* y) {
  c.columns == 2 ? CorrelateTile<D, 1, 2, 1>(c, start, clamp, y)
                 : CorrelateTile<D, 1, 0, 1>(c, start, clamp, y);
}

// `count` results in a row whose taps all lie inside.
template <class D, int kColumns, ptrdiff_t kStep>
HWY_INLINE void CorrelateRunOf(Correlation c, int count, hn::Vec<D> start, const Clamp<D>& clamp, float* y) {
  const auto tiles = [&](auto size) HWY_ATTR {
    constexpr int kSize = decltype(size)::value;
    for (; count >= kSize; count -= kSize) {
      CorrelateTile<D, kSize, kColumns, kStep>(c, start, clamp, y);
      c.x += kSize * c.x_step;
      y += kSize * c.y_step;
    }
  };
  tiles(std::integral_constant<int, 12>());
  tiles(std::integral_constant<int, 6>());
  tiles(std::integral_constant<int, 3>());
  tiles(std::integral_constant<int, 1>());
}

template <class D, int B>
HWY_INLINE void CorrelateRun(const Correlation& c, int count, hn::Vec<D> start, const Clamp<D>& clamp,
                             float* y) {
  if (c.columns == 3)
    c.x_step == B ? CorrelateRunOf<D, 3, B>(c, count, start, clamp, y)
                  : CorrelateRunOf<D, 3, 0>(c, count, start, clamp, y);
  else
    c.x_step == B ? CorrelateRunOf<D, 0, B>(c, count, start, clamp, y)
                  : CorrelateRunOf<D, 0, 0>(c, count, start, clamp, y);
}

inline int ceil_divide(int a, int b) {
  return (a + b - 1) / b;
}

// Output positions whose windows lie inside the axis for taps [first, last): [begin, end).
struct Interior {
  int begin;
  int end;
  Interior(int in_size, int out_size, int stride, int pad, int first, int last) {
    begin = std::clamp(pad > first ? ceil_divide(pad - first, stride) : 0, 0, out_size);
    const int room = in_size - last + pad;
    end = std::clamp(room < 0 ? 0 : room / stride + 1, begin, out_size);
  }
};

template <int B>
void DepthwiseForwardOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                             const float* x, const float* weights, const float* bias, Activation activation,
                             float* y) {
  const BlockTag<B> d;
  const Clamp<BlockTag<B>> clamp(d, activation);
  const auto blocks = static_cast<size_t>(in.channel_blocks);
  const Interior interior(in.width, out.width, window.stride_width, window.pad_left, 0, window.width);
  Correlation c{};
  c.x_row_step = static_cast<ptrdiff_t>(in.width) * B;
  c.x_column_step = B;
  c.w_row_step = static_cast<ptrdiff_t>(window.width) * B;
  c.w_column_step = B;
  c.x_step = static_cast<ptrdiff_t>(window.stride_width) * B;
  c.y_step = B;
  for (size_t plane = 0; plane < static_cast<size_t>(in.images) * blocks; ++plane) {
    const size_t cb = plane % blocks;
    for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
      const float* x_plane = x + plane * in.pixels() * B + lane;
      const float* w = weights + cb * static_cast<size_t>(window.height * window.width) * B + lane;
      const auto start = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + cb * B + lane);
      for (int oy = 0; oy < out.height; ++oy) {
        const int top = oy * window.stride_height - window.pad_top;
        const int ky = std::max(0, -top);
        c.rows = std::min(window.height, in.height - top) - ky;
        const float* x_row = x_plane + (top + ky) * c.x_row_step;
        const float* w_row = w + ky * c.w_row_step;
        float* y_row =
            y + (plane * out.pixels() + static_cast<size_t>(oy) * static_cast<size_t>(out.width)) * B + lane;
        const auto edge = [&](int ox) HWY_ATTR {
          const int left = ox * window.stride_width - window.pad_left;
          const int kx = std::max(0, -left);
          c.columns = std::min(window.width, in.width - left) - kx;
          c.x = x_row + static_cast<ptrdiff_t>(left + kx) * B;
          c.w = w_row + static_cast<ptrdiff_t>(kx) * B;
          CorrelateOne<BlockTag<B>>(c, start, clamp, y_row + static_cast<ptrdiff_t>(ox) * B);
        };
        for (int ox = 0; ox < interior.begin; ++ox) edge(ox);
        c.columns = window.width;
        c.x = x_row + static_cast<ptrdiff_t>(interior.begin * window.stride_width - window.pad_left) * B;
        c.w = w_row;
        CorrelateRun<BlockTag<B>, B>(c, interior.end - interior.begin, start, clamp,
                                     y_row + static_cast<ptrdiff_t>(interior.begin) * B);
        for (int ox = interior.end; ox < out.width; ++ox) edge(ox);
      }
    }
  }
}

void DepthwiseForward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                      const float* weights, const float* bias, Activation activation, float* y) {
  in.block == 16 ? DepthwiseForwardOfBlock<16>(in, out, window, x, weights, bias, activation, y)
                 : DepthwiseForwardOfBlock<8>(in, out, window, x, weights, bias, activation, y);
}

// Input position i of an axis is met by taps k ≡ i + pad (mod stride). Numbered n = 0, 1, …, they are
// first + n · stride, and meet outputs last − n.
struct Meeting {
  int first;
  int taps;
  int last;
  Meeting(int i, int stride, int pad, int window)
      : first((i + pad) % stride),
        taps(first < window ? (window - first - 1) / stride + 1 : 0),
        last((i + pad - first) / stride) {}
  [[nodiscard]] int begin(int outputs) const { return std::max(0, last - outputs + 1); }
  [[nodiscard]] int end() const { return std::min(taps, last + 1); }
};

template <int B>
void DepthwiseBackwardDataOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                                  const float* dy, const float* weights, float* dx) {
  const BlockTag<B> d;
  const Clamp<BlockTag<B>> clamp(d, Activation::None);
  const auto blocks = static_cast<size_t>(in.channel_blocks);
  const int stride = window.stride_width;
  Correlation c{};
  c.x_row_step = -static_cast<ptrdiff_t>(out.width) * B;
  c.x_column_step = -B;
  c.w_row_step = static_cast<ptrdiff_t>(window.stride_height) * window.width * B;
  c.w_column_step = static_cast<ptrdiff_t>(stride) * B;
  c.x_step = B;
  c.y_step = static_cast<ptrdiff_t>(stride) * B;
  for (size_t plane = 0; plane < static_cast<size_t>(in.images) * blocks; ++plane) {
    const size_t cb = plane % blocks;
    for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
      const float* dy_plane = dy + plane * out.pixels() * B + lane;
      const float* w = weights + cb * static_cast<size_t>(window.height * window.width) * B + lane;
      for (int iy = 0; iy < in.height; ++iy) {
        const Meeting rows(iy, window.stride_height, window.pad_top, window.height);
        const int row = rows.begin(out.height);
        c.rows = std::max(0, rows.end() - row);
        const float* dy_row = dy_plane + static_cast<ptrdiff_t>(rows.last - row) * out.width * B;
        const float* w_row =
            w + static_cast<ptrdiff_t>(rows.first + row * window.stride_height) * window.width * B;
        float* dx_row =
            dx + (plane * in.pixels() + static_cast<size_t>(iy) * static_cast<size_t>(in.width)) * B + lane;
        // Columns of one remainder share their taps, and meet neighbouring outputs.
        for (int phase = 0; phase < std::min(stride, in.width); ++phase) {
          const int columns = ceil_divide(in.width - phase, stride);
          const Meeting meeting(phase, stride, window.pad_left, window.width);
          // Column number j of the phase meets outputs last + j − n: all of its taps for j in [begin, end).
          const int begin = std::clamp(meeting.taps - 1 - meeting.last, 0, columns);
          const int end = std::clamp(out.width - meeting.last, begin, columns);
          const auto edge = [&](int j) HWY_ATTR {
            const Meeting here(phase + j * stride, stride, window.pad_left, window.width);
            const int n = here.begin(out.width);
            c.columns = std::max(0, here.end() - n);
            c.x = dy_row + static_cast<ptrdiff_t>(here.last - n) * B;
            c.w = w_row + static_cast<ptrdiff_t>(here.first + n * stride) * B;
            CorrelateOne<BlockTag<B>>(c, hn::Zero(d), clamp,
                                      dx_row + static_cast<ptrdiff_t>(phase + j * stride) * B);
          };
          for (int j = 0; j < begin; ++j) edge(j);
          c.columns = meeting.taps;
          c.x = dy_row + static_cast<ptrdiff_t>(meeting.last + begin) * B;
          c.w = w_row + static_cast<ptrdiff_t>(meeting.first) * B;
          CorrelateRun<BlockTag<B>, B>(c, end - begin, hn::Zero(d), clamp,
                                       dx_row + static_cast<ptrdiff_t>(phase + begin * stride) * B);
          for (int j = end; j < columns; ++j) edge(j);
        }
      }
    }
  }
}

void DepthwiseBackwardData(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                           const float* dy, const float* weights, float* dx) {
  in.block == 16 ? DepthwiseBackwardDataOfBlock<16>(in, out, window, dy, weights, dx)
                 : DepthwiseBackwardDataOfBlock<8>(in, out, window, dy, weights, dx);
}

// The gradient of T neighbouring taps of one kernel row, in registers over a plane. Two sets of sums, for
// neighbouring outputs, hide the latency of the multiply-adds.
template <int B, int T>
HWY_INLINE void RowGradient(const BlockedShape& in, const BlockedShape& out, const Window2d& window, int ky,
                            int kx, const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy,
                            float* HWY_RESTRICT dw) {
  const BlockTag<B> d;
  using V = hn::Vec<BlockTag<B>>;
  V even[T];
  V odd[T];
  for (int t = 0; t < T; ++t) even[t] = odd[t] = hn::Zero(d);
  const Interior rows(in.height, out.height, window.stride_height, window.pad_top, ky, ky + 1);
  const Interior columns(in.width, out.width, window.stride_width, window.pad_left, kx, kx + T);
  const ptrdiff_t step = static_cast<ptrdiff_t>(window.stride_width) * B;
  for (int oy = rows.begin; oy < rows.end; ++oy) {
    const int iy = oy * window.stride_height - window.pad_top + ky;
    const float* g = dy + static_cast<ptrdiff_t>(oy) * out.width * B;
    const float* x_row = x + static_cast<ptrdiff_t>(iy) * in.width * B;
    const auto edge = [&](int ox) HWY_ATTR {
      for (int t = 0; t < T; ++t) {
        const int ix = ox * window.stride_width - window.pad_left + kx + t;
        if (ix >= 0 && ix < in.width)
          even[t] = hn::MulAdd(hn::LoadU(d, x_row + static_cast<ptrdiff_t>(ix) * B),
                               hn::LoadU(d, g + static_cast<ptrdiff_t>(ox) * B), even[t]);
      }
    };
    for (int ox = 0; ox < columns.begin; ++ox) edge(ox);
    int ox = columns.begin;
    const float* at = x_row + static_cast<ptrdiff_t>(ox * window.stride_width - window.pad_left + kx) * B;
    for (; ox + 2 <= columns.end; ox += 2, at += 2 * step) {
      const V g0 = hn::LoadU(d, g + static_cast<ptrdiff_t>(ox) * B);
      const V g1 = hn::LoadU(d, g + static_cast<ptrdiff_t>(ox + 1) * B);
      for (int t = 0; t < T; ++t) {
        even[t] = hn::MulAdd(hn::LoadU(d, at + t * B), g0, even[t]);
        odd[t] = hn::MulAdd(hn::LoadU(d, at + step + t * B), g1, odd[t]);
      }
    }
    for (; ox < out.width; ++ox) edge(ox);
  }
  for (int t = 0; t < T; ++t)
    hn::StoreU(hn::Add(hn::LoadU(d, dw + t * B), hn::Add(even[t], odd[t])), d, dw + t * B);
}

template <int B>
void DepthwiseGradientOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                              const float* x, const float* dy, float* dweights, float* dbias) {
  const BlockTag<B> d;
  const auto blocks = static_cast<size_t>(in.channel_blocks);
  for (size_t plane = 0; plane < static_cast<size_t>(in.images) * blocks; ++plane) {
    const size_t cb = plane % blocks;
    for (size_t lane = 0; lane < B; lane += hn::Lanes(d)) {
      const float* x_plane = x + plane * in.pixels() * B + lane;
      const float* dy_plane = dy + plane * out.pixels() * B + lane;
      float* dw = dweights + cb * static_cast<size_t>(window.height * window.width) * B + lane;
      for (int ky = 0; ky < window.height; ++ky) {
        int kx = 0;
        const auto groups = [&](auto size) HWY_ATTR {
          constexpr int kSize = decltype(size)::value;
          for (; kx + kSize <= window.width; kx += kSize)
            RowGradient<B, kSize>(in, out, window, ky, kx, x_plane, dy_plane,
                                  dw + static_cast<ptrdiff_t>(ky * window.width + kx) * B);
        };
        groups(std::integral_constant<int, 5>());
        groups(std::integral_constant<int, 3>());
        groups(std::integral_constant<int, 1>());
      }
      if (dbias != nullptr) {
        auto sum0 = hn::Zero(d);
        auto sum1 = sum0;
        size_t p = 0;
        for (; p + 2 <= out.pixels(); p += 2) {
          sum0 = hn::Add(sum0, hn::LoadU(d, dy_plane + p * B));
          sum1 = hn::Add(sum1, hn::LoadU(d, dy_plane + (p + 1) * B));
        }
        if (p < out.pixels()) sum0 = hn::Add(sum0, hn::LoadU(d, dy_plane + p * B));
        float* db = dbias + cb * B + lane;
        hn::StoreU(hn::Add(hn::LoadU(d, db), hn::Add(sum0, sum1)), d, db);
      }
    }
  }
}

void DepthwiseGradient(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* x, const float* dy, float* dweights, float* dbias) {
  in.block == 16 ? DepthwiseGradientOfBlock<16>(in, out, window, x, dy, dweights, dbias)
                 : DepthwiseGradientOfBlock<8>(in, out, window, x, dy, dweights, dbias);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(DepthwiseForward);
HWY_EXPORT(DepthwiseBackwardData);
HWY_EXPORT(DepthwiseGradient);

void depthwise_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* x, const float* weights, const float* bias, Activation activation,
                       float* y) {
  HWY_DYNAMIC_DISPATCH(DepthwiseForward)(in, out, window, x, weights, bias, activation, y);
}

void depthwise_backward_data(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                             const float* dy, const float* weights, float* dx) {
  HWY_DYNAMIC_DISPATCH(DepthwiseBackwardData)(in, out, window, dy, weights, dx);
}

void depthwise_backward_weights(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                                const float* x, const float* dy, float* dweights, float* dbias) {
  HWY_DYNAMIC_DISPATCH(DepthwiseGradient)(in, out, window, x, dy, dweights, dbias);
}

}  // namespace retort::engine::kernels
#endif
