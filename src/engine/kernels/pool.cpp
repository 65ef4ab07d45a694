#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/pool.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// Cells [begin, end) of an axis of `size` that window number `o` covers; first is where the window itself
// begins.
struct Cells {
  int first;
  int begin;
  int end;
  HWY_INLINE Cells(int o, int stride, int pad, int window, int size)
      : first(o * stride - pad), begin(std::max(first, 0)), end(std::min(first + window, size)) {}
};

inline bool is_2x2(const Window2d& w) {
  return w.height == 2 && w.width == 2 && w.stride_height == 2 && w.stride_width == 2 && w.pad_top == 0 &&
         w.pad_left == 0;
}

template <class D>
HWY_INLINE void StoreIndices(D /*tag*/, hn::Vec<hn::Rebind<int32_t, D>> index, uint8_t* argmax) {
  const hn::Rebind<uint8_t, D> d8;
  hn::StoreU(hn::DemoteTo(d8, index), d8, argmax);
}

template <class D>
HWY_INLINE hn::Vec<hn::Rebind<int32_t, D>> LoadIndices(D /*tag*/, const uint8_t* argmax) {
  const hn::Rebind<uint8_t, D> d8;
  const hn::Rebind<int32_t, D> di;
  return hn::PromoteTo(di, hn::LoadU(d8, argmax));
}

template <class D, class V, class VI>
HWY_INLINE void TakeLarger(D /*tag*/, V v, int index, V& best, VI& best_index) {
  const hn::Rebind<int32_t, D> di;
  const auto larger = hn::Gt(v, best);
  best = hn::IfThenElse(larger, v, best);
  best_index = hn::IfThenElse(hn::RebindMask(di, larger), hn::Set(di, index), best_index);
}

template <int B>
void MaxForwardOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* x, float* y, uint8_t* argmax) {
  const BlockTag<B> d;
  const hn::Rebind<int32_t, BlockTag<B>> di;
  const size_t lanes = hn::Lanes(d);
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  const size_t row = static_cast<size_t>(in.width) * B;
  const bool fast = is_2x2(window) && out.height * 2 <= in.height && out.width * 2 <= in.width;
  for (size_t plane = 0; plane < planes; ++plane) {
    const float* x_plane = x + plane * in.pixels() * B;
    size_t o = plane * out.pixels() * B;
    for (int oy = 0; oy < out.height; ++oy) {
      const Cells rows(oy, window.stride_height, window.pad_top, window.height, in.height);
      for (int ox = 0; ox < out.width; ++ox, o += B) {
        const Cells columns(ox, window.stride_width, window.pad_left, window.width, in.width);
        const float* corner = x_plane + (static_cast<size_t>(rows.begin) * static_cast<size_t>(in.width) +
                                         static_cast<size_t>(columns.begin)) *
                                            B;
        for (size_t lane = 0; lane < B; lane += lanes) {
          if (fast) {
            const auto v0 = hn::LoadU(d, corner + lane);
            const auto v1 = hn::LoadU(d, corner + B + lane);
            const auto v2 = hn::LoadU(d, corner + row + lane);
            const auto v3 = hn::LoadU(d, corner + row + B + lane);
            // A tournament: shorter dependency chains than one cell after the other, the same first largest.
            const auto right0 = hn::Gt(v1, v0);
            const auto right1 = hn::Gt(v3, v2);
            const auto top = hn::IfThenElse(right0, v1, v0);
            const auto bottom = hn::IfThenElse(right1, v3, v2);
            const auto below = hn::Gt(bottom, top);
            hn::StoreU(hn::IfThenElse(below, bottom, top), d, y + o + lane);
            if (argmax != nullptr) {
              const auto top_index = hn::IfThenElseZero(hn::RebindMask(di, right0), hn::Set(di, 1));
              const auto bottom_index =
                  hn::IfThenElse(hn::RebindMask(di, right1), hn::Set(di, 3), hn::Set(di, 2));
              StoreIndices(d, hn::IfThenElse(hn::RebindMask(di, below), bottom_index, top_index),
                           argmax + o + lane);
            }
          } else {
            auto best = hn::LoadU(d, corner + lane);
            auto index =
                hn::Set(di, (rows.begin - rows.first) * window.width + columns.begin - columns.first);
            for (int iy = rows.begin; iy < rows.end; ++iy) {
              const float* cell = corner + static_cast<size_t>(iy - rows.begin) * row + lane;
              for (int ix = columns.begin; ix < columns.end; ++ix, cell += B)
                TakeLarger(d, hn::LoadU(d, cell), (iy - rows.first) * window.width + ix - columns.first, best,
                           index);
            }
            hn::StoreU(best, d, y + o + lane);
            if (argmax != nullptr) StoreIndices(d, index, argmax + o + lane);
          }
        }
      }
    }
  }
}

