// The evaluator's inner loops for x86 with AVX-512 VNNI, whose VPDPBUSD adds four products of an unsigned and
// a signed byte to a 32-bit sum, exactly. An int8 value x enters as the byte x + 128; what that adds to a sum
// is the same for every window, 128 · the filter's sum, and is taken off the bias, as is the input's zero
// point. So the border around an image holds the zero point.
//
// A sum becomes a byte by one 64-bit multiplication where arithmetic.h rounds twice: with 1 ≤ e ≤ 22 the
// right shift, m ≥ 0 the mantissa and no left shift,
//   round_half_away((x·m + 2^30 >> 31) / 2^e) = x·m + 2^30 + 2^(30+e) − (x < 0 ? 2^31 : 0) >> 31 + e,
// because floors of floors fold into one, and rounding away from zero adds one unit less to negative values
// before their shift by e. The output's zero point is added before the shift too. Under a ReLU, x is first
// pinned to 0.
//
// The loops are in evaluator_vnni_layer.cpp, evaluator_vnni_depthwise.cpp and evaluator_vnni_add.cpp, the
// arithmetic that they share in evaluator_vnni_vectors.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "int8/aligned.h"
#include "int8/evaluator_kernels.h"
#include "int8/kernel_parameters.h"

namespace retort::int8::kernels::vnni {

// Whether this CPU has it (and Highway's choice of targets, which tests limit, has not ruled it out).
bool available();

inline constexpr size_t kLanes = 16;  // int32 lanes of a vector: the channels of a group
inline constexpr size_t kQuad = 4;    // bytes of one lane's product

enum class Rounding { Rectified, Signed, General };

struct Requantizer {
  Rounding rounding = Rounding::General;
  size_t channels = 0;
  ValueRange range;
  int32_t zero_point = 0;
  // By channel, padded to whole groups.
  AlignedVector<int32_t> bias;
  AlignedVector<int32_t> mantissas;
  AlignedVector<int32_t> left_shifts;
  AlignedVector<int32_t> right_shifts;
  // By group: of its 8 even channels, then of its 8 odd ones.
  AlignedVector<int64_t> addends;
  AlignedVector<int64_t> shifts;
};
// `weight_sums` is Σw of each channel's filter.
Requantizer make_requantizer(const LayerParameters& parameters, std::span<const int64_t> weight_sums);

// Channels in blocks of up to four groups; a block's weights lie quad by quad, group by group.
struct Layer {
  std::vector<uint32_t> offsets;  // of a filter's quads from a window's origin
  AlignedVector<int8_t> weights;
  Requantizer requantizer;
  Rows rows = Rows::Single;
};
// Groups of the blocks that `groups` groups are cut into.
std::vector<size_t> blocks_of(size_t groups);

// As kernels::pack_layer.
template <typename Weight>
Layer pack_layer(const LayerParameters& parameters, std::span<const uint32_t> offsets,
                 std::span<const uint32_t> lengths, const Weight& weight) {
  const size_t channels = parameters.multipliers.size();
  std::vector<int64_t> sums(channels);
  Layer packed;
  for (size_t r = 0; r < offsets.size(); ++r) {
    for (uint32_t i = 0; i < lengths[r]; i += kQuad) packed.offsets.push_back(offsets[r] + i);
    for (size_t c = 0; c < channels; ++c)
      for (size_t i = 0; i < lengths[r]; ++i) sums[c] += weight(c, r, i);
  }
  packed.requantizer = make_requantizer(parameters, sums);
  size_t first = 0;
  for (const size_t block : blocks_of((channels + kLanes - 1) / kLanes)) {
    const size_t end = first + block * kLanes;
    for (size_t r = 0; r < offsets.size(); ++r)
      for (size_t i = 0; i < lengths[r]; i += kQuad)
        for (size_t c = first; c < end; ++c)
          for (size_t k = i; k < i + kQuad; ++k)
            packed.weights.push_back(c < channels && k < lengths[r] ? weight(c, r, k) : int8_t{0});
    first = end;
  }
  return packed;
}

// The image as bytes x + 128 with its border, as `Border` says (without a depth multiplier).
void expand(const Border& border, const int8_t* source, uint8_t* target);

// As kernels::run_layer.
void run_layer(const Layer& layer, const uint8_t* expanded, std::span<const uint32_t> origins,
               int8_t* output);

// A depthwise convolution without horizontal dilation. For one group of channels at a time, each cell of the
// image with its border is laid out as 16 quads, a channel's values in this cell and the three to its right,
// so that one product covers four of a filter's columns.
struct Depthwise {
  std::vector<uint32_t> offsets;  // of a filter's quads, in cells from a window's origin
  AlignedVector<int8_t> weights;  // by group, quad, channel
  Requantizer requantizer;
};
// weight(channel, row, column); `row_cells` is the border's, rows `dilation_height` apart.
template <typename Weight>
Depthwise pack_depthwise(const LayerParameters& parameters, size_t filter_height, size_t filter_width,
                         size_t dilation_height, size_t row_cells, const Weight& weight) {
  const size_t channels = parameters.multipliers.size();
  std::vector<int64_t> sums(channels);
  for (size_t c = 0; c < channels; ++c)
    for (size_t y = 0; y < filter_height; ++y)
      for (size_t x = 0; x < filter_width; ++x) sums[c] += weight(c, y, x);
  Depthwise packed;
  packed.requantizer = make_requantizer(parameters, sums);
  for (size_t y = 0; y < filter_height; ++y)
    for (size_t x = 0; x < filter_width; x += kQuad)
      packed.offsets.push_back(static_cast<uint32_t>(y * dilation_height * row_cells + x));
  for (size_t first = 0; first < channels; first += kLanes)
    for (size_t y = 0; y < filter_height; ++y)
      for (size_t x = 0; x < filter_width; x += kQuad)
        for (size_t c = first; c < first + kLanes; ++c)
          for (size_t k = x; k < x + kQuad; ++k)
            packed.weights.push_back(c < channels && k < filter_width ? weight(c, y, k) : int8_t{0});
  return packed;
}
// Bytes of `scratch` that one image needs.
size_t depthwise_scratch_bytes(const Border& border);
// One image; `origins` in cells.
void run_depthwise(const Depthwise& layer, const Border& border, const int8_t* source, uint8_t* scratch,
                   std::span<const uint32_t> origins, int8_t* output);

// An addition's one factor of exactly a half (the original makes it so for the input with the larger scale,
// or both) costs a shift; the other is a product of 32 bits, since (d · 2^20 · m + 2^30) >> 31 is
// (d · m + 2^10) >> 11.
struct Add {
  std::array<int32_t, 2> zero_points{};  // of the halved input first
  int32_t high = 0;                      // the other's mantissa: high · 2^11 + low
  int32_t low = 0;
  int right = 0;         // and its right shift
  bool swapped = false;  // whether the halved input is the operator's second
  Requantizer sum;       // of 16 equal channels
};
// Nothing where the factors are otherwise.
std::optional<Add> make_add(const AddParameters& parameters);
void run_add(const Add& add, const int8_t* a, const int8_t* b, int8_t* output, size_t count);

}  // namespace retort::int8::kernels::vnni
