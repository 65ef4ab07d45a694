// Convolutions and dense layers: an image with its border, and up to eight windows by four groups of channels at
// a time.
#include <algorithm>
#include <array>
#include <cstring>

#include "int8/evaluator_vnni.h"
#include "int8/evaluator_vnni_vectors.h"

namespace retort::int8::kernels::vnni {

std::vector<size_t> blocks_of(size_t groups) {
  constexpr size_t most = 4;  // whose sums, for several rows, the registers hold
  const size_t count = (groups + most - 1) / most;
  std::vector<size_t> blocks;
  for (size_t i = 0; i < count; ++i) blocks.push_back(groups / count + (i < groups % count ? 1 : 0));
  return blocks;
}

#if defined(__x86_64__)

namespace {

RETORT_VNNI_INLINE __m512i broadcast_quad(const uint8_t* quad) {
  int32_t all = 0;
  std::memcpy(&all, quad, sizeof(all));
  return _mm512_set1_epi32(all);
}

// `kGroups` groups from `channel` on, for all rows, `kRows` at a time.
template <size_t kGroups, size_t kRows, Rounding rounding, Rows rows>
RETORT_VNNI void run_block(const Layer& layer, const int8_t* weights, size_t channel, const uint8_t* expanded,
                           std::span<const uint32_t> origins, int8_t* output) {
  constexpr size_t kPooled = rows == Rows::PooledFours ? 4 : 1;
  constexpr size_t kOutputs = kRows / kPooled;
  const Requantizer& r = layer.requantizer;
  const int32_t* bias = r.bias.data() + channel;
  const size_t channels = r.channels;
  const int32_t zero_point = r.zero_point;
  const __m512i minimum = minimum_of(r.range);
  const __m512i maximum = maximum_of(r.range);
  const bool whole = channel + kGroups * kLanes <= channels;
  const uint32_t* const offsets_end = layer.offsets.data() + layer.offsets.size();
  const size_t last = origins.size() - 1;
  for (size_t row = 0; row <= last; row += kRows) {
    const Origins<kRows> from(origins, row);
    const uint8_t* x[kRows];
    __m512i sums[kRows][kGroups];
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      x[i] = expanded + from.first[i];
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g) sums[i][g] = _mm512_load_si512(bias + g * kLanes);
    }
    const int8_t* w = weights;
    for (const uint32_t* at = layer.offsets.data(); at != offsets_end; ++at) {
      const size_t offset = *at;
      __m512i by[kGroups];
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g) by[g] = _mm512_load_si512(w + g * kLanes * kQuad);
      w += kGroups * kLanes * kQuad;
#pragma GCC unroll 8
      for (size_t i = 0; i < kRows; ++i) {
        const __m512i value = broadcast_quad(x[i] + offset);
#pragma GCC unroll 4
        for (size_t g = 0; g < kGroups; ++g) add_products(sums[i][g], value, by[g]);
      }
    }
    __m512i values[kOutputs][kGroups];
#pragma GCC unroll 4
    for (size_t g = 0; g < kGroups; ++g) {
      const Factors factors = load_factors<rounding>(r, channel + g * kLanes);
#pragma GCC unroll 8
      for (size_t i = 0; i < kOutputs; ++i) {
        __m512i sum = sums[i * kPooled][g];
#pragma GCC unroll 3
        for (size_t k = 1; k < kPooled; ++k) sum = _mm512_max_epi32(sum, sums[i * kPooled + k][g]);
        values[i][g] = scale<rounding>(sum, factors, zero_point);
      }
    }
    int8_t* to = output + row / kPooled * channels + channel;
    if (whole && row + kRows <= origins.size()) {
      store_all(values, minimum, maximum, to, channels);
      continue;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kOutputs; ++i) {
      if (row + i * kPooled > last) break;
#pragma GCC unroll 4
      for (size_t g = 0; g < kGroups; ++g)
        if (channel + g * kLanes < channels)
          store(values[i][g], minimum, maximum, to + i * channels + g * kLanes,
                channels - channel - g * kLanes);
    }
  }
}

