#include "graph/graph.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace retort::graph {

namespace {

constexpr std::array<std::string_view, std::variant_size_v<Operator>> kOperatorNames = {
    "input", "conv",    "depthwise_conv", "dense",    "batch_norm",
    "relu",  "relu6",   "max_pool",       "avg_pool", "global_avg_pool",
    "add",   "flatten", "dropout",        "softmax",  "fake_quant"};

void check_dimension(std::string_view what, int value) {
  if (value < 1 || value > kMaximumDimension)
    throw_usage("{} is {}; it must be between 1 and {}", what, value, kMaximumDimension);
}

Shape checked(const Shape& shape) {
  check_dimension("height", shape.height);
  check_dimension("width", shape.width);
  check_dimension("channels", shape.channels);
  // Each dimension is at most 2^16, so that the product fits 64 bits.
  if (shape.size() > kMaximumElements)
    throw_usage("a tensor of {} values is too large; at most {} are allowed", shape.size(), kMaximumElements);
  if (shape.flat && (shape.height != 1 || shape.width != 1))
    throw_usage("a flat shape of {}×{} cells; it must be 1×1", shape.height, shape.width);
  return shape;
}

void check_kernel_size(int64_t cells, int64_t inputs, int64_t outputs) {
  // cells ≤ 2^32 and inputs ≤ 2^16, so that the first product fits; the second is compared by division.
  if (cells > kMaximumElements || cells * inputs > kMaximumElements / outputs)
    throw_usage("a kernel of more than {} weights is too large", kMaximumElements);
}

void check_spatial(std::string_view name, const Shape& shape) {
  if (shape.flat) throw_usage("{} needs a spatial input, but its input is flat", name);
}

void check_flat(std::string_view name, const Shape& shape) {
  if (!shape.flat)
    throw_usage("{} needs a flat input, but its input is {}; put flatten or global_avg_pool before it", name,
                to_string(shape));
}

Shape windowed(const Window& window, const Shape& in, int channels) {
  const WindowGeometry geometry = window_geometry(window, in.height, in.width);
  return {geometry.out_height, geometry.out_width, channels, false};
}

// Checks that `value` lies in [0, 1).
void check_fraction(std::string_view what, float value) {
  if (!(value >= 0.0F && value < 1.0F))
    throw_usage("{} is {}; it must be at least 0 and below 1", what, value);
}

struct ShapeRule {
  const std::vector<Shape>& inputs;
  std::string_view name;
  [[nodiscard]] const Shape& in() const { return inputs.front(); }

  Shape operator()(const Input& /*op*/) const { throw_usage("a graph has one input, its first node"); }
  Shape operator()(const Conv& op) const {
    check_spatial(name, in());
    check_dimension("filters", op.filters);
    const Shape out = windowed(op.window, in(), op.filters);
    check_kernel_size(static_cast<int64_t>(op.window.kernel_height) * op.window.kernel_width, in().channels,
                      op.filters);
    return out;
  }
  Shape operator()(const DepthwiseConv& op) const {
    check_spatial(name, in());
    const Shape out = windowed(op.window, in(), in().channels);
    check_kernel_size(static_cast<int64_t>(op.window.kernel_height) * op.window.kernel_width, in().channels,
                      1);
    return out;
  }
  Shape operator()(const Dense& op) const {
    check_flat(name, in());
    check_dimension("units", op.units);
    check_kernel_size(1, in().channels, op.units);
    return {1, 1, op.units, true};
  }
  Shape operator()(const BatchNorm& op) const {
    check_fraction("momentum", op.momentum);
    if (!(op.epsilon > 0.0F && op.epsilon < 1.0F))
      throw_usage("epsilon is {}; it must be above 0 and below 1", op.epsilon);
    return in();
  }
  Shape operator()(const MaxPool& op) const {
    check_spatial(name, in());
    return windowed(op.window, in(), in().channels);
  }
  Shape operator()(const AvgPool& op) const {
    check_spatial(name, in());
    return windowed(op.window, in(), in().channels);
  }
  Shape operator()(const GlobalAvgPool& /*op*/) const {
    check_spatial(name, in());
    return {1, 1, in().channels, true};
  }
  Shape operator()(const Add& /*op*/) const {
    const Shape& a = inputs[0];
    const Shape& b = inputs[1];
    if (a != b)
      throw_usage("add needs two inputs of one shape, but they are {}×{}×{}{} and {}×{}×{}{}", a.height,
                  a.width, a.channels, a.flat ? " flat" : "", b.height, b.width, b.channels,
                  b.flat ? " flat" : "");
    return a;
  }
  Shape operator()(const Flatten& /*op*/) const {
    check_spatial(name, in());
    if (in().size() > kMaximumDimension)
      throw_usage("flatten makes {} channels; at most {} are allowed", in().size(), kMaximumDimension);
    return {1, 1, static_cast<int>(in().size()), true};
  }
  Shape operator()(const Dropout& op) const {
    check_fraction("rate", op.rate);
    return in();
  }
  Shape operator()(const Softmax& /*op*/) const {
    check_flat(name, in());
    return in();
  }
  Shape operator()(const FakeQuant& op) const {
    check_fraction("momentum", op.momentum);
    return in();
  }
  Shape operator()(const Relu& /*op*/) const { return in(); }
  Shape operator()(const Relu6& /*op*/) const { return in(); }
};

struct Axis {
  int out = 0;
  int before = 0;
  int after = 0;
};

Axis window_axis(std::string_view name, int kernel, int stride, Padding padding, int in) {
  check_dimension(fmt::format("kernel {}", name), kernel);
  check_dimension(fmt::format("stride {}", name), stride);
  if (padding == Padding::Valid) {
    if (kernel > in)
      throw_usage("a window of {} {} does not fit into an input of {} {} without padding", kernel, name, in,
                  name);
    return {(in - kernel) / stride + 1, 0, 0};
  }
  const int out = (in + stride - 1) / stride;
  const int total = std::max((out - 1) * stride + kernel - in, 0);
  return {out, total / 2, total - total / 2};
}

}  // namespace

