#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/batch_norm.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// Pixels whose sums stay in float before they go to doubles; four interleaved accumulators make the float
// sums 32 terms long.
constexpr size_t kChunkPixels = 128;

// Two sums over all images and pixels of each channel, of the pair that `terms(first, second, offset)` adds
// to its accumulators for the vector at `offset` of x. Chunks run over image borders, so that small maps cost
// no more.
template <int B, class MakeTerms>
HWY_INLINE void TwoSums(const BlockedShape& shape, const MakeTerms& make_terms, double* sums) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const size_t pixels = shape.pixels();
  const size_t channels = shape.channels();
  std::fill(sums, sums + 2 * channels, 0.0);
  for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb) {
    for (size_t lane = 0; lane < B; lane += lanes) {
      const size_t channel = cb * B + lane;
      const auto terms = make_terms(d, channel);
      auto a0 = hn::Zero(d);
      auto a1 = a0;
      auto a2 = a0;
      auto a3 = a0;
      auto b0 = a0;
      auto b1 = a0;
      auto b2 = a0;
      auto b3 = a0;
      size_t in_chunk = 0;
      const auto flush = [&]() HWY_ATTR {
        add_to_doubles(d, hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), sums + channel);
        add_to_doubles(d, hn::Add(hn::Add(b0, b1), hn::Add(b2, b3)), sums + channels + channel);
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = hn::Zero(d);
        in_chunk = 0;
      };
      for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
        const size_t plane = image * shape.image_size() + cb * pixels * B + lane;
        for (size_t begin = 0; begin < pixels;) {
          const size_t end = std::min(pixels, begin + kChunkPixels - in_chunk);
          in_chunk += end - begin;
          size_t p = begin;
          for (; p + 4 <= end; p += 4) {
            terms(a0, b0, plane + p * B);
            terms(a1, b1, plane + (p + 1) * B);
            terms(a2, b2, plane + (p + 2) * B);
            terms(a3, b3, plane + (p + 3) * B);
          }
          for (; p < end; ++p) terms(a0, b0, plane + p * B);
          if (in_chunk == kChunkPixels) flush();
          begin = end;
        }
      }
      if (in_chunk > 0) flush();
    }
  }
}

template <class D>
struct ShiftedTerms {
  using V = hn::Vec<D>;
  const float* x;
  V shift;
  HWY_INLINE void operator()(V& sum, V& squares, size_t offset) const {
    const V v = hn::Sub(hn::LoadU(D(), x + offset), shift);
    sum = hn::Add(sum, v);
    squares = hn::MulAdd(v, v, squares);
  }
};

template <int B>
void SumsOfBlock(const BlockedShape& shape, const float* x, const float* shift, double* sums) {
  TwoSums<B>(
      shape,
      [&](auto d, size_t channel)
          HWY_ATTR { return ShiftedTerms<decltype(d)>{x, hn::LoadU(d, shift + channel)}; },
      sums);
}

void Sums(const BlockedShape& shape, const float* x, const float* shift, double* sums) {
  shape.block == 16 ? SumsOfBlock<16>(shape, x, shift, sums) : SumsOfBlock<8>(shape, x, shift, sums);
}

// What one channel vector needs to normalise, in registers.
template <class D>
struct Normalizer {
  using V = hn::Vec<D>;
  V mean;
  V scale;
  V beta;
  Clamp<D> clamp;
  HWY_INLINE Normalizer(D d, const BatchNormView& norm, size_t channel)
      : mean(hn::LoadU(d, norm.mean + channel)),
        scale(hn::Mul(hn::LoadU(d, norm.inv_std + channel), hn::LoadU(d, norm.gamma + channel))),
        beta(hn::LoadU(d, norm.beta + channel)),
        clamp(d, norm.activation) {}
  // Forward and backward share this expression, so the mask that backward finds is forward's.
  HWY_INLINE V normalized(V x) const { return hn::MulAdd(hn::Sub(x, mean), scale, beta); }
};

template <int B>
void ForwardOfBlock(const BlockedShape& shape, const BatchNormView& norm, const float* x, float* y) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const size_t plane_size = shape.pixels() * B;
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb) {
      const size_t plane = image * shape.image_size() + cb * plane_size;
      for (size_t lane = 0; lane < B; lane += lanes) {
        const Normalizer<BlockTag<B>> normalizer(d, norm, cb * B + lane);
        for (size_t i = plane + lane; i < plane + plane_size; i += B)
          hn::StoreU(normalizer.clamp(normalizer.normalized(hn::LoadU(d, x + i))), d, y + i);
      }
    }
  }
}

void Forward(const BlockedShape& shape, const BatchNormView& norm, const float* x, float* y) {
  shape.block == 16 ? ForwardOfBlock<16>(shape, norm, x, y) : ForwardOfBlock<8>(shape, norm, x, y);
}

template <class D>
struct BackwardTerms {
  using V = hn::Vec<D>;
  const float* x;
  const float* dy;
  Normalizer<D> normalizer;
  V inv_std;
  HWY_INLINE void operator()(V& sum, V& products, size_t offset) const {
    const V v = hn::LoadU(D(), x + offset);
    const V g =
        hn::IfThenElseZero(normalizer.clamp.passes(normalizer.normalized(v)), hn::LoadU(D(), dy + offset));
    sum = hn::Add(sum, g);
    products = hn::MulAdd(g, hn::Mul(hn::Sub(v, normalizer.mean), inv_std), products);
  }
};

