#include "cost/cost.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "cost/c_footprint.h"
#include "cost/c_work.h"
#include "graph/parameters.h"
#include "int8/tflite.h"

namespace retort::cost {

namespace {

// FlatBuffers offsets are signed 32-bit, and nothing near this size fits a microcontroller.
constexpr int64_t kMaximumParameters = int64_t{1} << 28;

int64_t saturating_sum(int64_t a, int64_t b) {
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

bool has_kernel(const int8::Operator& op) {
  return std::holds_alternative<int8::Conv2D>(op.kind) ||
         std::holds_alternative<int8::DepthwiseConv2D>(op.kind) ||
         std::holds_alternative<int8::FullyConnected>(op.kind);
}

struct WindowOf {
  const int8::QuantGraph& graph;
  const int8::Operator& op;
  using Size = std::optional<WindowSize>;

  [[nodiscard]] Size of_kernel(const int8::WindowOp& window) const {
    const std::vector<int>& kernel = graph.tensors[static_cast<size_t>(op.inputs[1])].dims;
    return WindowSize{kernel[1], kernel[2], window.stride_height, window.stride_width};
  }
  Size operator()(const int8::Conv2D& conv) const { return of_kernel(conv); }
  Size operator()(const int8::DepthwiseConv2D& conv) const { return of_kernel(conv); }
  template <typename Kind>
  Size operator()(const Kind& kind) const {
    if constexpr (requires { kind.filter_height; })
      return WindowSize{kind.filter_height, kind.filter_width, kind.stride_height, kind.stride_width};
    else
      return std::nullopt;
  }
};

std::vector<HeadBuffer> head_buffers(const int8::QuantGraph& graph,
                                     const std::vector<PlannedBuffer>& planned) {
  using Kind = HeadBuffer::Kind;
  std::vector<Kind> kinds(graph.tensors.size(), Kind::Activation);
  for (const int output : graph.outputs) kinds[static_cast<size_t>(output)] = Kind::Output;
  for (const int input : graph.inputs) kinds[static_cast<size_t>(input)] = Kind::Input;
  std::vector<HeadBuffer> buffers;
  buffers.reserve(planned.size());
  for (const PlannedBuffer& plan : planned) {
    HeadBuffer buffer{.tensor = plan.tensor,
                      .bytes = plan.bytes,
                      .offset = plan.offset,
                      .first_used = std::max(plan.first_used - 1, kBeforeTheFirst),
                      .last_used = std::max(plan.last_used - 1, kBeforeTheFirst)};
    if (plan.tensor < 0) {
      buffer.kind = Kind::Scratch;
      buffer.name = int8::operator_name(graph.operators[static_cast<size_t>(buffer.first_used)].kind);
    } else {
      buffer.kind = kinds[static_cast<size_t>(plan.tensor)];
      buffer.name = graph.tensors[static_cast<size_t>(plan.tensor)].name;
    }
    buffers.push_back(std::move(buffer));
  }
  return buffers;
}

bool is_any(const HeadBuffer& /*buffer*/) {
  return true;
}

bool is_output_of_operator(const HeadBuffer& buffer) {
  return buffer.kind == HeadBuffer::Kind::Activation || buffer.kind == HeadBuffer::Kind::Output;
}

// Bytes of these buffers that live while each operator runs, in one pass over their beginnings and ends.
std::vector<int64_t> live_bytes(const std::vector<HeadBuffer>& head, size_t operators,
                                bool (*counts)(const HeadBuffer&)) {
  std::vector<int64_t> change(operators + 1, 0);
  for (const HeadBuffer& buffer : head) {
    if (buffer.last_used < 0 || !counts(buffer)) continue;
    change[static_cast<size_t>(std::max(buffer.first_used, 0))] += buffer.bytes;
    change[static_cast<size_t>(buffer.last_used) + 1] -= buffer.bytes;
  }
  std::partial_sum(change.begin(), change.end(), change.begin());
  return change;
}

std::vector<LayerCost> layer_costs(const int8::QuantGraph& graph, const std::vector<HeadBuffer>& head) {
  std::vector<int> buffer_of(graph.tensors.size(), -1);
  for (size_t i = 0; i < head.size(); ++i)
    if (head[i].tensor >= 0) buffer_of[static_cast<size_t>(head[i].tensor)] = static_cast<int>(i);
  const std::vector<int64_t> live = live_bytes(head, graph.operators.size(), is_any);
  std::vector<bool> counted(graph.tensors.size(), false);
  std::vector<LayerCost> layers;
  layers.reserve(graph.operators.size());
  for (size_t k = 0; k < graph.operators.size(); ++k) {
    const int8::Operator& op = graph.operators[k];
    LayerCost layer;
    layer.operator_name = int8::operator_name(op.kind);
    const auto output_index = static_cast<size_t>(op.outputs.front());
    const int8::Tensor& output = graph.tensors[output_index];
    layer.output_dims = output.dims;
    layer.output_bytes = output.bytes();
    layer.output_buffer = buffer_of[output_index];
    layer.window = std::visit(WindowOf{graph, op}, op.kind);
    layer.macs = int8::operator_macs(graph, op);
    layer.live_bytes = live[k];
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const auto index = static_cast<size_t>(input);
      const int8::Tensor& tensor = graph.tensors[index];
      if (!tensor.constant()) layer.inputs_dims.push_back(tensor.dims);
      if (!tensor.constant() || counted[index]) continue;
      counted[index] = true;
      layer.weight_bytes += tensor.bytes();
      if (has_kernel(op)) layer.parameters += tensor.elements();
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

// The size of the file that the writer makes, without paying for megabytes of weights: constants lie at
// multiples of 16 bytes, so that leaving out a multiple of 16 of one's bytes makes the file exactly that much
// shorter.
int64_t file_bytes(const int8::QuantGraph& graph) {
  constexpr size_t kAlignment = 16;
  int8::QuantGraph shortened{.tensors = {},
                             .operators = graph.operators,
                             .inputs = graph.inputs,
                             .outputs = graph.outputs,
                             .description = graph.description,
                             .classes = graph.classes};
  shortened.tensors.reserve(graph.tensors.size());
  int64_t left_out = 0;
  for (const int8::Tensor& tensor : graph.tensors) {
    const size_t size = tensor.data.size();
    const size_t kept = std::min(size, size % kAlignment + kAlignment);
    left_out += static_cast<int64_t>(size - kept);
    shortened.tensors.push_back(
        {.name = tensor.name,
         .type = tensor.type,
         .dims = tensor.dims,
         .quantization = tensor.quantization,
         .data = {tensor.data.begin(), tensor.data.begin() + static_cast<int64_t>(kept)}});
  }
  return left_out + static_cast<int64_t>(int8::write_tflite(shortened).size());
}

Json arena_json(const Arena& arena) {
  return {{"head", arena.head_bytes}, {"tail", arena.tail_bytes}, {"smallest", arena.smallest_bytes}};
}

}  // namespace

Cost analyze(const graph::Graph& graph, const CostOptions& options) {
  if (const int64_t count = graph::parameter_count(graph); count > kMaximumParameters)
    throw_usage("a network of {} parameters is too large to cost; at most {} are allowed", count,
                kMaximumParameters);
  const int8::QuantGraph lowered = int8::lower_structure(graph, {options.ends, options.classes});
  const int64_t flash_bytes = file_bytes(lowered);
  return analyze(lowered, flash_bytes, options.target);
}

Cost analyze(const int8::QuantGraph& graph) {
  return analyze(graph, file_bytes(graph));
}

Cost analyze(const int8::QuantGraph& graph, int64_t flash_bytes, const Target& target) {
  Cost cost;
  cost.head = head_buffers(graph, plan_head(graph));
  cost.layers = layer_costs(graph, cost.head);
  cost.activation_bytes =
      std::ranges::max(live_bytes(cost.head, graph.operators.size(), is_output_of_operator));
  for (const LayerCost& layer : cost.layers) {
    cost.parameters += layer.parameters;
    cost.weight_bytes += layer.weight_bytes;
    cost.macs = saturating_sum(cost.macs, layer.macs);
  }
  cost.flash_bytes = flash_bytes;
  cost.cortex_m4 = plan_arena(graph, Abi::CortexM4);
  cost.host = plan_arena(graph, Abi::Host);
  cost.runtime = target.runtime;
  if (target.runtime == Runtime::C) {
    const CPlan plan = plan_c(graph);
    cost.footprint = c_footprint(graph, plan);
    if (target.board) cost.latency = c_latency(c_work(graph, plan), *target.board);
  } else {
    cost.footprint = tflm_footprint(graph, flash_bytes, cost.cortex_m4.smallest_bytes);
    if (target.board) cost.latency = tflm_latency(graph, *target.board);
  }
  return cost;
}

std::string_view to_string(HeadBuffer::Kind kind) {
  switch (kind) {
    case HeadBuffer::Kind::Input:
      return "input";
    case HeadBuffer::Kind::Activation:
      return "activation";
    case HeadBuffer::Kind::Output:
      return "output";
    case HeadBuffer::Kind::Scratch:
      break;
  }
  return "scratch";
}

void to_json(Json& json, const Cost& cost) {
  std::vector<std::string> operators;
  Json layers = Json::array();
  for (const LayerCost& layer : cost.layers) {
    operators.push_back(layer.operator_name);
    Json one = {{"operator", layer.operator_name},
                {"inputs", layer.inputs_dims},
                {"output", layer.output_dims},
                {"parameters", layer.parameters},
                {"macs", layer.macs},
                {"weight_bytes", layer.weight_bytes},
                {"output_bytes", layer.output_bytes},
                {"live_bytes", layer.live_bytes},
                {"arena_buffer", layer.output_buffer}};
    if (layer.window) {
      one["kernel"] = {layer.window->height, layer.window->width};
      one["stride"] = {layer.window->stride_height, layer.window->stride_width};
    }
    layers.push_back(std::move(one));
  }
  Json buffers = Json::array();
  for (const HeadBuffer& buffer : cost.head) {
    Json one = {{"kind", to_string(buffer.kind)},  {"name", buffer.name},
                {"bytes", buffer.bytes},           {"offset", buffer.offset},
                {"first_used", buffer.first_used}, {"last_used", buffer.last_used}};
    if (buffer.tensor >= 0) one["tensor"] = buffer.tensor;
    buffers.push_back(std::move(one));
  }
  json = {{"operators", operators},
          {"parameters", cost.parameters},
          {"macs", cost.macs},
          {"weight_bytes", cost.weight_bytes},
          {"flash_bytes", cost.flash_bytes},
          {"activation_bytes", cost.activation_bytes},
          {"arena_bytes", {{"cortex-m4", cost.cortex_m4.used_bytes()}, {"host", cost.host.used_bytes()}}},
          {"arena", {{"cortex-m4", arena_json(cost.cortex_m4)}, {"host", arena_json(cost.host)}}},
          {"runtime", to_string(cost.runtime)},
          {"footprint", cost.footprint},
          {"latency", cost.latency ? Json(*cost.latency) : Json()},
          {"layers", layers},
          {"arena_buffers", buffers}};
}

}  // namespace retort::cost