void MaxForward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                float* y, uint8_t* argmax) {
  in.block == 16 ? MaxForwardOfBlock<16>(in, out, window, x, y, argmax)
                 : MaxForwardOfBlock<8>(in, out, window, x, y, argmax);
}

template <int B>
void MaxBackwardOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                        const float* dy, const uint8_t* argmax, const float* y, Activation activation,
                        float* dx) {
  const BlockTag<B> d;
  const hn::Rebind<int32_t, BlockTag<B>> di;
  const size_t lanes = hn::Lanes(d);
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  const size_t row = static_cast<size_t>(in.width) * B;
  const Clamp<BlockTag<B>> clamp(d, activation);
  // Every cell is then written once, and an odd last row or column is cleared.
  const bool fast = is_2x2(window) && out.height == in.height / 2 && out.width == in.width / 2;
  for (size_t plane = 0; plane < planes; ++plane) {
    float* dx_plane = dx + plane * in.pixels() * B;
    if (!fast) {
      std::fill(dx_plane, dx_plane + in.pixels() * B, 0.0F);
    } else {
      if (in.height % 2 != 0) std::fill(dx_plane + (in.pixels() * B - row), dx_plane + in.pixels() * B, 0.0F);
      if (in.width % 2 != 0)
        for (size_t end = row; end <= in.pixels() * B; end += row)
          std::fill(dx_plane + end - B, dx_plane + end, 0.0F);
    }
    size_t o = plane * out.pixels() * B;
    for (int oy = 0; oy < out.height; ++oy) {
      const Cells rows(oy, window.stride_height, window.pad_top, window.height, in.height);
      for (int ox = 0; ox < out.width; ++ox, o += B) {
        const Cells columns(ox, window.stride_width, window.pad_left, window.width, in.width);
        float* corner = dx_plane + (static_cast<size_t>(rows.begin) * static_cast<size_t>(in.width) +
                                    static_cast<size_t>(columns.begin)) *
                                       B;
        for (size_t lane = 0; lane < B; lane += lanes) {
          auto g = hn::LoadU(d, dy + o + lane);
          if (y != nullptr) g = hn::IfThenElseZero(clamp.passes(hn::LoadU(d, y + o + lane)), g);
          const auto index = LoadIndices(d, argmax + o + lane);
          if (fast) {
            const auto at = [&](int cell) HWY_ATTR {
              return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(index, hn::Set(di, cell))), g);
            };
            hn::StoreU(at(0), d, corner + lane);
            hn::StoreU(at(1), d, corner + B + lane);
            hn::StoreU(at(2), d, corner + row + lane);
            hn::StoreU(at(3), d, corner + row + B + lane);
          } else {
            for (int iy = rows.begin; iy < rows.end; ++iy) {
              float* cell = corner + static_cast<size_t>(iy - rows.begin) * row + lane;
              for (int ix = columns.begin; ix < columns.end; ++ix, cell += B) {
                const int number = (iy - rows.first) * window.width + ix - columns.first;
                const auto here = hn::RebindMask(d, hn::Eq(index, hn::Set(di, number)));
                hn::StoreU(hn::Add(hn::LoadU(d, cell), hn::IfThenElseZero(here, g)), d, cell);
              }
            }
          }
        }
      }
    }
  }
}