template <int B>
void BackwardSumsOfBlock(const BlockedShape& shape, const BatchNormView& norm, const float* x,
                         const float* dy, double* sums) {
  TwoSums<B>(
      shape,
      [&](auto d, size_t channel) HWY_ATTR {
        return BackwardTerms<decltype(d)>{x, dy, Normalizer<decltype(d)>(d, norm, channel),
                                          hn::LoadU(d, norm.inv_std + channel)};
      },
      sums);
}

void BackwardSums(const BlockedShape& shape, const BatchNormView& norm, const float* x, const float* dy,
                  double* sums) {
  shape.block == 16 ? BackwardSumsOfBlock<16>(shape, norm, x, dy, sums)
                    : BackwardSumsOfBlock<8>(shape, norm, x, dy, sums);
}

template <int B>
void BackwardOfBlock(const BlockedShape& shape, const BatchNormView& norm, Activation input_activation,
                     int64_t count, const float* dgamma, const float* dbeta, const float* x, const float* dy,
                     float* dx) {
  const BlockTag<B> d;
  const size_t lanes = hn::Lanes(d);
  const size_t plane_size = shape.pixels() * B;
  const auto inverse_count = hn::Set(d, 1.0F / static_cast<float>(count));
  const Clamp<BlockTag<B>> input_clamp(d, input_activation);
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb) {
      const size_t plane = image * shape.image_size() + cb * plane_size;
      for (size_t lane = 0; lane < B; lane += lanes) {
        const size_t channel = cb * B + lane;
        const Normalizer<BlockTag<B>> normalizer(d, norm, channel);
        // dx = scale · (dy' − mean(dy') − (x − mean) · inv_std · mean(dy' · x̂))
        const auto mean_gradient = hn::Mul(hn::LoadU(d, dbeta + channel), inverse_count);
        const auto slope = hn::Mul(hn::Mul(hn::LoadU(d, dgamma + channel), inverse_count),
                                   hn::LoadU(d, norm.inv_std + channel));
        for (size_t i = plane + lane; i < plane + plane_size; i += B) {
          const auto v = hn::LoadU(d, x + i);
          const auto g =
              hn::IfThenElseZero(normalizer.clamp.passes(normalizer.normalized(v)), hn::LoadU(d, dy + i));
          const auto centred = hn::NegMulAdd(hn::Sub(v, normalizer.mean), slope, hn::Sub(g, mean_gradient));
          hn::StoreU(hn::IfThenElseZero(input_clamp.passes(v), hn::Mul(centred, normalizer.scale)), d,
                     dx + i);
        }
      }
    }
  }
}

void Backward(const BlockedShape& shape, const BatchNormView& norm, Activation input_activation,
              int64_t count, const float* dgamma, const float* dbeta, const float* x, const float* dy,
              float* dx) {
  shape.block == 16 ? BackwardOfBlock<16>(shape, norm, input_activation, count, dgamma, dbeta, x, dy, dx)
                    : BackwardOfBlock<8>(shape, norm, input_activation, count, dgamma, dbeta, x, dy, dx);
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(Sums);
HWY_EXPORT(Forward);
HWY_EXPORT(BackwardSums);
HWY_EXPORT(Backward);

void batch_norm_shift(const BlockedShape& shape, const float* x, float* shift) {
  const auto block = static_cast<size_t>(shape.block);
  for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb)
    std::copy_n(x + cb * shape.pixels() * block, block, shift + cb * block);
}

void batch_norm_sums(const BlockedShape& shape, const float* x, const float* shift, double* sums) {
  HWY_DYNAMIC_DISPATCH(Sums)(shape, x, shift, sums);
}

void batch_norm_finish(size_t channels, int ranges, int64_t count, const double* sums, const float* shift,
                       float epsilon, float* mean, float* inv_std, float* variance) {
  const double n = static_cast<double>(count);
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0;
    double squares = 0;
    for (size_t range = 0; range < static_cast<size_t>(ranges); ++range) {
      sum += sums[range * 2 * channels + c];
      squares += sums[range * 2 * channels + channels + c];
    }
    const double mean_shifted = sum / n;
    const double biased = std::max(0.0, squares / n - mean_shifted * mean_shifted);
    mean[c] = static_cast<float>(static_cast<double>(shift[c]) + mean_shifted);
    inv_std[c] = static_cast<float>(1.0 / std::sqrt(biased + static_cast<double>(epsilon)));
    if (variance != nullptr) variance[c] = static_cast<float>(biased);
  }
}

void batch_norm_inv_std(size_t channels, const float* variance, float epsilon, float* inv_std) {
  for (size_t c = 0; c < channels; ++c)
    inv_std[c] =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(epsilon)));
}

void batch_norm_forward(const BlockedShape& shape, const BatchNormView& norm, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(Forward)(shape, norm, x, y);
}

void batch_norm_backward_sums(const BlockedShape& shape, const BatchNormView& norm, const float* x,
                              const float* dy, double* sums) {
  HWY_DYNAMIC_DISPATCH(BackwardSums)(shape, norm, x, dy, sums);
}

void batch_norm_backward_finish(size_t channels, int ranges, const double* sums, float* dgamma,
                                float* dbeta) {
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0;
    double products = 0;
    for (size_t range = 0; range < static_cast<size_t>(ranges); ++range) {
      sum += sums[range * 2 * channels + c];
      products += sums[range * 2 * channels + channels + c];
    }
    dbeta[c] = static_cast<float>(sum);
    dgamma[c] = static_cast<float>(products);
  }
}

void batch_norm_backward(const BlockedShape& shape, const BatchNormView& norm, Activation input_activation,
                         int64_t count, const float* dgamma, const float* dbeta, const float* x,
                         const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(Backward)(shape, norm, input_activation, count, dgamma, dbeta, x, dy, dx);
}

}  // namespace retort::engine::kernels
#endif
