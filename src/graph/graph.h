// The one description of a network. Training, cost, int8 and deployment all read it.
//
// A Graph is a list of nodes in topological order: a node's inputs have smaller indices. Node 0 is the input.
// The last node is the output: logits, or the Softmax that follows them. Shapes are per image, without a
// batch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace retort::graph {

// Limits of every graph, so that sizes and products of sizes never overflow.
inline constexpr int kMaximumDimension = 65536;                // height, width, channels, kernel, stride
inline constexpr int64_t kMaximumElements = int64_t{1} << 28;  // values of one activation, of all kernels
inline constexpr int kMaximumNodes = 10'000;

// Spatial tensors are height × width × channels; flat ones (after Flatten, GlobalAvgPool, Dense) have
// channels only and height = width = 1.
struct Shape {
  int height = 1;
  int width = 1;
  int channels = 0;
  bool flat = false;
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(height) * width * channels; }
  bool operator==(const Shape&) const = default;
};
std::string to_string(const Shape& shape);  // "28×28×1"; of a flat one "10"

// TensorFlow's meaning: Same gives ceil(in / stride), with the odd cell of padding after; Valid pads nothing.
enum class Padding { Same, Valid };

struct Window {
  int kernel_height = 3;
  int kernel_width = 3;
  int stride_height = 1;
  int stride_width = 1;
  Padding padding = Padding::Same;
  bool operator==(const Window&) const = default;
};

enum class Initializer { GlorotUniform, HeUniform };
enum class Bias { Absent, Present };
// Int8 marks a layer whose kernel is rounded to the int8 grid (symmetric, per output channel) in training's
// forward pass, as quantisation-aware training does.
enum class WeightGrid { Float, Int8 };

struct Input {
  bool operator==(const Input&) const = default;
};
struct Conv {
  int filters = 0;
  Window window{};
  Bias bias = Bias::Present;
  Initializer initializer = Initializer::GlorotUniform;
  WeightGrid grid = WeightGrid::Float;
  bool operator==(const Conv&) const = default;
};
struct DepthwiseConv {  // one filter a channel
  Window window{};
  Bias bias = Bias::Present;
  Initializer initializer = Initializer::GlorotUniform;
  WeightGrid grid = WeightGrid::Float;
  bool operator==(const DepthwiseConv&) const = default;
};
struct Dense {  // its input is flat
  int units = 0;
  Bias bias = Bias::Present;
  Initializer initializer = Initializer::GlorotUniform;
  WeightGrid grid = WeightGrid::Float;
  bool operator==(const Dense&) const = default;
};
struct BatchNorm {  // over channels; running = momentum · running + (1 − momentum) · batch, as Keras
  float momentum = 0.99F;
  float epsilon = 1e-3F;
  bool operator==(const BatchNorm&) const = default;
};
struct Relu {
  bool operator==(const Relu&) const = default;
};
struct Relu6 {
  bool operator==(const Relu6&) const = default;
};
struct MaxPool {
  Window window{2, 2, 2, 2, Padding::Valid};
  bool operator==(const MaxPool&) const = default;
};
struct AvgPool {  // the mean over the cells that lie inside the image
  Window window{2, 2, 2, 2, Padding::Valid};
  bool operator==(const AvgPool&) const = default;
};
struct GlobalAvgPool {  // to a flat tensor of channels
  bool operator==(const GlobalAvgPool&) const = default;
};
struct Add {  // two inputs of one shape
  bool operator==(const Add&) const = default;
};
struct Flatten {  // height, width, channels order
  bool operator==(const Flatten&) const = default;
};
struct Dropout {
  float rate = 0.5F;
  bool operator==(const Dropout&) const = default;
};
struct Softmax {
  bool operator==(const Softmax&) const = default;
};
// Rounds activations to an int8 grid (asymmetric, per tensor) whose range is a state of the network: moving
// averages of each batch's minimum and maximum while training. The gradient passes where the value lies
// inside the range.
struct FakeQuant {
  float momentum = 0.99F;
  bool operator==(const FakeQuant&) const = default;
};

using Operator = std::variant<Input, Conv, DepthwiseConv, Dense, BatchNorm, Relu, Relu6, MaxPool, AvgPool,
                              GlobalAvgPool, Add, Flatten, Dropout, Softmax, FakeQuant>;

// "conv", "depthwise_conv", "dense", …: the names that JSON uses.
std::string_view operator_name(const Operator& op);

struct Node {
  Operator op;
  std::vector<int> inputs;
  Shape shape;  // of its output
  bool operator==(const Node&) const = default;
};

// Output height and width of a window, and the padding before and after each axis.
struct WindowGeometry {
  int out_height = 0;
  int out_width = 0;
  int pad_top = 0;
  int pad_bottom = 0;
  int pad_left = 0;
  int pad_right = 0;
};
// Throws Error(Usage) when a valid window is larger than the input.
WindowGeometry window_geometry(const Window& window, int height, int width);

// The shape that `op` gives for these inputs. Throws Error(Usage) that says what does not fit.
Shape infer_shape(const Operator& op, const std::vector<Shape>& inputs);

class Graph {
 public:
  Graph() = default;
  explicit Graph(Shape input);  // throws Error(Usage) when a dimension is not within the limits

  // Appends a node and returns its index; checks and infers its shape.
  int add(Operator op, std::vector<int> inputs);
  // Appends a node on the last one.
  int add(Operator op);

  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] const Node& node(int index) const { return nodes_.at(static_cast<size_t>(index)); }
  [[nodiscard]] int size() const { return static_cast<int>(nodes_.size()); }
  [[nodiscard]] int output() const { return size() - 1; }
  [[nodiscard]] Shape input_shape() const { return nodes_.front().shape; }
  // The node whose values are the logits: the output, or what its Softmax reads.
  [[nodiscard]] int logits() const;
  [[nodiscard]] int classes() const { return node(logits()).shape.channels; }
  // How many nodes read each node. The output's being read by the caller does not count.
  [[nodiscard]] std::vector<int> consumer_counts() const;

  bool operator==(const Graph&) const = default;

 private:
  std::vector<Node> nodes_;
};

// Which nodes the output depends on; the input counts always.
std::vector<bool> used_nodes(const Graph& graph);

// JSON in and out: {"format":"retort-graph","version":1,"nodes":[{"op":"input","shape":[32,32,1]},
// {"op":"conv","inputs":[0],"filters":16,"kernel":[3,3],…},…]}. A flat input's shape is [channels]. On
// reading, "inputs" may be left out (the node before), "kernel" and "strides" may be one number, and what has
// a default in the structs above may be left out. graph_from_json throws Error(Usage) that names the node and
// field; unknown fields are errors, so that a misspelt one is not silently ignored.
std::string graph_to_json(const Graph& graph);
Graph graph_from_json(std::string_view text);

// 32 hexadecimal digits that are equal for graphs which compute the same network: dropout rates, initialisers
// and everything else that training sees counts; names and unused nodes do not exist.
std::string structural_hash(const Graph& graph);

// Multiply-accumulates of one node for one image: kernel cells × outputs for conv, depthwise and dense,
// padding included as is customary; 0 for the rest.
int64_t node_macs(const Graph& graph, int node);
// Of all nodes.
int64_t total_macs(const Graph& graph);

}  // namespace retort::graph