void MaxBackward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* dy,
                 const uint8_t* argmax, const float* y, Activation activation, float* dx) {
  in.block == 16 ? MaxBackwardOfBlock<16>(in, out, window, dy, argmax, y, activation, dx)
                 : MaxBackwardOfBlock<8>(in, out, window, dy, argmax, y, activation, dx);
}

template <int B>
void AvgForwardOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* x, float* y) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  for (size_t plane = 0; plane < planes; ++plane) {
    const float* x_plane = x + plane * in.pixels() * B;
    float* cell_out = y + plane * out.pixels() * B;
    for (int oy = 0; oy < out.height; ++oy) {
      const Cells rows(oy, window.stride_height, window.pad_top, window.height, in.height);
      for (int ox = 0; ox < out.width; ++ox, cell_out += B) {
        const Cells columns(ox, window.stride_width, window.pad_left, window.width, in.width);
        const auto share =
            hn::Set(d, 1.0F / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin)));
        for (size_t lane = 0; lane < B; lane += lanes) {
          auto sum = hn::Zero(d);
          for (int iy = rows.begin; iy < rows.end; ++iy)
            for (int ix = columns.begin; ix < columns.end; ++ix)
              sum = hn::Add(sum, hn::LoadU(d, x_plane +
                                                  (static_cast<size_t>(iy) * static_cast<size_t>(in.width) +
                                                   static_cast<size_t>(ix)) *
                                                      B +
                                                  lane));
          hn::StoreU(hn::Mul(sum, share), d, cell_out + lane);
        }
      }
    }
  }
}

void AvgForward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                float* y) {
  in.block == 16 ? AvgForwardOfBlock<16>(in, out, window, x, y) : AvgForwardOfBlock<8>(in, out, window, x, y);
}

template <int B>
void AvgBackwardOfBlock(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                        const float* dy, float* dx) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  for (size_t plane = 0; plane < planes; ++plane) {
    float* dx_plane = dx + plane * in.pixels() * B;
    const float* cell_out = dy + plane * out.pixels() * B;
    std::fill(dx_plane, dx_plane + in.pixels() * B, 0.0F);
    for (int oy = 0; oy < out.height; ++oy) {
      const Cells rows(oy, window.stride_height, window.pad_top, window.height, in.height);
      for (int ox = 0; ox < out.width; ++ox, cell_out += B) {
        const Cells columns(ox, window.stride_width, window.pad_left, window.width, in.width);
        const auto share =
            hn::Set(d, 1.0F / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin)));
        for (size_t lane = 0; lane < B; lane += lanes) {
          const auto g = hn::Mul(hn::LoadU(d, cell_out + lane), share);
          for (int iy = rows.begin; iy < rows.end; ++iy) {
            for (int ix = columns.begin; ix < columns.end; ++ix) {
              float* cell =
                  dx_plane +
                  (static_cast<size_t>(iy) * static_cast<size_t>(in.width) + static_cast<size_t>(ix)) * B +
                  lane;
              hn::StoreU(hn::Add(hn::LoadU(d, cell), g), d, cell);
            }
          }
        }
      }
    }
  }
}

void AvgBackward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* dy,
                 float* dx) {
  in.block == 16 ? AvgBackwardOfBlock<16>(in, out, window, dy, dx)
                 : AvgBackwardOfBlock<8>(in, out, window, dy, dx);
}

