#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "int8/tflite.h"
#include "tflite_generated.h"

namespace retort::int8 {

namespace {

namespace fb = ::flatbuffers;
template <typename T>
using Offset = fb::Offset<T>;

constexpr uint32_t kSchemaVersion = 3;
constexpr size_t kBufferAlignment = 16;

struct Code {
  tflite::BuiltinOperator builtin;
  int version;  // the first that has int8 kernels of this kind
  auto operator<=>(const Code&) const = default;
};

struct CodeOf {
  const QuantGraph& graph;
  const Operator& op;
  Code operator()(const Conv2D&) const { return {tflite::BuiltinOperator::CONV_2D, 3}; }
  Code operator()(const DepthwiseConv2D&) const { return {tflite::BuiltinOperator::DEPTHWISE_CONV_2D, 3}; }
  Code operator()(const MaxPool2D&) const { return {tflite::BuiltinOperator::MAX_POOL_2D, 2}; }
  Code operator()(const AveragePool2D&) const { return {tflite::BuiltinOperator::AVERAGE_POOL_2D, 2}; }
  Code operator()(const FullyConnected&) const { return {tflite::BuiltinOperator::FULLY_CONNECTED, 4}; }
  Code operator()(const AddOp&) const { return {tflite::BuiltinOperator::ADD, 2}; }
  Code operator()(const Mean&) const { return {tflite::BuiltinOperator::MEAN, 2}; }
  Code operator()(const Reshape&) const { return {tflite::BuiltinOperator::RESHAPE, 1}; }
  Code operator()(const SoftmaxOp&) const { return {tflite::BuiltinOperator::SOFTMAX, 2}; }
  Code operator()(const ReluOp&) const { return {tflite::BuiltinOperator::RELU, 2}; }
  Code operator()(const Relu6Op&) const { return {tflite::BuiltinOperator::RELU6, 2}; }
  Code operator()(const Quantize&) const {
    const bool from_float = graph.tensors[static_cast<size_t>(op.inputs[0])].type == Type::Float32;
    return {tflite::BuiltinOperator::QUANTIZE, from_float ? 1 : 2};
  }
  Code operator()(const Dequantize&) const { return {tflite::BuiltinOperator::DEQUANTIZE, 2}; }
};

Code code_of(const QuantGraph& graph, const Operator& op) {
  return std::visit(CodeOf{graph, op}, op.kind);
}

tflite::TensorType tensor_type(Type type) {
  switch (type) {
    case Type::Int8:
      return tflite::TensorType::INT8;
    case Type::Int32:
      return tflite::TensorType::INT32;
    case Type::Float32:
      break;
  }
  return tflite::TensorType::FLOAT32;
}

tflite::Padding padding(const WindowOp& window) {
  return window.padding == graph::Padding::Same ? tflite::Padding::SAME : tflite::Padding::VALID;
}

tflite::ActivationFunctionType activation(Activation value) {
  switch (value) {
    case Activation::Relu:
      return tflite::ActivationFunctionType::RELU;
    case Activation::Relu6:
      return tflite::ActivationFunctionType::RELU6;
    case Activation::None:
      break;
  }
  return tflite::ActivationFunctionType::NONE;
}

struct Options {
  tflite::BuiltinOptions type = tflite::BuiltinOptions::NONE;
  Offset<void> table = 0;
};

struct OptionsOf {
  fb::FlatBufferBuilder& builder;
  const QuantGraph& graph;
  const Operator& op;

