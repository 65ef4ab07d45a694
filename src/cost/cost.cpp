#include "cost/cost.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "cost/c_footprint.h"
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

std::vector<LayerCost> layer_costs(const int8::QuantGraph& graph) {
  const std::vector<PlannedBuffer> buffers = plan_head(graph);
  std::vector<bool> counted(graph.tensors.size(), false);
  std::vector<LayerCost> layers;
  layers.reserve(graph.operators.size());
  for (size_t k = 0; k < graph.operators.size(); ++k) {
    const int8::Operator& op = graph.operators[k];
    LayerCost layer;
    layer.operator_name = int8::operator_name(op.kind);
    const int8::Tensor& output = graph.tensors[static_cast<size_t>(op.outputs.front())];
    layer.output_dims = output.dims;
    layer.output_bytes = output.bytes();
    layer.macs = int8::operator_macs(graph, op);
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const auto index = static_cast<size_t>(input);
      const int8::Tensor& tensor = graph.tensors[index];
      if (!tensor.constant() || counted[index]) continue;
      counted[index] = true;
      layer.weight_bytes += tensor.bytes();
      if (has_kernel(op)) layer.parameters += tensor.elements();
    }
    const int time = static_cast<int>(k) + 1;
    for (const PlannedBuffer& buffer : buffers)
      if (buffer.first_used <= time && time <= buffer.last_used) layer.live_bytes += buffer.bytes;
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

nlohmann::json arena_json(const Arena& arena) {
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
  cost.layers = layer_costs(graph);
  for (const LayerCost& layer : cost.layers) {
    cost.parameters += layer.parameters;
    cost.weight_bytes += layer.weight_bytes;
    cost.macs = saturating_sum(cost.macs, layer.macs);
  }
  cost.flash_bytes = flash_bytes;
  cost.cortex_m4 = plan_arena(graph, Abi::CortexM4);
  cost.host = plan_arena(graph, Abi::Host);
  cost.runtime = target.runtime;
  cost.footprint = target.runtime == Runtime::C
                       ? c_footprint(graph)
                       : tflm_footprint(graph, flash_bytes, cost.cortex_m4.smallest_bytes);
  if (target.board) cost.latency = estimate_latency(graph, target.runtime, *target.board);
  return cost;
}

void to_json(nlohmann::json& json, const Cost& cost) {
  std::vector<std::string> operators;
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerCost& layer : cost.layers) {
    operators.push_back(layer.operator_name);
    layers.push_back({{"operator", layer.operator_name},
                      {"output", layer.output_dims},
                      {"parameters", layer.parameters},
                      {"macs", layer.macs},
                      {"weight_bytes", layer.weight_bytes},
                      {"output_bytes", layer.output_bytes},
                      {"live_bytes", layer.live_bytes}});
  }
  json = {{"operators", operators},
          {"parameters", cost.parameters},
          {"macs", cost.macs},
          {"weight_bytes", cost.weight_bytes},
          {"flash_bytes", cost.flash_bytes},
          {"arena_bytes", {{"cortex-m4", cost.cortex_m4.used_bytes()}, {"host", cost.host.used_bytes()}}},
          {"arena", {{"cortex-m4", arena_json(cost.cortex_m4)}, {"host", arena_json(cost.host)}}},
          {"runtime", to_string(cost.runtime)},
          {"footprint", cost.footprint},
          {"latency", cost.latency ? nlohmann::json(*cost.latency) : nlohmann::json()},
          {"layers", layers}};
}

}  // namespace retort::cost