std::string to_string(const Shape& shape) {
  return shape.flat ? std::to_string(shape.channels)
                    : fmt::format("{}×{}×{}", shape.height, shape.width, shape.channels);
}

std::string_view operator_name(const Operator& op) {
  return kOperatorNames.at(op.index());
}

WindowGeometry window_geometry(const Window& window, int height, int width) {
  const Axis rows = window_axis("height", window.kernel_height, window.stride_height, window.padding, height);
  const Axis columns = window_axis("width", window.kernel_width, window.stride_width, window.padding, width);
  return {rows.out, columns.out, rows.before, rows.after, columns.before, columns.after};
}

Shape infer_shape(const Operator& op, const std::vector<Shape>& inputs) {
  const std::string_view name = operator_name(op);
  const size_t wanted = std::holds_alternative<Input>(op) ? 0 : std::holds_alternative<Add>(op) ? 2 : 1;
  if (inputs.size() != wanted)
    throw_usage("{} takes {} input{}, not {}", name, wanted, wanted == 1 ? "" : "s", inputs.size());
  return checked(std::visit(ShapeRule{inputs, name}, op));
}

Graph::Graph(Shape input) {
  nodes_.push_back({Input{}, {}, checked(input)});
}

namespace {

// Weights of an operator's kernel, whose shape has been checked: at most kMaximumElements.
int64_t kernel_size(const Operator& op, const Shape& in) {
  const auto cells = [](const Window& window) {
    return static_cast<int64_t>(window.kernel_height) * window.kernel_width;
  };
  if (const auto* conv = std::get_if<Conv>(&op)) return cells(conv->window) * in.channels * conv->filters;
  if (const auto* depthwise = std::get_if<DepthwiseConv>(&op)) return cells(depthwise->window) * in.channels;
  if (const auto* dense = std::get_if<Dense>(&op)) return int64_t{in.channels} * dense->units;
  return 0;
}

// Throws when a kernel of `size` weights beside those of the nodes makes too many.
void check_weights(const std::vector<Node>& nodes, int64_t size) {
  if (size == 0) return;
  for (const Node& node : nodes)
    if (!node.inputs.empty())
      size += kernel_size(node.op, nodes[static_cast<size_t>(node.inputs.front())].shape);
  if (size > kMaximumElements) throw_usage("the graph's kernels have more than {} weights", kMaximumElements);
}

}  // namespace

int Graph::add(Operator op, std::vector<int> inputs) {
  if (nodes_.empty()) throw_usage("a graph begins with an input of known shape");
  if (size() >= kMaximumNodes) throw_usage("a graph has at most {} nodes", kMaximumNodes);
  std::vector<Shape> shapes;
  shapes.reserve(inputs.size());
  for (const int input : inputs) {
    if (input < 0 || input >= size())
      throw_usage("input {} is not an earlier node; node {} may read 0 to {}", input, size(), size() - 1);
    shapes.push_back(node(input).shape);
  }
  const Shape shape = infer_shape(op, shapes);
  check_weights(nodes_, kernel_size(op, shapes.front()));
  nodes_.push_back({op, std::move(inputs), shape});
  return output();
}

int Graph::add(Operator op) {
  return add(op, {output()});
}

int Graph::logits() const {
  const Node& last = node(output());
  return std::holds_alternative<Softmax>(last.op) ? last.inputs.front() : output();
}

std::vector<int> Graph::consumer_counts() const {
  std::vector<int> counts(nodes_.size(), 0);
  for (const Node& node : nodes_)
    for (const int input : node.inputs) ++counts[static_cast<size_t>(input)];
  return counts;
}

std::vector<bool> used_nodes(const Graph& graph) {
  std::vector<bool> used(graph.nodes().size(), false);
  if (used.empty()) return used;
  used.back() = true;
  used.front() = true;
  for (size_t i = used.size(); i-- > 0;) {
    if (!used[i]) continue;
    for (const int input : graph.nodes()[i].inputs) used[static_cast<size_t>(input)] = true;
  }
  return used;
}

int64_t node_macs(const Graph& graph, int index) {
  const Node& node = graph.node(index);
  if (node.inputs.empty()) return 0;
  const int64_t in_channels = graph.node(node.inputs.front()).shape.channels;
  if (const auto* conv = std::get_if<Conv>(&node.op))
    return in_channels * conv->window.kernel_height * conv->window.kernel_width * node.shape.size();
  if (const auto* depthwise = std::get_if<DepthwiseConv>(&node.op))
    return static_cast<int64_t>(depthwise->window.kernel_height) * depthwise->window.kernel_width *
           node.shape.size();
  if (std::holds_alternative<Dense>(node.op)) return in_channels * node.shape.channels;
  return 0;
}

int64_t total_macs(const Graph& graph) {
  int64_t sum = 0;
  for (int i = 0; i < graph.size(); ++i) sum += node_macs(graph, i);
  return sum;
}

}  // namespace retort::graph
