#include "engine/plan_lowering.h"

#include <algorithm>
#include <optional>

namespace retort::engine {
namespace {

using kernels::Activation;

template <typename Operator>
bool is(const graph::Graph& graph, int node) {
  return std::holds_alternative<Operator>(graph.node(node).op);
}

bool is_pointwise(const graph::Graph& graph, int node) {
  return is<graph::Relu>(graph, node) || is<graph::Relu6>(graph, node) || is<graph::Dropout>(graph, node) ||
         is<graph::FakeQuant>(graph, node) || is<graph::BatchNorm>(graph, node);
}

class Lowering {
 public:
  Lowering(const graph::Graph& graph, int block, PlanMode mode) : graph_(graph), mode_(mode) {
    result_.block = block;
    result_.logits = graph.logits();
  }

  LoweredGraph run() {
    find_live_nodes();
    find_homes();
    find_readers();
    choose_input_layout();
    for (int node = 0; node <= graph_.logits(); ++node)
      if (live_[at(node)] && result_.home[at(node)] == node && !fused_[at(node)]) emit(node);
    hand_masks_to_readers();
    result_.logits = result_.home[at(graph_.logits())];
    return std::move(result_);
  }

 private:
  static size_t at(int node) { return static_cast<size_t>(node); }

  void find_live_nodes() {
    live_.assign(at(graph_.size()), false);
    live_[at(graph_.logits())] = true;
    for (int node = graph_.logits(); node >= 0; --node)
      if (live_[at(node)])
        for (const int input : graph_.node(node).inputs) live_[at(input)] = true;
    live_[0] = true;
  }

  // Whether everything that reads a Flatten can live with the order in which its input lies in memory: dense
  // layers can (their weights are arranged to match), the loss and an addition can't.
  [[nodiscard]] bool order_is_free(int node) const {
    if (node == graph_.logits()) return false;
    for (int reader = node + 1; reader <= graph_.logits(); ++reader) {
      const auto& inputs = graph_.node(reader).inputs;
      if (!live_[at(reader)] || std::find(inputs.begin(), inputs.end(), node) == inputs.end()) continue;
      if (is<graph::Dense>(graph_, reader)) continue;
      const bool passes_on = is_pointwise(graph_, reader) || is<graph::Flatten>(graph_, reader);
      if (!passes_on || !order_is_free(reader)) return false;
    }
    return true;
  }

  void find_homes() {
    result_.home.resize(at(graph_.size()));
    result_.spatial_order.assign(at(graph_.size()), -1);
    for (int node = 0; node < graph_.size(); ++node) {
      int& home = result_.home[at(node)];
      int& order = result_.spatial_order[at(node)];
      home = node;
      if (graph_.node(node).inputs.empty()) continue;
      const int input = graph_.node(node).inputs[0];
      const int input_home = result_.home[at(input)];
      if (is_pointwise(graph_, node)) order = result_.spatial_order[at(input)];
      if (const auto* dropout = std::get_if<graph::Dropout>(&graph_.node(node).op)) {
        if (mode_ == PlanMode::Inference || dropout->rate <= 0) home = input_home;
      } else if (is<graph::Flatten>(graph_, node)) {
        const graph::Shape& from = graph_.node(input).shape;
        if (from.flat || (from.height == 1 && from.width == 1)) {
          home = input_home;
          order = result_.spatial_order[at(input)];
        } else if (order_is_free(node)) {
          home = input_home;
          order = input;
        }
      }
    }
  }

  // readers_[home]: nodes with a home of their own that read it; −1 stands for the loss.
  void find_readers() {
    readers_.assign(at(graph_.size()), {});
    for (int node = 0; node <= graph_.logits(); ++node) {
      if (!live_[at(node)] || result_.home[at(node)] != node) continue;
      for (const int input : graph_.node(node).inputs) readers_[at(result_.home[at(input)])].push_back(node);
    }
    readers_[at(result_.home[at(graph_.logits())])].push_back(-1);
    fused_.assign(at(graph_.size()), false);
  }

  // The node that alone reads `home`, maybe through a dissolved one.
  [[nodiscard]] std::optional<int> only_reader(int home) const {
    const auto& readers = readers_[at(home)];
    if (readers.size() != 1 || readers[0] < 0) return std::nullopt;
    return readers[0];
  }

