#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/images.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <algorithm>
#include <array>

#include "engine/kernels/lanes-inl.h"

#ifndef RETORT_ENGINE_KERNELS_BYTE_VALUES_
#define RETORT_ENGINE_KERNELS_BYTE_VALUES_
namespace retort::engine::kernels {
// Quotients, not products with 1/255: the network sees exactly the float nearest to b/255.
inline constexpr std::array<float, 256> kByteValues = [] {
  std::array<float, 256> values{};
  for (size_t byte = 0; byte < values.size(); ++byte) values[byte] = static_cast<float>(byte) / 255.0F;
  return values;
}();
}  // namespace retort::engine::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// n bytes, neighbours in memory.
void BytesToFloats(size_t n, const uint8_t* bytes, float* values) {
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<uint8_t, decltype(d)> d8;
    const hn::Rebind<int32_t, decltype(d)> di;
    const auto v = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, bytes + i)));
    hn::StoreU(hn::Div(v, hn::Set(d, 255.0F)), d, values + i);
  });
}

void BytesToPlanar(const PlanarShape& shape, const uint8_t* nhwc, float* planar) {
  const auto channels = static_cast<size_t>(shape.channels);
  const auto width = static_cast<size_t>(shape.width);
  const auto height = static_cast<size_t>(shape.height);
  const auto row = static_cast<size_t>(shape.padded_width());
  const auto top = static_cast<size_t>(shape.pad_top);
  const auto left = static_cast<size_t>(shape.pad_left);
  const auto bottom = static_cast<size_t>(shape.pad_bottom);
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    const uint8_t* pixels = nhwc + image * height * width * channels;
    for (size_t channel = 0; channel < channels; ++channel) {
      float* plane = planar;
      planar += (top + height + bottom) * row;
      std::fill(plane, plane + top * row, 0.0F);
      std::fill(planar - bottom * row, planar, 0.0F);
      for (size_t y = 0; y < height; ++y) {
        float* cells = plane + (top + y) * row;
        std::fill(cells, cells + left, 0.0F);
        if (channels == 1) {
          BytesToFloats(width, pixels + y * width, cells + left);
        } else {
          const uint8_t* bytes = pixels + y * width * channels + channel;
          for (size_t x = 0; x < width; ++x) cells[left + x] = kByteValues[bytes[x * channels]];
        }
        std::fill(cells + left + width, cells + row, 0.0F);
      }
    }
  }
}

void BytesToBlocked(const BlockedShape& shape, int channels, const uint8_t* nhwc, float* blocked) {
  const auto used = static_cast<size_t>(channels);
  const auto block = static_cast<size_t>(shape.block);
  const size_t pixels = shape.pixels();
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb, blocked += pixels * block) {
      const size_t first = cb * block;
      const size_t lanes = first >= used ? 0 : std::min(block, used - first);
      const uint8_t* bytes = nhwc + image * pixels * used + first;
      if (lanes == block) {
        for (size_t p = 0; p < pixels; ++p) BytesToFloats(block, bytes + p * used, blocked + p * block);
      } else {
        std::fill(blocked, blocked + pixels * block, 0.0F);
        for (size_t lane = 0; lane < lanes; ++lane)
          for (size_t p = 0; p < pixels; ++p) blocked[p * block + lane] = kByteValues[bytes[p * used + lane]];
      }
    }
  }
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(BytesToPlanar);
HWY_EXPORT(BytesToBlocked);

void bytes_to_planar(const PlanarShape& shape, const uint8_t* nhwc, float* planar) {
  HWY_DYNAMIC_DISPATCH(BytesToPlanar)(shape, nhwc, planar);
}

void bytes_to_blocked(const BlockedShape& shape, int channels, const uint8_t* nhwc, float* blocked) {
  HWY_DYNAMIC_DISPATCH(BytesToBlocked)(shape, channels, nhwc, blocked);
}

// The two copies move whole lanes, which plain loops do at the memory's speed.
void blocked_to_rows(const BlockedShape& shape, int channels, const float* blocked, float* rows,
                     size_t row_stride) {
  const auto used = static_cast<size_t>(channels);
  const auto block = static_cast<size_t>(shape.block);
  const size_t pixels = shape.pixels();
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    float* row = rows + image * row_stride;
    for (size_t cb = 0; cb * block < used; ++cb) {
      const size_t lanes = std::min(block, used - cb * block);
      const float* plane = blocked + image * shape.image_size() + cb * pixels * block;
      for (size_t p = 0; p < pixels; ++p) std::copy_n(plane + p * block, lanes, row + p * used + cb * block);
    }
    std::fill(row + pixels * used, row + row_stride, 0.0F);
  }
}

void rows_to_blocked(const BlockedShape& shape, int channels, const float* rows, size_t row_stride,
                     float* blocked) {
  const auto used = static_cast<size_t>(channels);
  const auto block = static_cast<size_t>(shape.block);
  const size_t pixels = shape.pixels();
  for (size_t image = 0; image < static_cast<size_t>(shape.images); ++image) {
    const float* row = rows + image * row_stride;
    for (size_t cb = 0; cb < static_cast<size_t>(shape.channel_blocks); ++cb) {
      const size_t first = cb * block;
      const size_t lanes = first >= used ? 0 : std::min(block, used - first);
      for (size_t p = 0; p < pixels; ++p, blocked += block) {
        std::copy_n(row + p * used + first, lanes, blocked);
        std::fill(blocked + lanes, blocked + block, 0.0F);
      }
    }
  }
}

}  // namespace retort::engine::kernels
#endif