template <int B>
void GlobalForwardOfBlock(const BlockedShape& in, const float* x, float* flat) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const size_t pixels = in.pixels();
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  const auto share = hn::Set(d, 1.0F / static_cast<float>(pixels));
  for (size_t plane = 0; plane < planes; ++plane) {
    for (size_t lane = 0; lane < B; lane += lanes) {
      const float* cell = x + plane * pixels * B + lane;
      auto a0 = hn::Zero(d);
      auto a1 = a0;
      auto a2 = a0;
      auto a3 = a0;
      size_t p = 0;
      for (; p + 4 <= pixels; p += 4, cell += 4 * B) {
        a0 = hn::Add(a0, hn::LoadU(d, cell));
        a1 = hn::Add(a1, hn::LoadU(d, cell + B));
        a2 = hn::Add(a2, hn::LoadU(d, cell + 2 * B));
        a3 = hn::Add(a3, hn::LoadU(d, cell + 3 * B));
      }
      for (; p < pixels; ++p, cell += B) a0 = hn::Add(a0, hn::LoadU(d, cell));
      hn::StoreU(hn::Mul(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), share), d, flat + plane * B + lane);
    }
  }
}

void GlobalForward(const BlockedShape& in, const float* x, float* flat) {
  in.block == 16 ? GlobalForwardOfBlock<16>(in, x, flat) : GlobalForwardOfBlock<8>(in, x, flat);
}

template <int B>
void GlobalBackwardOfBlock(const BlockedShape& in, const float* dflat, const float* y, Activation activation,
                           float* dx) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const size_t pixels = in.pixels();
  const auto planes = static_cast<size_t>(in.images) * static_cast<size_t>(in.channel_blocks);
  const auto share = hn::Set(d, 1.0F / static_cast<float>(pixels));
  const Clamp<BlockTag<B>> clamp(d, activation);
  for (size_t plane = 0; plane < planes; ++plane) {
    for (size_t lane = 0; lane < B; lane += lanes) {
      const auto g = hn::Mul(hn::LoadU(d, dflat + plane * B + lane), share);
      const size_t begin = plane * pixels * B + lane;
      if (y == nullptr) {
        for (size_t i = 0; i < pixels; ++i) hn::StoreU(g, d, dx + begin + i * B);
      } else {
        for (size_t i = 0; i < pixels; ++i)
          hn::StoreU(hn::IfThenElseZero(clamp.passes(hn::LoadU(d, y + begin + i * B)), g), d,
                     dx + begin + i * B);
      }
    }
  }
}

void GlobalBackward(const BlockedShape& in, const float* dflat, const float* y, Activation activation,
                    float* dx) {
  in.block == 16 ? GlobalBackwardOfBlock<16>(in, dflat, y, activation, dx)
                 : GlobalBackwardOfBlock<8>(in, dflat, y, activation, dx);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(MaxForward);
HWY_EXPORT(MaxBackward);
HWY_EXPORT(AvgForward);
HWY_EXPORT(AvgBackward);
HWY_EXPORT(GlobalForward);
HWY_EXPORT(GlobalBackward);

void max_pool_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                      float* y, uint8_t* argmax) {
  HWY_DYNAMIC_DISPATCH(MaxForward)(in, out, window, x, y, argmax);
}

void max_pool_backward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* dy, const uint8_t* argmax, const float* y, Activation activation,
                       float* dx) {
  HWY_DYNAMIC_DISPATCH(MaxBackward)(in, out, window, dy, argmax, y, activation, dx);
}

void avg_pool_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                      float* y) {
  HWY_DYNAMIC_DISPATCH(AvgForward)(in, out, window, x, y);
}

void avg_pool_backward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(AvgBackward)(in, out, window, dy, dx);
}

void global_avg_pool_forward(const BlockedShape& in, const float* x, float* flat) {
  HWY_DYNAMIC_DISPATCH(GlobalForward)(in, x, flat);
}

void global_avg_pool_backward(const BlockedShape& in, const float* dflat, const float* y,
                              Activation activation, float* dx) {
  HWY_DYNAMIC_DISPATCH(GlobalBackward)(in, dflat, y, activation, dx);
}

}  // namespace retort::engine::kernels
#endif
