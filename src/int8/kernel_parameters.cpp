#include "int8/kernel_parameters.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace retort::int8 {

namespace {

constexpr int32_t kLowest = -128;
constexpr int32_t kHighest = 127;

int8_t saturate(int32_t value) {
  return static_cast<int8_t>(std::clamp(value, kLowest, kHighest));
}

// round(value / scale) + zero_point as 32-bit integers, with what would not fit pinned to the ends.
int32_t quantized_limit(float value, float scale, int32_t zero_point) {
  const float steps = std::round(value / scale);
  constexpr float kFar = 1 << 20;  // far outside int8, far inside int32
  return static_cast<int32_t>(std::clamp(steps, -kFar, kFar)) + zero_point;
}

double ratio(const Tensor& numerator, const Tensor& denominator) {
  return static_cast<double>(tensor_scale(numerator)) / static_cast<double>(tensor_scale(denominator));
}

}  // namespace

ValueRange activation_range(Activation activation, const Tensor& output) {
  ValueRange range;
  if (activation == Activation::None) return range;
  const float scale = tensor_scale(output);
  const int32_t zero_point = tensor_zero_point(output);
  range.minimum = std::max(kLowest, zero_point);
  if (activation == Activation::Relu6)
    range.maximum = std::min(kHighest, quantized_limit(6, scale, zero_point));
  return range;
}

graph::WindowGeometry window_geometry(const WindowOp& window, int filter_height, int filter_width, int height,
                                      int width) {
  const int extent_height = (filter_height - 1) * window.dilation_height + 1;
  const int extent_width = (filter_width - 1) * window.dilation_width + 1;
  return graph::window_geometry(
      {extent_height, extent_width, window.stride_height, window.stride_width, window.padding}, height,
      width);
}

LayerParameters layer_parameters(const QuantGraph& graph, const Operator& op) {
  const Tensor& input = input_tensor(graph, op, 0);
  const Tensor& kernel = input_tensor(graph, op, 1);
  const Tensor& output = output_tensor(graph, op);
  LayerParameters parameters;
  parameters.input_zero_point = tensor_zero_point(input);
  parameters.output_zero_point = tensor_zero_point(output);

  const bool depthwise = std::holds_alternative<DepthwiseConv2D>(op.kind);
  const auto channels = static_cast<size_t>(depthwise ? kernel.dims.back() : kernel.dims.front());
  const std::vector<float>& scales = kernel.quantization.scales;
  const float input_scale = tensor_scale(input);
  const auto output_scale = static_cast<double>(tensor_scale(output));
  const auto* dense = std::get_if<FullyConnected>(&op.kind);
  if (dense != nullptr && scales.size() == 1) {
    // The one place where the original multiplies the scales as floats.
    const float product = input_scale * scales[0];
    parameters.multipliers.assign(channels, quantize_multiplier(static_cast<double>(product) / output_scale));
  } else {
    for (size_t c = 0; c < channels; ++c) {
      const double scale = static_cast<double>(scales.size() == 1 ? scales[0] : scales[c]);
      parameters.multipliers.push_back(
          quantize_multiplier(static_cast<double>(input_scale) * scale / output_scale));
    }
  }

  parameters.bias.assign(channels, 0);
  if (op.inputs.size() > 2 && op.inputs[2] >= 0)
    std::memcpy(parameters.bias.data(), input_tensor(graph, op, 2).data.data(), channels * sizeof(int32_t));

  Activation activation = Activation::None;
  if (dense != nullptr) activation = dense->activation;
  if (const auto* conv = std::get_if<Conv2D>(&op.kind)) activation = conv->activation;
  if (depthwise) activation = std::get<DepthwiseConv2D>(op.kind).activation;
  parameters.range = activation_range(activation, output);
  return parameters;
}

AddParameters add_parameters(const QuantGraph& graph, const Operator& op) {
  const Tensor& output = output_tensor(graph, op);
  const float largest =
      std::max(tensor_scale(input_tensor(graph, op, 0)), tensor_scale(input_tensor(graph, op, 1)));
  const double twice_largest = 2 * static_cast<double>(largest);
  AddParameters parameters;
  for (size_t i = 0; i < 2; ++i) {
    const Tensor& input = input_tensor(graph, op, i);
    parameters.zero_points[i] = tensor_zero_point(input);
    parameters.multipliers[i] = quantize_multiplier(static_cast<double>(tensor_scale(input)) / twice_largest);
  }
  parameters.output_multiplier = quantize_multiplier(
      twice_largest / ((1 << AddParameters::kLeftShift) * static_cast<double>(tensor_scale(output))));
  parameters.output_zero_point = tensor_zero_point(output);
  parameters.range = activation_range(std::get<AddOp>(op.kind).activation, output);
  return parameters;
}