using Block = void (*)(const Layer&, const int8_t*, size_t, const uint8_t*, std::span<const uint32_t>,
                       int8_t*);

template <Rounding rounding, Rows rows>
Block block_of(size_t groups) {
  constexpr std::array<Block, 4> blocks = {run_block<1, 8, rounding, rows>, run_block<2, 8, rounding, rows>,
                                           run_block<3, 8, rounding, rows>, run_block<4, 4, rounding, rows>};
  return blocks[groups - 1];
}

template <Rounding rounding>
Block block_of(size_t groups, Rows rows) {
  return rows == Rows::Single ? block_of<rounding, Rows::Single>(groups)
                              : block_of<rounding, Rows::PooledFours>(groups);
}

Block block_of(size_t groups, Rounding rounding, Rows rows) {
  switch (rounding) {
    case Rounding::Rectified:
      return block_of<Rounding::Rectified>(groups, rows);
    case Rounding::Signed:
      return block_of<Rounding::Signed>(groups, rows);
    case Rounding::General:
      break;
  }
  return block_of<Rounding::General>(groups, rows);
}

RETORT_VNNI void flip_signs(const int8_t* source, uint8_t* target, size_t count) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  size_t i = 0;
  for (; i + 64 <= count; i += 64)
    _mm512_storeu_si512(target + i, _mm512_xor_si512(_mm512_loadu_si512(source + i), sign));
  if (i == count) return;
  const __mmask64 rest = (__mmask64{1} << (count - i)) - 1;
  _mm512_mask_storeu_epi8(target + i, rest,
                          _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, source + i), sign));
}

}  // namespace

void expand(const Border& border, const int8_t* source, uint8_t* target) {
  const auto channels = static_cast<size_t>(border.channels);
  const size_t row_size = static_cast<size_t>(border.row_cells) * channels;
  const size_t left = static_cast<size_t>(border.pad_left) * channels;
  const size_t inside =
      static_cast<size_t>(std::min(border.width, border.row_cells - border.pad_left)) * channels;
  const int outside = border.zero_point + 128;
  if (row_size == inside && border.width == border.row_cells && border.pad_top == 0) {
    const int rows = std::min(border.rows, border.height);
    flip_signs(source, target, static_cast<size_t>(rows) * row_size);
    std::memset(target + static_cast<size_t>(rows) * row_size, outside,
                static_cast<size_t>(border.rows - rows) * row_size);
    return;
  }
  for (int row = 0; row < border.rows; ++row, target += row_size) {
    const int y = row - border.pad_top;
    if (y < 0 || y >= border.height) {
      std::memset(target, outside, row_size);
      continue;
    }
    std::memset(target, outside, left);
    flip_signs(source + static_cast<size_t>(y) * static_cast<size_t>(border.width) * channels, target + left,
               inside);
    std::memset(target + left + inside, outside, row_size - left - inside);
  }
}

void run_layer(const Layer& layer, const uint8_t* expanded, std::span<const uint32_t> origins,
               int8_t* output) {
  const int8_t* weights = layer.weights.data();
  size_t channel = 0;
  for (const size_t groups : blocks_of((layer.requantizer.channels + kLanes - 1) / kLanes)) {
    block_of(groups, layer.requantizer.rounding, layer.rows)(layer, weights, channel, expanded, origins,
                                                             output);
    weights += layer.offsets.size() * groups * kLanes * kQuad;
    channel += groups * kLanes;
  }
}

#else  // other CPUs: nobody calls these

void expand(const Border&, const int8_t*, uint8_t*) {}
void run_layer(const Layer&, const uint8_t*, std::span<const uint32_t>, int8_t*) {}

#endif

}  // namespace retort::int8::kernels::vnni
