// The code sizes are those of deploy/runtime's kernels, by arm-none-eabi-gcc 12.2 -mcpu=cortex-m4 -mthumb -Os:
// fitted to the .text of 128 networks, which they meet within 51 bytes. conformance/c_code.py holds the whole
// against what a compiler makes of random networks.
#include "cost/c_footprint.h"

#include <algorithm>
#include <array>
#include <string>

#include "cost/code_table.h"
#include "int8/kernel_parameters.h"

namespace retort::cost {
namespace {

// In the order of int8::OperatorKind: conv, depthwise, max pool, average pool, dense, add, mean, reshape,
// softmax, relu, relu6, quantize, dequantize.
constexpr int64_t kFloatToInt8 = 268 + 1596;  // with GCC's routines for floating point without a unit for it
constexpr int64_t kInt8ToFloat = 70 + 1684;
constexpr int64_t kLookUp = 28;
constexpr int64_t kStepBytes = 20;  // a call
constexpr int64_t kBandBytes = 44;  // a loop of two
constexpr CodeTable kCode = {
    .fixed_bytes = 32,
    .kind_bytes = {1718, 1084, 404, 261, 352, 370, 93, 0, 542, 0, 0, 0, kInt8ToFloat},
    .shared = {}};

// The descriptions of layers (retort_conv2d_layer, …) and what else of constants a kernel has.
constexpr int64_t kConvBytes = 48;
constexpr int64_t kDepthwiseBytes = 48;
constexpr int64_t kDenseBytes = 28;
constexpr int64_t kPoolBytes = 24;
constexpr int64_t kAddBytes = 28;
constexpr int64_t kMeanBytes = 20;
constexpr int64_t kSoftmaxBytes = 16;
constexpr int64_t kSoftmaxTableBytes = 28;
constexpr int64_t kLookUpTableBytes = 256;
constexpr int64_t kChannelBytes = 12;  // bias, multiplier, shift

// As deep as the calls go, of a Cortex-M4 with -O2 and -Os.
constexpr int64_t kDepthwiseStack = 320;
constexpr int64_t kConvStack = 296;
constexpr int64_t kOtherStack = 184;

struct Constants {
  const int8::QuantGraph& graph;
  const int8::Operator& op;

  [[nodiscard]] const std::vector<int>& kernel() const { return int8::input_tensor(graph, op, 1).dims; }
  // Filters padded to whole fours of weights.
  static int64_t rows(int64_t count, int64_t length) {
    return count * ((length + 3) / 4 * 4 + kChannelBytes);
  }

  int64_t operator()(const int8::Conv2D&) const {
    return rows(kernel()[0], int64_t{kernel()[1]} * kernel()[2] * kernel()[3]) + kConvBytes;
  }
  int64_t operator()(const int8::DepthwiseConv2D&) const {
    const int64_t weights = int64_t{kernel()[1]} * kernel()[2] * kernel()[3];
    return (weights + 3) / 4 * 4 + kernel()[3] * kChannelBytes + kDepthwiseBytes;
  }
  int64_t operator()(const int8::FullyConnected&) const {
    return rows(kernel()[0], kernel()[1]) + kDenseBytes;
  }
  int64_t operator()(const int8::MaxPool2D&) const { return kPoolBytes; }
  int64_t operator()(const int8::AveragePool2D&) const { return kPoolBytes; }
  int64_t operator()(const int8::AddOp&) const { return kAddBytes; }
  int64_t operator()(const int8::Mean&) const { return kMeanBytes; }
  int64_t operator()(const int8::Reshape&) const { return 0; }
  int64_t operator()(const int8::SoftmaxOp&) const { return kSoftmaxBytes; }
  int64_t operator()(const int8::ReluOp&) const { return kLookUpTableBytes; }
  int64_t operator()(const int8::Relu6Op&) const { return kLookUpTableBytes; }
  int64_t operator()(const int8::Quantize&) const { return is_look_up() ? kLookUpTableBytes : 0; }
  int64_t operator()(const int8::Dequantize&) const { return 0; }

  [[nodiscard]] bool is_look_up() const {
    return !std::holds_alternative<int8::Quantize>(op.kind)
               ? std::holds_alternative<int8::ReluOp>(op.kind) ||
                     std::holds_alternative<int8::Relu6Op>(op.kind)
               : int8::input_tensor(graph, op, 0).type == int8::Type::Int8;
  }
};

}  // namespace

Footprint c_footprint(const int8::QuantGraph& graph, const CPlan& plan) {
  Footprint footprint{.code_bytes = code_bytes(kCode, graph), .arena_bytes = plan.arena_bytes};
  bool looks_up = false;
  bool quantizes = false;
  bool has_softmax = false;
  footprint.stack_bytes = kOtherStack;
  for (const int8::Operator& op : graph.operators) {
    const Constants constants{graph, op};
    footprint.model_bytes += std::visit(constants, op.kind);
    looks_up |= constants.is_look_up();
    quantizes |= std::holds_alternative<int8::Quantize>(op.kind) && !constants.is_look_up();
    has_softmax |= std::holds_alternative<int8::SoftmaxOp>(op.kind);
    if (std::holds_alternative<int8::Conv2D>(op.kind))
      footprint.stack_bytes = std::max(footprint.stack_bytes, kConvStack);
    if (std::holds_alternative<int8::DepthwiseConv2D>(op.kind))
      footprint.stack_bytes = std::max(footprint.stack_bytes, kDepthwiseStack);
    if (!std::holds_alternative<int8::Reshape>(op.kind)) footprint.code_bytes += kStepBytes;
  }
  for (const CStep& step : plan.steps)
    if (step.reader) footprint.code_bytes += kBandBytes;
  if (looks_up) footprint.code_bytes += kLookUp;
  if (quantizes) footprint.code_bytes += kFloatToInt8;
  if (has_softmax) footprint.model_bytes += kSoftmaxTableBytes;
  // NAME_class_names, which a linker drops where nothing uses it: a pointer and a text each.
  const int64_t outputs = graph.tensors[static_cast<size_t>(graph.outputs.front())].elements();
  if (static_cast<int64_t>(graph.classes.size()) == outputs)
    for (const std::string& name : graph.classes)
      footprint.model_bytes += 4 + static_cast<int64_t>(name.size()) + 1;
  return footprint;
}

}  // namespace retort::cost
