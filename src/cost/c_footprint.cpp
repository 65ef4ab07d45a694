// TO BE REPLACED BEFORE MERGING. Until the C runtime's own memory plan and its measured code sizes are there,
// this takes TFLM's head for the arena and guesses the rest.
#include "cost/c_footprint.h"

#include <algorithm>

#include "cost/arena.h"
#include "cost/code_table.h"

namespace retort::cost {
namespace {

// In the order of int8::OperatorKind.
constexpr CodeTable kCode = {.fixed_bytes = 400,
                             .kind_bytes = {1'200, 900, 300, 400, 500, 400, 400, 60, 900, 100, 100, 250, 80},
                             .shared = {}};
constexpr int64_t kStackBytes = 256;
constexpr int64_t kBytesAChannel = 5;  // a multiplier and a shift

bool has_kernel(const int8::Operator& op) {
  return std::holds_alternative<int8::Conv2D>(op.kind) ||
         std::holds_alternative<int8::DepthwiseConv2D>(op.kind) ||
         std::holds_alternative<int8::FullyConnected>(op.kind);
}

}  // namespace

Footprint c_footprint(const int8::QuantGraph& graph) {
  Footprint footprint{.code_bytes = code_bytes(kCode, graph), .stack_bytes = kStackBytes};
  std::vector<bool> counted(graph.tensors.size(), false);
  for (const int8::Operator& op : graph.operators) {
    if (!has_kernel(op)) continue;  // shapes and axes become part of the code
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const auto index = static_cast<size_t>(input);
      const int8::Tensor& tensor = graph.tensors[index];
      if (!tensor.constant() || counted[index]) continue;
      counted[index] = true;
      footprint.model_bytes += tensor.bytes();
      if (tensor.type == int8::Type::Int8)
        footprint.model_bytes += kBytesAChannel * static_cast<int64_t>(tensor.quantization.scales.size());
    }
  }
  for (const PlannedBuffer& buffer : plan_head(graph))
    footprint.arena_bytes = std::max(footprint.arena_bytes, buffer.offset + buffer.bytes);
  return footprint;
}

}  // namespace retort::cost