  Options operator()(const Conv2D& c) const {
    return {tflite::BuiltinOptions::Conv2DOptions,
            tflite::CreateConv2DOptions(builder, padding(c), c.stride_width, c.stride_height,
                                        activation(c.activation), c.dilation_width, c.dilation_height)
                .Union()};
  }
  Options operator()(const DepthwiseConv2D& c) const {
    return {tflite::BuiltinOptions::DepthwiseConv2DOptions,
            tflite::CreateDepthwiseConv2DOptions(builder, padding(c), c.stride_width, c.stride_height,
                                                 c.depth_multiplier, activation(c.activation),
                                                 c.dilation_width, c.dilation_height)
                .Union()};
  }
  template <typename Pool>
  [[nodiscard]] Options pool(const Pool& p) const {
    return {tflite::BuiltinOptions::Pool2DOptions,
            tflite::CreatePool2DOptions(builder, padding(p), p.stride_width, p.stride_height, p.filter_width,
                                        p.filter_height, activation(p.activation))
                .Union()};
  }
  Options operator()(const MaxPool2D& p) const { return pool(p); }
  Options operator()(const AveragePool2D& p) const { return pool(p); }
  Options operator()(const FullyConnected& f) const {
    const bool keeps_rank = graph.tensors[static_cast<size_t>(op.outputs[0])].dims.size() > 2;
    return {
        tflite::BuiltinOptions::FullyConnectedOptions,
        tflite::CreateFullyConnectedOptions(builder, activation(f.activation),
                                            tflite::FullyConnectedOptionsWeightsFormat::DEFAULT, keeps_rank)
            .Union()};
  }
  Options operator()(const AddOp& a) const {
    return {tflite::BuiltinOptions::AddOptions,
            tflite::CreateAddOptions(builder, activation(a.activation)).Union()};
  }
  Options operator()(const Mean& m) const {
    return {tflite::BuiltinOptions::ReducerOptions,
            tflite::CreateReducerOptions(builder, m.keep_dims).Union()};
  }
  Options operator()(const Reshape&) const {
    const auto& dims = graph.tensors[static_cast<size_t>(op.outputs[0])].dims;
    return {tflite::BuiltinOptions::ReshapeOptions,
            tflite::CreateReshapeOptions(builder, builder.CreateVector(dims)).Union()};
  }
  Options operator()(const SoftmaxOp& s) const {
    return {tflite::BuiltinOptions::SoftmaxOptions, tflite::CreateSoftmaxOptions(builder, s.beta).Union()};
  }
  Options operator()(const ReluOp&) const { return {}; }
  Options operator()(const Relu6Op&) const { return {}; }
  Options operator()(const Quantize&) const {
    return {tflite::BuiltinOptions::QuantizeOptions, tflite::CreateQuantizeOptions(builder).Union()};
  }
  Options operator()(const Dequantize&) const {
    return {tflite::BuiltinOptions::DequantizeOptions, tflite::CreateDequantizeOptions(builder).Union()};
  }
};

Offset<tflite::Tensor> write_tensor(fb::FlatBufferBuilder& builder, const Tensor& tensor, uint32_t buffer) {
  Offset<tflite::QuantizationParameters> quantization = 0;
  if (!tensor.quantization.scales.empty()) {
    const auto scales = builder.CreateVector(tensor.quantization.scales);
    const auto zero_points = builder.CreateVector(tensor.quantization.zero_points);
    quantization =
        tflite::CreateQuantizationParameters(builder, 0, 0, scales, zero_points, 0, tensor.quantization.axis);
  }
  const auto shape = builder.CreateVector(tensor.dims);
  const auto name = builder.CreateString(tensor.name);
  return tflite::CreateTensor(builder, shape, tensor_type(tensor.type), buffer, name, quantization);
}

Offset<tflite::Buffer> write_buffer(fb::FlatBufferBuilder& builder, const uint8_t* data, size_t size) {
  builder.ForceVectorAlignment(size, sizeof(uint8_t), kBufferAlignment);
  return tflite::CreateBuffer(builder, builder.CreateVector(data, size));
}

}  // namespace

std::vector<uint8_t> write_tflite(const QuantGraph& graph) {
  size_t data_bytes = 0;
  for (const Tensor& tensor : graph.tensors) data_bytes += tensor.data.size() + 256;
  fb::FlatBufferBuilder builder(data_bytes + 4096);

  // Buffer 0 is the empty one that activations point to.
  std::vector<Offset<tflite::Buffer>> buffers = {tflite::CreateBuffer(builder)};
  std::vector<Offset<tflite::Tensor>> tensors;
  for (const Tensor& tensor : graph.tensors) {
    uint32_t buffer = 0;
    if (tensor.constant()) {
      buffer = static_cast<uint32_t>(buffers.size());
      buffers.push_back(write_buffer(builder, tensor.data.data(), tensor.data.size()));
    }
    tensors.push_back(write_tensor(builder, tensor, buffer));
  }

  std::map<Code, uint32_t> code_indices;
  std::vector<Offset<tflite::OperatorCode>> codes;
  std::vector<Offset<tflite::Operator>> operators;
  for (const Operator& op : graph.operators) {
    const Code code = code_of(graph, op);
    const auto [entry, is_new] = code_indices.try_emplace(code, static_cast<uint32_t>(codes.size()));
    // Readers from before there were more than 127 operators look at the byte-sized field.
    if (is_new)
      codes.push_back(tflite::CreateOperatorCode(builder, static_cast<int8_t>(code.builtin), 0, code.version,
                                                 code.builtin));
    const auto inputs = builder.CreateVector(op.inputs);
    const auto outputs = builder.CreateVector(op.outputs);
    const Options options = std::visit(OptionsOf{builder, graph, op}, op.kind);
    operators.push_back(
        tflite::CreateOperator(builder, entry->second, inputs, outputs, options.type, options.table));
  }

  // One statement each: compilers evaluate a call's arguments in different orders, and the bytes must not
  // differ.
  const auto tensor_list = builder.CreateVector(tensors);
  const auto inputs = builder.CreateVector(graph.inputs);
  const auto outputs = builder.CreateVector(graph.outputs);
  const auto operator_list = builder.CreateVector(operators);
  const auto subgraph_name = builder.CreateString("main");
  const auto subgraph =
      tflite::CreateSubGraph(builder, tensor_list, inputs, outputs, operator_list, subgraph_name);
  const auto subgraphs = builder.CreateVector({subgraph});

  Offset<fb::Vector<Offset<tflite::Metadata>>> metadata = 0;
  if (!graph.classes.empty()) {
    const std::string text = dump_json(Json(graph.classes));
    const auto index = static_cast<uint32_t>(buffers.size());
    buffers.push_back(write_buffer(builder, reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    const auto name = builder.CreateString("retort.classes");
    metadata = builder.CreateVector({tflite::CreateMetadata(builder, name, index)});
  }
  const auto description = builder.CreateString(graph.description);
  const auto code_list = builder.CreateVector(codes);
  const auto buffer_list = builder.CreateVector(buffers);
  const auto model = tflite::CreateModel(builder, kSchemaVersion, code_list, subgraphs, description,
                                         buffer_list, 0, metadata);
  tflite::FinishModelBuffer(builder, model);
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

}  // namespace retort::int8