  // The first convolution has kernels of its own when it alone reads the images and they have few channels.
  void choose_input_layout() {
    const graph::Shape& shape = graph_.input_shape();
    // Only through nodes that exist in every mode: training and inference share the weights' layout.
    std::optional<int> reader = only_reader(0);
    int source = 0;
    if (reader && is<graph::FakeQuant>(graph_, *reader)) {
      source = *reader;
      reader = only_reader(source);
    }
    if (!reader || !is<graph::Conv>(graph_, *reader) || graph_.node(*reader).inputs[0] != source) return;
    if (shape.channels > 4 || shape.flat) return;
    const graph::Window& window = std::get<graph::Conv>(graph_.node(*reader).op).window;
    if (window.kernel_height * window.kernel_width * shape.channels > kernels::kFirstConvMaximumTaps) return;
    const graph::WindowGeometry geometry = graph::window_geometry(window, shape.height, shape.width);
    result_.planar_input = true;
    result_.planar = {1,
                      shape.channels,
                      shape.height,
                      shape.width,
                      geometry.pad_top,
                      std::max(0, geometry.pad_bottom),
                      geometry.pad_left,
                      std::max(0, geometry.pad_right)};
    first_conv_ = *reader;
  }

  void emit(int node) {
    LoweredOperation operation;
    operation.node = node;
    operation.output = node;
    for (const int input : graph_.node(node).inputs) operation.inputs.push_back(result_.home[at(input)]);
    operation.kind = std::visit([&](const auto& op) { return kind(op, node); }, graph_.node(node).op);
    switch (operation.kind) {
      case OperationKind::Conv:
      case OperationKind::FirstConv:
      case OperationKind::Depthwise:
      case OperationKind::Dense:
      case OperationKind::Add:
      case OperationKind::BatchNorm:
        fuse_activation(operation);
        break;
      case OperationKind::Activation:
        operation.activation = is<graph::Relu>(graph_, node) ? Activation::Relu : Activation::Relu6;
        break;
      default:
        break;
    }
    if (operation.kind == OperationKind::FirstConv) fuse_pool(operation);
    if (operation.kind != OperationKind::BatchNorm) operation.own_mask = operation.activation;
    result_.operations.push_back(std::move(operation));
  }

  void fuse_activation(LoweredOperation& operation) {
    const std::optional<int> reader = only_reader(operation.output);
    if (!reader) return;
    if (is<graph::Relu>(graph_, *reader))
      operation.activation = Activation::Relu;
    else if (is<graph::Relu6>(graph_, *reader))
      operation.activation = Activation::Relu6;
    else
      return;
    take_over(operation, *reader);
  }

  void fuse_pool(LoweredOperation& operation) {
    const std::optional<int> reader = only_reader(operation.output);
    if (!reader || !is<graph::MaxPool>(graph_, *reader)) return;
    const graph::Window& pool = std::get<graph::MaxPool>(graph_.node(*reader).op).window;
    const graph::Window& conv = std::get<graph::Conv>(graph_.node(operation.node).op).window;
    const graph::Shape& shape = graph_.node(operation.output).shape;
    const graph::Shape& pooled = graph_.node(*reader).shape;
    if (conv.stride_height != 1 || conv.stride_width != 1) return;
    if (pool.kernel_height != 2 || pool.kernel_width != 2 || pool.stride_height != 2 ||
        pool.stride_width != 2 || pooled.height != shape.height / 2 || pooled.width != shape.width / 2)
      return;
    operation.kind = OperationKind::FirstConvPool;
    take_over(operation, *reader);
  }

  // `reader` becomes part of the operation.
  void take_over(LoweredOperation& operation, int reader) {
    fused_[at(reader)] = true;
    operation.output = reader;
  }

