// An int8 network as a TensorFlow Lite file holds it: what lowering makes, the writer and reader exchange,
// the interpreter runs and cost analysis measures.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::int8 {

enum class Type { Int8, Int32, Float32 };
const char* type_name(Type type);  // "int8", …

// real = scale · (value − zero_point). One entry per tensor, or one per channel along `axis`. Empty: not
// quantised.
struct Quantization {
  std::vector<float> scales;
  std::vector<int64_t> zero_points;
  int axis = 0;
  bool operator==(const Quantization&) const = default;
};

struct Tensor {
  std::string name;
  Type type = Type::Int8;
  std::vector<int> dims;  // the batch of 1 included
  Quantization quantization;
  std::vector<uint8_t> data;  // little endian; empty for activations
  [[nodiscard]] bool constant() const { return !data.empty(); }
  [[nodiscard]] int64_t elements() const;
  [[nodiscard]] int64_t bytes() const;
};

enum class Activation { None, Relu, Relu6 };

struct WindowOp {  // what conv, depthwise and pools share
  int stride_height = 1;
  int stride_width = 1;
  int dilation_height = 1;
  int dilation_width = 1;
  graph::Padding padding = graph::Padding::Same;
  Activation activation = Activation::None;
};
struct Conv2D : WindowOp {};         // inputs: x, kernel (OHWI), bias
struct DepthwiseConv2D : WindowOp {  // inputs: x, kernel (1HWC), bias
  int depth_multiplier = 1;
};
struct MaxPool2D : WindowOp {
  int filter_height = 2;
  int filter_width = 2;
};
struct AveragePool2D : WindowOp {
  int filter_height = 2;
  int filter_width = 2;
};
struct FullyConnected {  // inputs: x, kernel (out × in), bias
  Activation activation = Activation::None;
};
struct AddOp {
  Activation activation = Activation::None;
};
struct Mean {  // inputs: x, axes (int32 {1, 2})
  bool keep_dims = false;
};
struct Reshape {};  // inputs: x, shape (int32)
struct SoftmaxOp {
  float beta = 1;
};
struct ReluOp {};
struct Relu6Op {};
struct Quantize {};
struct Dequantize {};

using OperatorKind = std::variant<Conv2D, DepthwiseConv2D, MaxPool2D, AveragePool2D, FullyConnected, AddOp,
                                  Mean, Reshape, SoftmaxOp, ReluOp, Relu6Op, Quantize, Dequantize>;

struct Operator {
  OperatorKind kind;
  std::vector<int> inputs;  // tensor indices; −1: absent (a bias)
  std::vector<int> outputs;
};

struct QuantGraph {
  std::vector<Tensor> tensors;
  std::vector<Operator> operators;  // in execution order
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::string description;
  std::vector<std::string> classes;  // carried as file metadata; may be empty
};

// "CONV_2D", … as TensorFlow Lite names them.
std::string operator_name(const OperatorKind& kind);
std::span<const char* const> operator_names();  // of all kinds

// Multiply-accumulates of one operator for one image, padding included.
int64_t operator_macs(const QuantGraph& graph, const Operator& op);

}  // namespace retort::int8
