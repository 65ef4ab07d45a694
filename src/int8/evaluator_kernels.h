// The evaluator's inner loops, compiled for several instruction sets and chosen at run time. All are exact:
// they give what the reference kernels give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "int8/aligned.h"
#include "int8/kernel_parameters.h"

namespace retort::int8::kernels {

// int32 lanes of a vector on this machine. Channels are processed in groups of twice as many.
size_t vector_lanes();

// From sums to int8, channel by channel; the arrays are padded to whole groups.
struct Requantizer {
  AlignedVector<int32_t> bias;
  AlignedVector<int32_t> mantissas;
  AlignedVector<int32_t> left_shifts;
  AlignedVector<int32_t> right_shifts;
  AlignedVector<int32_t> masks;  // 2^right_shift − 1
  int32_t zero_point = 0;
  ValueRange range;
  size_t channels = 0;
};
Requantizer make_requantizer(const LayerParameters& parameters);
// Whether no sum and no product of a layer leaves 32 bits, so that larger sums give outputs that are no
// smaller. `weight_sizes` is Σ|w| of each channel.
bool never_wraps(const LayerParameters& parameters, std::span<const int64_t> weight_sizes);

// An image with its border: `rows` rows of `row_cells` cells, of which those inside get x − zero_point and
// all others 0. Channel c of the result is channel c / multiplier of the source; cells are `cell_stride`
// values apart.
struct Border {
  int height = 0;  // of the source
  int width = 0;
  int channels = 0;
  int pad_top = 0;
  int pad_left = 0;
  int rows = 0;
  int row_cells = 0;
  int multiplier = 1;
  int32_t zero_point = 0;
  size_t cell_stride = 0;
  [[nodiscard]] size_t size() const {
    return static_cast<size_t>(rows) * static_cast<size_t>(row_cells) * cell_stride;
  }
};
void expand(const Border& border, const int8_t* source, int16_t* target);
void expand(const Border& border, const int8_t* source, float* target);

// A convolution or dense layer as sums over runs: contiguous stretches of the expanded input that lie at
// fixed offsets from a window's origin. Runs are read in pairs of values; an odd one ends on a weight of 0
// (and reads one value beyond, which must exist).
struct Run {
  uint32_t offset = 0;
  uint32_t count = 0;  // of pairs
};
// What becomes of a window's sums: an output each, or one output for the largest of each four in turn, which
// is a 2×2 max-pool when the windows come in its order. That needs a monotone layer.
enum class Rows { Single, PooledFours };
struct PackedLayer {
  std::vector<Run> runs;
  AlignedVector<int16_t> weights;
  Requantizer requantizer;
  Rows rows = Rows::Single;
};
// weight(channel, run, i) is the layer's weight for the i-th value of a run; lengths[r] values are in run r.
template <typename Weight>
PackedLayer pack_layer(const LayerParameters& parameters, std::span<const uint32_t> offsets,
                       std::span<const uint32_t> lengths, const Weight& weight) {
  PackedLayer packed;
  packed.requantizer = make_requantizer(parameters);
  const size_t channels = packed.requantizer.channels;
  const size_t group = 2 * vector_lanes();
  for (size_t r = 0; r < offsets.size(); ++r) packed.runs.push_back({offsets[r], (lengths[r] + 1) / 2});
  for (size_t first = 0; first < channels; first += group)
    for (size_t r = 0; r < offsets.size(); ++r)
      for (size_t i = 0; i < lengths[r]; i += 2)
        for (size_t channel = first; channel < first + group; ++channel)
          for (size_t k = i; k < i + 2; ++k)
            packed.weights.push_back(channel < channels && k < lengths[r] ? int16_t{weight(channel, r, k)}
                                                                          : int16_t{0});
  return packed;
}
// For each row, the layer's channels into output + row · channels; origins[row] is where its window begins.
// Under PooledFours, for each four rows, of which there are whole numbers.
void run_layer(const PackedLayer& layer, const int16_t* expanded, std::span<const uint32_t> origins,
               int8_t* output);

// A depthwise convolution, on floats, in which sums of so few integers are exact; tap t lies at offsets[t]
// from a window's origin and its weights at weights[t · cell stride].
struct PackedDepthwise {
  std::vector<uint32_t> offsets;
  AlignedVector<float> weights;
  size_t cell_stride = 0;
  Requantizer requantizer;
};
void run_depthwise(const PackedDepthwise& layer, const float* expanded, std::span<const uint32_t> origins,
                   int8_t* output);

void run_add(const AddParameters& parameters, const int8_t* a, const int8_t* b, int8_t* output, size_t count);

// Over cells of `channels` values that lie one after another: maxima[c] = max(maxima[c], value), sums[c] +=
// value. Both may touch kBeyond values beyond the last channel, of either array.
inline constexpr size_t kBeyond = 64;
void accumulate_maxima(const int8_t* values, size_t cells, size_t channels, int8_t* maxima);
void accumulate_sums(const int8_t* values, size_t cells, size_t channels, int32_t* sums);

}  // namespace retort::int8::kernels