  OperationKind kind(const graph::Conv& /*op*/, int node) const {
    return result_.planar_input && node == first_conv_ ? OperationKind::FirstConv : OperationKind::Conv;
  }
  static OperationKind kind(const graph::Input& /*op*/, int /*node*/) { return OperationKind::Convert; }
  static OperationKind kind(const graph::DepthwiseConv& /*op*/, int /*node*/) {
    return OperationKind::Depthwise;
  }
  static OperationKind kind(const graph::Dense& /*op*/, int /*node*/) { return OperationKind::Dense; }
  static OperationKind kind(const graph::BatchNorm& /*op*/, int /*node*/) { return OperationKind::BatchNorm; }
  static OperationKind kind(const graph::Relu& /*op*/, int /*node*/) { return OperationKind::Activation; }
  static OperationKind kind(const graph::Relu6& /*op*/, int /*node*/) { return OperationKind::Activation; }
  static OperationKind kind(const graph::MaxPool& /*op*/, int /*node*/) { return OperationKind::MaxPool; }
  static OperationKind kind(const graph::AvgPool& /*op*/, int /*node*/) { return OperationKind::AvgPool; }
  static OperationKind kind(const graph::GlobalAvgPool& /*op*/, int /*node*/) {
    return OperationKind::GlobalAvgPool;
  }
  static OperationKind kind(const graph::Add& /*op*/, int /*node*/) { return OperationKind::Add; }
  static OperationKind kind(const graph::Flatten& /*op*/, int /*node*/) { return OperationKind::Rows; }
  static OperationKind kind(const graph::Dropout& /*op*/, int /*node*/) { return OperationKind::Dropout; }
  // Only a last node, beyond the logits, can be one: never lowered.
  static OperationKind kind(const graph::Softmax& /*op*/, int /*node*/) { return OperationKind::Activation; }
  static OperationKind kind(const graph::FakeQuant& /*op*/, int /*node*/) { return OperationKind::FakeQuant; }

  // Pools and batch norms apply the mask of the activation before them in a pass that they make anyway.
  void hand_masks_to_readers() {
    for (LoweredOperation& reader : result_.operations) {
      if (reader.kind != OperationKind::MaxPool && reader.kind != OperationKind::GlobalAvgPool &&
          reader.kind != OperationKind::BatchNorm)
        continue;
      const int input = reader.inputs[0];
      if (readers_[at(input)].size() != 1) continue;
      const auto maker =
          std::find_if(result_.operations.begin(), result_.operations.end(),
                       [&](const LoweredOperation& operation) { return operation.output == input; });
      // A first convolution masks on its own way; handing it over would save nothing.
      if (maker->kind == OperationKind::FirstConvPool) continue;
      reader.input_mask = maker->own_mask;
      maker->own_mask = Activation::None;
    }
  }

  const graph::Graph& graph_;
  PlanMode mode_;
  LoweredGraph result_;
  std::vector<bool> live_;
  std::vector<bool> fused_;
  std::vector<std::vector<int>> readers_;
  int first_conv_ = -1;
};

int blocks(int channels, int block) {
  return (channels + block - 1) / block;
}

}  // namespace

LoweredGraph lower(const graph::Graph& graph, int block, PlanMode mode) {
  return Lowering(graph, block, mode).run();
}

kernels::BlockedShape memory_shape(const graph::Graph& graph, const LoweredGraph& lowered, int node,
                                   int images) {
  const graph::Shape& shape = graph.node(node).shape;
  if (!shape.flat)
    return {images, blocks(shape.channels, lowered.block), shape.height, shape.width, lowered.block};
  const int spatial = lowered.spatial_order[static_cast<size_t>(node)];
  if (spatial < 0) return {images, blocks(shape.channels, lowered.block), 1, 1, lowered.block};
  const graph::Shape& source = graph.node(spatial).shape;
  return {images, blocks(source.channels, lowered.block) * source.height * source.width, 1, 1, lowered.block};
}

std::vector<uint32_t> channel_places(const graph::Graph& graph, const LoweredGraph& lowered, int node) {
  std::vector<uint32_t> places;
  const graph::Shape& shape = graph.node(node).shape;
  const int spatial = lowered.spatial_order[static_cast<size_t>(node)];
  if (!shape.flat || spatial < 0) {
    for (int channel = 0; channel < shape.channels; ++channel)
      places.push_back(static_cast<uint32_t>(channel));
    return places;
  }
  const graph::Shape& source = graph.node(spatial).shape;
  for (int row = 0; row < source.height; ++row)
    for (int column = 0; column < source.width; ++column)
      for (int channel = 0; channel < source.channels; ++channel) {
        const int plane = channel / lowered.block;
        const int pixel = (plane * source.height + row) * source.width + column;
        places.push_back(static_cast<uint32_t>(pixel * lowered.block + channel % lowered.block));
      }
  return places;
}

kernels::Window2d memory_window(const graph::Window& window, graph::Shape input) {
  const graph::WindowGeometry geometry = graph::window_geometry(window, input.height, input.width);
  return {window.kernel_height, window.kernel_width, window.stride_height,
          window.stride_width,  geometry.pad_top,    geometry.pad_left};
}

}  // namespace retort::engine
