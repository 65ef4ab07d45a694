#include "cost/abi.h"

namespace retort::cost {

namespace {

constexpr AbiTable kCortexM4 = {
    .arena_allocator = {36, 4},
    .memory_planner = {44, 4},
    .micro_allocator = {36, 4},
    .builtin_data_allocator = {8, 4},
    .subgraph_allocations = {8, 4},
    .eval_tensor = {12, 4},
    .node_and_registration = {32, 4},
    .scratch_handle = {4, 4},
    .pointer_bytes = 4,
    .tensor = {32, 4},
    .affine_quantization = {12, 4},
    .scratch_request = {12, 4},
    .allocation_info = {24, 4},
    .size_type = {4, 4},
    .conv_params = {28, 4},
    .pool_params = {40, 4},
    .fully_connected_params = {5, 1},
    .add_params = {2, 1},
    .reducer_params = {1, 1},
    .reshape_params = {36, 4},
    .softmax_params = {4, 4},
    .conv_data = 56,
    .pool_data = 32,
    .fully_connected_data = 48,
    .add_data = 60,
    .reduce_data = 44,
    .softmax_data = 56,
    .relu_data = 28,
    .relu6_data = 8,
    .quantize_data = 32,
    .dequantize_data = 32,
};

// The two allocators are the recording ones, which are larger.
constexpr AbiTable kHost = {
    .arena_allocator = {104, 8},
    .memory_planner = {72, 8},
    .micro_allocator = {272, 8},
    .builtin_data_allocator = {16, 8},
    .subgraph_allocations = {24, 8},
    .eval_tensor = {24, 8},
    .node_and_registration = {64, 8},
    .scratch_handle = {8, 8},
    .pointer_bytes = 8,
    .tensor = {64, 8},
    .affine_quantization = {24, 8},
    .scratch_request = {16, 8},
    .allocation_info = {32, 8},
    .size_type = {8, 8},
    .conv_params = {28, 4},
    .pool_params = {40, 4},
    .fully_connected_params = {32, 8},
    .add_params = {8, 4},
    .reducer_params = {1, 1},
    .reshape_params = {36, 4},
    .softmax_params = {4, 4},
    .conv_data = 80,
    .pool_data = 32,
    .fully_connected_data = 72,
    .add_data = 60,
    .reduce_data = 44,
    .softmax_data = 80,
    .relu_data = 28,
    .relu6_data = 8,
    .quantize_data = 32,
    .dequantize_data = 32,
};

struct BuiltinRule {
  const AbiTable& table;
  Layout operator()(const int8::Conv2D& /*op*/) const { return table.conv_params; }
  Layout operator()(const int8::DepthwiseConv2D& /*op*/) const { return table.conv_params; }
  Layout operator()(const int8::MaxPool2D& /*op*/) const { return table.pool_params; }
  Layout operator()(const int8::AveragePool2D& /*op*/) const { return table.pool_params; }
  Layout operator()(const int8::FullyConnected& /*op*/) const { return table.fully_connected_params; }
  Layout operator()(const int8::AddOp& /*op*/) const { return table.add_params; }
  Layout operator()(const int8::Mean& /*op*/) const { return table.reducer_params; }
  Layout operator()(const int8::Reshape& /*op*/) const { return table.reshape_params; }
  Layout operator()(const int8::SoftmaxOp& /*op*/) const { return table.softmax_params; }
  Layout operator()(const int8::ReluOp& /*op*/) const { return {}; }
  Layout operator()(const int8::Relu6Op& /*op*/) const { return {}; }
  Layout operator()(const int8::Quantize& /*op*/) const { return {}; }
  Layout operator()(const int8::Dequantize& /*op*/) const { return {}; }
};

struct OpDataRule {
  const AbiTable& table;
  int64_t operator()(const int8::Conv2D& /*op*/) const { return table.conv_data; }
  int64_t operator()(const int8::DepthwiseConv2D& /*op*/) const { return table.conv_data; }
  int64_t operator()(const int8::MaxPool2D& /*op*/) const { return table.pool_data; }
  int64_t operator()(const int8::AveragePool2D& /*op*/) const { return table.pool_data; }
  int64_t operator()(const int8::FullyConnected& /*op*/) const { return table.fully_connected_data; }
  int64_t operator()(const int8::AddOp& /*op*/) const { return table.add_data; }
  int64_t operator()(const int8::Mean& /*op*/) const { return table.reduce_data; }
  int64_t operator()(const int8::Reshape& /*op*/) const { return 0; }
  int64_t operator()(const int8::SoftmaxOp& /*op*/) const { return table.softmax_data; }
  int64_t operator()(const int8::ReluOp& /*op*/) const { return table.relu_data; }
  int64_t operator()(const int8::Relu6Op& /*op*/) const { return table.relu6_data; }
  int64_t operator()(const int8::Quantize& /*op*/) const { return table.quantize_data; }
  int64_t operator()(const int8::Dequantize& /*op*/) const { return table.dequantize_data; }
};

}  // namespace

Layout AbiTable::builtin_data(const int8::OperatorKind& kind) const {
  return std::visit(BuiltinRule{*this}, kind);
}

int64_t AbiTable::op_data_bytes(const int8::OperatorKind& kind) const {
  return std::visit(OpDataRule{*this}, kind);
}

const AbiTable& abi_table(Abi abi) {
  return abi == Abi::Host ? kHost : kCortexM4;
}

}  // namespace retort::cost
