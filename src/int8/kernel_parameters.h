// What a kernel needs beyond its tensors, derived once from a graph's scales and attributes: shared by the
// reference interpreter and the evaluator. The graph must have passed `check`.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "int8/arithmetic.h"
#include "int8/quant_graph.h"
#include "int8/softmax.h"

namespace retort::int8 {

// Inclusive limits of an output value.
struct ValueRange {
  int32_t minimum = -128;
  int32_t maximum = 127;
};
ValueRange activation_range(Activation activation, const Tensor& output);

// Where a window lies in an input of height × width.
graph::WindowGeometry window_geometry(const WindowOp& window, int filter_height, int filter_width, int height,
                                      int width);

// Conv, depthwise conv and fully connected: one factor an output channel.
struct LayerParameters {
  int32_t input_zero_point = 0;
  int32_t output_zero_point = 0;
  std::vector<Multiplier> multipliers;
  std::vector<int32_t> bias;  // 0 where the layer has none
  ValueRange range;
};
LayerParameters layer_parameters(const QuantGraph& graph, const Operator& op);

struct AddParameters {
  static constexpr int kLeftShift = 20;
  std::array<int32_t, 2> zero_points{};
  std::array<Multiplier, 2> multipliers{};
  Multiplier output_multiplier;
  int32_t output_zero_point = 0;
  ValueRange range;
};
AddParameters add_parameters(const QuantGraph& graph, const Operator& op);
int8_t add(const AddParameters& parameters, int8_t a, int8_t b);

struct MeanParameters {
  int64_t cells = 1;
  int32_t input_zero_point = 0;
  int32_t output_zero_point = 0;
  Multiplier multiplier;  // 1 / cells included
};
MeanParameters mean_parameters(const QuantGraph& graph, const Operator& op);
// From the sum of raw values.
int8_t mean(const MeanParameters& parameters, int32_t sum);

// Rounded to nearest, halves away from zero. cells ≥ 1.
int8_t average(int32_t sum, int32_t cells, const ValueRange& range);

// RELU, RELU6 and QUANTIZE from int8 to int8 as tables: entry v + 128 is the output for v.
using ByteTable = std::array<int8_t, 256>;
ByteTable unary_table(const QuantGraph& graph, const Operator& op);

int8_t quantize(float value, float scale, int32_t zero_point);
// A byte b of an image stands for b / 255: entry b is the nearest value of an int8 tensor's grid. On the grid
// that our files' inputs have (1/255, −128) that is b − 128.
ByteTable image_table(const Tensor& tensor);
float dequantize(int8_t value, float scale, int32_t zero_point);

SoftmaxParameters softmax_parameters(const QuantGraph& graph, const Operator& op);

// The tensor that an operator reads or writes.
inline const Tensor& input_tensor(const QuantGraph& graph, const Operator& op, size_t index) {
  return graph.tensors[static_cast<size_t>(op.inputs[index])];
}
inline const Tensor& output_tensor(const QuantGraph& graph, const Operator& op) {
  return graph.tensors[static_cast<size_t>(op.outputs[0])];
}
inline float tensor_scale(const Tensor& tensor) {
  return tensor.quantization.scales[0];
}
inline int32_t tensor_zero_point(const Tensor& tensor) {
  return static_cast<int32_t>(tensor.quantization.zero_points[0]);
}

}  // namespace retort::int8
