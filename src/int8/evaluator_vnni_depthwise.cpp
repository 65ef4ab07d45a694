// Depthwise convolutions: the image laid out as quads of neighbouring cells, one group of channels at a time.
#include <algorithm>
#include <array>

#include "int8/evaluator_vnni.h"
#include "int8/evaluator_vnni_vectors.h"

namespace retort::int8::kernels::vnni {

size_t depthwise_scratch_bytes(const Border& border) {
  return static_cast<size_t>(border.rows) * static_cast<size_t>(border.row_cells) * kLanes * kQuad;
}

#if defined(__x86_64__)

namespace {

// A group's channels of an image with its border, as quads of a cell and the three to its right.
RETORT_VNNI void expand_quads(const Border& border, const int8_t* source, size_t channel, uint8_t* target) {
  const auto cells = static_cast<size_t>(border.row_cells);
  const auto channels = static_cast<size_t>(border.channels);
  const auto outputs = channels * static_cast<size_t>(border.multiplier);
  const __m512i outside = _mm512_set1_epi32(border.zero_point + 128);
  const __m512i all_outside = _mm512_set1_epi8(static_cast<char>(border.zero_point + 128));
  const size_t left = static_cast<size_t>(border.pad_left);
  const size_t inside_end = std::min(left + static_cast<size_t>(border.width), cells);
  const __mmask16 mask = outputs - channel >= kLanes
                             ? __mmask16{0xFFFF}
                             : static_cast<__mmask16>((1U << (outputs - channel)) - 1U);
  const __m128i sign = _mm_set1_epi8(static_cast<char>(0x80));
  // Which of the input's channels the outputs read, where they are not the same.
  std::array<size_t, kLanes> reads{};
  for (size_t i = 0; i < kLanes; ++i)
    reads[i] = std::min(channel + i, outputs - 1) / static_cast<size_t>(border.multiplier);
  for (int row = 0; row < border.rows; ++row, target += cells * kLanes * kQuad) {
    const int y = row - border.pad_top;
    if (y < 0 || y >= border.height) {
      for (size_t cell = 0; cell < cells; ++cell)
        _mm512_store_si512(target + cell * kLanes * kQuad, all_outside);
      continue;
    }
    const int8_t* from = source + static_cast<size_t>(y) * static_cast<size_t>(border.width) * channels;
    __m512i quads = all_outside;
    const auto push = [&](size_t cell, __m512i value) RETORT_VNNI {
      quads = _mm512_or_si512(_mm512_slli_epi32(quads, 8), value);
      _mm512_store_si512(target + cell * kLanes * kQuad, quads);
    };
    size_t cell = cells;
    while (cell > inside_end) push(--cell, outside);
    if (border.multiplier == 1) {
      while (cell > left) {
        --cell;
        const __m128i bytes = _mm_maskz_loadu_epi8(mask, from + (cell - left) * channels + channel);
        push(cell, _mm512_cvtepu8_epi32(_mm_xor_si128(bytes, sign)));
      }
    } else {
      while (cell > left) {
        --cell;
        alignas(16) std::array<int8_t, kLanes> bytes{};
        for (size_t i = 0; i < kLanes; ++i) bytes[i] = from[(cell - left) * channels + reads[i]];
        push(cell, _mm512_cvtepu8_epi32(
                       _mm_xor_si128(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data())), sign)));
      }
    }
    while (cell > 0) push(--cell, outside);
  }
}

template <Rounding rounding>
RETORT_VNNI void run_depthwise_group(const Depthwise& layer, const int8_t* weights, size_t channel,
                                     const uint8_t* quads, std::span<const uint32_t> origins,
                                     int8_t* output) {
  constexpr size_t rows = 8;
  const Requantizer& r = layer.requantizer;
  const __m512i minimum = minimum_of(r.range);
  const __m512i maximum = maximum_of(r.range);
  const Factors factors = load_factors<rounding>(r, channel);
  const __m512i bias = _mm512_load_si512(r.bias.data() + channel);
  const size_t channels = r.channels;
  const int32_t zero_point = r.zero_point;
  const bool whole = channel + kLanes <= channels;
  const uint32_t* const offsets_end = layer.offsets.data() + layer.offsets.size();
  const size_t last = origins.size() - 1;
  for (size_t row = 0; row <= last; row += rows) {
    const Origins<rows> from(origins, row);
    const uint8_t* x[rows];
    __m512i values[rows][1];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) {
      x[i] = quads + from.first[i] * kLanes * kQuad;
      values[i][0] = bias;
    }
    const int8_t* w = weights;
    for (const uint32_t* offset = layer.offsets.data(); offset != offsets_end; ++offset) {
      const __m512i by = _mm512_load_si512(w);
      w += kLanes * kQuad;
      const size_t at = *offset * kLanes * kQuad;
#pragma GCC unroll 8
      for (size_t i = 0; i < rows; ++i) add_products(values[i][0], _mm512_load_si512(x[i] + at), by);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) values[i][0] = scale<rounding>(values[i][0], factors, zero_point);
    int8_t* to = output + row * channels + channel;
    if (whole && row + rows <= origins.size()) {
      store_all(values, minimum, maximum, to, channels);
      continue;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; ++i) {
      if (row + i > last) break;
      store(values[i][0], minimum, maximum, to + i * channels, channels - channel);
    }
  }
}

}  // namespace

void run_depthwise(const Depthwise& layer, const Border& border, const int8_t* source, uint8_t* scratch,
                   std::span<const uint32_t> origins, int8_t* output) {
  const Requantizer& r = layer.requantizer;
  const int8_t* weights = layer.weights.data();
  for (size_t channel = 0; channel < r.channels; channel += kLanes) {
    expand_quads(border, source, channel, scratch);
    switch (r.rounding) {
      case Rounding::Rectified:
        run_depthwise_group<Rounding::Rectified>(layer, weights, channel, scratch, origins, output);
        break;
      case Rounding::Signed:
        run_depthwise_group<Rounding::Signed>(layer, weights, channel, scratch, origins, output);
        break;
      case Rounding::General:
        run_depthwise_group<Rounding::General>(layer, weights, channel, scratch, origins, output);
        break;
    }
    weights += layer.offsets.size() * kLanes * kQuad;
  }
}

#else  // other CPUs: nobody calls these

void run_depthwise(const Depthwise&, const Border&, const int8_t*, uint8_t*, std::span<const uint32_t>,
                   int8_t*) {}

#endif

}  // namespace retort::int8::kernels::vnni