int8_t add(const AddParameters& parameters, int8_t a, int8_t b) {
  const auto scaled = [&](size_t i, int8_t value) {
    return multiply(wrapping_shift_left(value - parameters.zero_points[i], AddParameters::kLeftShift),
                    parameters.multipliers[i]);
  };
  const int32_t sum = wrapping_add(scaled(0, a), scaled(1, b));
  const int32_t value =
      wrapping_add(multiply(sum, parameters.output_multiplier), parameters.output_zero_point);
  return static_cast<int8_t>(std::min(std::max(value, parameters.range.minimum), parameters.range.maximum));
}

MeanParameters mean_parameters(const QuantGraph& graph, const Operator& op) {
  const Tensor& input = input_tensor(graph, op, 0);
  const Tensor& output = output_tensor(graph, op);
  MeanParameters parameters;
  parameters.cells = static_cast<int64_t>(input.dims[1]) * input.dims[2];
  parameters.input_zero_point = tensor_zero_point(input);
  parameters.output_zero_point = tensor_zero_point(output);
  parameters.multiplier = quantize_multiplier(ratio(input, output));
  int shift = 63 - std::countl_zero(static_cast<uint64_t>(parameters.cells));
  shift = std::min({shift, 32, 31 + parameters.multiplier.shift});
  parameters.multiplier.mantissa = static_cast<int32_t>(
      (static_cast<int64_t>(parameters.multiplier.mantissa) << shift) / parameters.cells);
  parameters.multiplier.shift -= shift;
  return parameters;
}

int8_t mean(const MeanParameters& parameters, int32_t sum) {
  const auto centred = static_cast<int32_t>(sum - parameters.input_zero_point * parameters.cells);
  return saturate(wrapping_add(multiply(centred, parameters.multiplier), parameters.output_zero_point));
}

int8_t average(int32_t sum, int32_t cells, const ValueRange& range) {
  const int32_t value = sum > 0 ? (sum + cells / 2) / cells : (sum - cells / 2) / cells;
  return static_cast<int8_t>(std::min(std::max(value, range.minimum), range.maximum));
}

ByteTable unary_table(const QuantGraph& graph, const Operator& op) {
  const Tensor& input = input_tensor(graph, op, 0);
  const Tensor& output = output_tensor(graph, op);
  const int32_t input_zero_point = tensor_zero_point(input);
  const int32_t output_zero_point = tensor_zero_point(output);
  ByteTable table{};
  if (std::holds_alternative<Relu6Op>(op.kind)) {
    // TFLM's RELU6 clamps on the input's grid and does not rescale.
    const auto six = saturate(quantized_limit(6, tensor_scale(input), input_zero_point));
    for (int32_t v = kLowest; v <= kHighest; ++v)
      table[static_cast<size_t>(v + 128)] =
          static_cast<int8_t>(v > six ? six : std::max(v, input_zero_point));
    return table;
  }
  // RELU divides the scales as floats, QUANTIZE as doubles.
  const bool relu = std::holds_alternative<ReluOp>(op.kind);
  const float float_ratio = tensor_scale(input) / tensor_scale(output);
  const Multiplier multiplier =
      quantize_multiplier(relu ? static_cast<double>(float_ratio) : ratio(input, output));
  for (int32_t v = kLowest; v <= kHighest; ++v) {
    int32_t value = wrapping_add(multiply(v - input_zero_point, multiplier), output_zero_point);
    if (relu) value = std::max(value, output_zero_point);
    table[static_cast<size_t>(v + 128)] = saturate(value);
  }
  return table;
}

int8_t quantize(float value, float scale, int32_t zero_point) {
  const float steps = std::round(value / scale);
  constexpr float kFar = 1 << 20;
  if (std::isnan(steps)) return saturate(zero_point);
  return saturate(static_cast<int32_t>(std::clamp(steps, -kFar, kFar)) + zero_point);
}

ByteTable image_table(const Tensor& tensor) {
  ByteTable table{};
  for (size_t byte = 0; byte < table.size(); ++byte)
    table[byte] =
        quantize(static_cast<float>(byte) / 255.0F, tensor_scale(tensor), tensor_zero_point(tensor));
  return table;
}

float dequantize(int8_t value, float scale, int32_t zero_point) {
  return static_cast<float>(static_cast<double>(scale) * (value - zero_point));
}

SoftmaxParameters softmax_parameters(const QuantGraph& graph, const Operator& op) {
  return softmax_parameters(std::get<SoftmaxOp>(op.kind).beta, tensor_scale(input_tensor(graph, op, 0)));
}

}  // namespace retort::int8
