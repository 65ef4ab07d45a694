#include "int8/quant_graph.h"

#include <array>

namespace retort::int8 {

namespace {

constexpr std::array<const char*, std::variant_size_v<OperatorKind>> kNames = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED", "ADD",       "MEAN",
    "RESHAPE", "SOFTMAX",           "RELU",        "RELU6",           "QUANTIZE",        "DEQUANTIZE"};

int64_t element_bytes(Type type) {
  return type == Type::Int8 ? 1 : 4;
}

int64_t dimension(const Tensor& tensor, size_t from_the_end) {
  const size_t rank = tensor.dims.size();
  return from_the_end < rank ? tensor.dims[rank - 1 - from_the_end] : 1;
}

}  // namespace

int64_t Tensor::elements() const {
  int64_t count = 1;
  for (const int size : dims) count *= size;
  return count;
}

int64_t Tensor::bytes() const {
  return elements() * element_bytes(type);
}

const char* type_name(Type type) {
  switch (type) {
    case Type::Int8:
      return "int8";
    case Type::Int32:
      return "int32";
    case Type::Float32:
      break;
  }
  return "float32";
}

std::string operator_name(const OperatorKind& kind) {
  return kNames.at(kind.index());
}

std::span<const char* const> operator_names() {
  return kNames;
}

int64_t operator_macs(const QuantGraph& graph, const Operator& op) {
  const auto tensor = [&](int index) -> const Tensor& {
    return graph.tensors.at(static_cast<size_t>(index));
  };
  if (std::holds_alternative<Conv2D>(op.kind) || std::holds_alternative<FullyConnected>(op.kind)) {
    const Tensor& kernel = tensor(op.inputs.at(1));
    const int64_t outputs = tensor(op.outputs.at(0)).elements();
    return kernel.dims.empty() || kernel.dims[0] == 0 ? 0 : outputs * (kernel.elements() / kernel.dims[0]);
  }
  if (std::holds_alternative<DepthwiseConv2D>(op.kind)) {
    const Tensor& kernel = tensor(op.inputs.at(1));
    return tensor(op.outputs.at(0)).elements() * dimension(kernel, 1) * dimension(kernel, 2);
  }
  return 0;
}

}  // namespace retort::int8
