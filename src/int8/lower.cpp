#include "int8/lower.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "graph/quantized_form.h"

namespace retort::int8 {

namespace {

constexpr float kInputScale = 1.0F / 255;
constexpr int64_t kInputZeroPoint = -128;
constexpr float kSoftmaxScale = 1.0F / 256;
constexpr float kWeightLimit = 127;

// Guards against layers that training left dead or nearly so. Real networks do not come near any of them.
constexpr float kSmallestScale = 0x1p-24F;  // of activations; SOFTMAX needs more than 2^−26
constexpr double kLargestGain = 256;        // output steps that one step of the accumulator may be worth
constexpr double kLargestBias = 1 << 30;    // leaves the other half of the accumulator to the products
constexpr double kSmallestKernelScale = 0x1p-60;
constexpr double kDeadChannelBiasSteps = 1 << 20;

struct Grid {
  float scale = 1;
  int64_t zero_point = 0;
};

struct QuantizedKernel {
  std::vector<float> scales;
  std::vector<uint8_t> weights;
  std::vector<uint8_t> bias;
  double largest_scale = 0;
};

template <typename Node>
constexpr bool is_layer = std::is_same_v<Node, graph::Conv> || std::is_same_v<Node, graph::DepthwiseConv> ||
                          std::is_same_v<Node, graph::Dense>;

class Lowering {
 public:
  // Without parameters, numbers are placeholders.
  Lowering(const graph::Graph& graph, const graph::Parameters* parameters, const LowerOptions& options)
      : graph_(graph), parameters_(parameters), options_(options), tensor_of_(graph.nodes().size(), -1) {}

  QuantGraph run() {
    used_ = graph::used_nodes(graph_);
    result_.description = "retort";
    result_.classes = options_.classes;
    for (int i = 0; i < graph_.size(); ++i)
      if (used_[static_cast<size_t>(i)]) lower_node(i);
    int output = tensor_of_[static_cast<size_t>(graph_.output())];
    if (output < 0) node_error(graph_.output(), "is the output and needs a FakeQuant after it");
    if (result_.operators.empty() || output == input_)
      throw_usage("a network without layers cannot be lowered to int8");
    if (options_.ends == Ends::Float) {
      const int float_output = add_activation("output", tensor(output).dims, Type::Float32, {});
      result_.operators.push_back({Dequantize{}, {output}, {float_output}});
      output = float_output;
    }
    result_.outputs = {output};
    return std::move(result_);
  }

 private:
  [[noreturn]] void node_error(int index, std::string_view what) const {
    throw_usage("node {} ({}) {}", index, graph::operator_name(graph_.node(index).op), what);
  }

  // No fault of the graph's: whoever tries several goes on with the next.
  [[noreturn]] void diverged(int index, std::string_view what) const {
    throw_failure("node {} ({}) has a {} that is not finite: training has diverged", index,
                  graph::operator_name(graph_.node(index).op), what);
  }

  Tensor& tensor(int index) { return result_.tensors[static_cast<size_t>(index)]; }

  [[nodiscard]] static std::vector<int> dims_of(const graph::Shape& shape) {
    return shape.flat ? std::vector<int>{1, shape.channels}
                      : std::vector<int>{1, shape.height, shape.width, shape.channels};
  }

  int add_tensor(Tensor made) {
    result_.tensors.push_back(std::move(made));
    return static_cast<int>(result_.tensors.size()) - 1;
  }
  int add_activation(std::string name, std::vector<int> dims, Type type, Quantization quantization) {
    return add_tensor({std::move(name), type, std::move(dims), std::move(quantization), {}});
  }
  int add_int8(std::string name, std::vector<int> dims, const Grid& grid) {
    return add_activation(std::move(name), std::move(dims), Type::Int8, {{grid.scale}, {grid.zero_point}, 0});
  }
  int add_constant(std::string name, const std::vector<int32_t>& values) {
    std::vector<uint8_t> data(values.size() * sizeof(int32_t));
    std::memcpy(data.data(), values.data(), data.size());
    return add_tensor({std::move(name), Type::Int32, {static_cast<int>(values.size())}, {}, std::move(data)});
  }

  [[nodiscard]] std::string name_of(int index) const {
    return fmt::format("{}_{}", graph::operator_name(graph_.node(index).op), index);
  }

  [[nodiscard]] Grid grid_of(int tensor_index) const {
    const Quantization& q = result_.tensors[static_cast<size_t>(tensor_index)].quantization;
    return {q.scales[0], q.zero_points[0]};
  }

  // The int8 tensor that holds a node's value.
  [[nodiscard]] int value(int index) const {
    const int found = tensor_of_[static_cast<size_t>(index)];
    if (found < 0) node_error(index, "is read before a FakeQuant gave it a range");
    return found;
  }
  [[nodiscard]] int input_value(int index, size_t i = 0) const { return value(graph_.node(index).inputs[i]); }

  // Whether a node's value has no grid until a FakeQuant gives it one.
  [[nodiscard]] bool awaits_range(int index) const {
    return std::visit(
        [](const auto& op) {
          using Op = std::decay_t<decltype(op)>;
          return is_layer<Op> || std::is_same_v<Op, graph::Add> || std::is_same_v<Op, graph::GlobalAvgPool> ||
                 std::is_same_v<Op, graph::Relu> || std::is_same_v<Op, graph::Relu6>;
        },
        graph_.node(index).op);
  }

  void lower_node(int index) {
    const graph::Node& node = graph_.node(index);
    if (std::holds_alternative<graph::Input>(node.op)) {
      lower_input(index);
    } else if (std::holds_alternative<graph::FakeQuant>(node.op)) {
      lower_fake_quant(index);
    } else if (const auto* max_pool = std::get_if<graph::MaxPool>(&node.op)) {
      lower_pool<MaxPool2D>(index, max_pool->window);
    } else if (const auto* average_pool = std::get_if<graph::AvgPool>(&node.op)) {
      lower_pool<AveragePool2D>(index, average_pool->window);
    } else if (std::holds_alternative<graph::Flatten>(node.op)) {
      lower_flatten(index);
    } else if (std::holds_alternative<graph::Softmax>(node.op)) {
      const int from = input_value(index);
      emit(index, SoftmaxOp{}, {from}, {kSoftmaxScale, -128});
    } else if (!awaits_range(index)) {
      node_error(index, "has no place in a quantised network; take the graph's quantised form first");
    }
  }

  // One operator whose output is the node's value.
  void emit(int index, OperatorKind kind, std::vector<int> inputs, const Grid& grid) {
    const int output = add_int8(name_of(index), dims_of(graph_.node(index).shape), grid);
    result_.operators.push_back({std::move(kind), std::move(inputs), {output}});
    tensor_of_[static_cast<size_t>(index)] = output;
  }

  void lower_input(int index) {
    const std::vector<int> dims = dims_of(graph_.node(index).shape);
    const Grid grid{kInputScale, kInputZeroPoint};
    if (options_.ends == Ends::Int8) {
      input_ = add_int8("input", dims, grid);
      result_.inputs = {input_};
      return;
    }
    const int float_input = add_activation("input", dims, Type::Float32, {});
    input_ = add_int8("input_int8", dims, grid);
    result_.inputs = {float_input};
    result_.operators.push_back({Quantize{}, {float_input}, {input_}});
  }

  template <typename Pool>
  void lower_pool(int index, const graph::Window& window) {
    Pool pool;
    set_window(pool, window);
    pool.filter_height = window.kernel_height;
    pool.filter_width = window.kernel_width;
    const int from = input_value(index);
    emit(index, pool, {from}, grid_of(from));
  }

  static void set_window(WindowOp& op, const graph::Window& window) {
    op.stride_height = window.stride_height;
    op.stride_width = window.stride_width;
    op.padding = window.padding;
  }

  void lower_flatten(int index) {
    const int from = input_value(index);
    const std::vector<int> dims = dims_of(graph_.node(index).shape);
    if (tensor(from).dims == dims) {
      tensor_of_[static_cast<size_t>(index)] = from;
      return;
    }
    const int shape = add_constant(name_of(index) + "/shape", {dims.begin(), dims.end()});
    emit(index, Reshape{}, {from, shape}, grid_of(from));
  }

  // A FakeQuant gives the value before it its grid, so the operators before it are made here.
  void lower_fake_quant(int index) {
    const int before = graph_.node(index).inputs[0];
    const graph::Operator& op = graph_.node(before).op;
    if (std::holds_alternative<graph::Input>(op)) {
      check_input_range(index);
      tensor_of_[static_cast<size_t>(index)] = input_;
      return;
    }
    const bool relu = std::holds_alternative<graph::Relu>(op);
    const bool relu6 = std::holds_alternative<graph::Relu6>(op);
    if (!relu && !relu6) {
      if (!awaits_range(before)) node_error(index, "follows a node that keeps its input's range");
      lower_weighted(index, before, Activation::None);
      return;
    }
    const int source = graph_.node(before).inputs[0];
    const Activation activation = relu ? Activation::Relu : Activation::Relu6;
    if (tensor_of_[static_cast<size_t>(source)] >= 0) {
      lower_lone_relu(index, before, value(source));
    } else if (std::holds_alternative<graph::GlobalAvgPool>(graph_.node(source).op)) {
      // MEAN has no activation of its own: clamp on the grid that the mean was made for.
      lower_weighted(index, source, Activation::None);
      const int averaged = value(index);
      const OperatorKind clamp = relu ? OperatorKind{ReluOp{}} : OperatorKind{Relu6Op{}};
      emit(index, clamp, {averaged}, grid_of(averaged));
      tensor(value(index)).name = name_of(before);
    } else {
      lower_weighted(index, source, activation);
    }
  }

  void lower_lone_relu(int index, int relu, int from) {
    const Grid grid = output_grid(index, static_cast<double>(grid_of(from).scale) / kLargestGain);
    if (std::holds_alternative<graph::Relu>(graph_.node(relu).op)) {
      emit(index, ReluOp{}, {from}, grid);
    } else {
      // RELU6 clamps on its input's grid; the new range comes after.
      emit(index, Relu6Op{}, {from}, grid_of(from));
      const int clamped = value(index);
      tensor(clamped).name = name_of(relu);
      emit(index, Quantize{}, {clamped}, grid);
    }
  }

  void check_input_range(int index) const {
    if (parameters_ == nullptr) return;
    const auto range = parameters_->at(index, graph::Role::Range);
    if (range[0] != 0 || range[1] != 1)
      throw_usage("node {} (fake_quant) gives the input a range of [{}, {}]; it must be [0, 1]", index,
                  range[0], range[1]);
  }

  // The grid that a FakeQuant gives, with a step of at least `smallest`.
  [[nodiscard]] Grid output_grid(int fake_quant, double smallest) const {
    graph::QuantGrid grid = graph::quant_grid(-1, 1);
    if (parameters_ != nullptr) {
      const auto range = parameters_->at(fake_quant, graph::Role::Range);
      grid = graph::quant_grid(range[0], range[1]);
    }
    return {std::max({grid.scale, kSmallestScale, static_cast<float>(smallest)}), grid.zero_point};
  }

  // A layer, a sum or a mean, whose value the FakeQuant at `index` puts on a grid.
  void lower_weighted(int index, int source, Activation activation) {
    const graph::Node& node = graph_.node(source);
    const auto visitor = [&](const auto& op) {
      using Op = std::decay_t<decltype(op)>;
      if constexpr (std::is_same_v<Op, graph::Conv>) {
        Conv2D conv;
        set_window(conv, op.window);
        conv.activation = activation;
        const int channels = graph_.node(node.inputs[0]).shape.channels;
        lower_layer(index, source, conv, op,
                    {op.filters, op.window.kernel_height, op.window.kernel_width, channels}, 0);
      } else if constexpr (std::is_same_v<Op, graph::DepthwiseConv>) {
        DepthwiseConv2D conv;
        set_window(conv, op.window);
        conv.activation = activation;
        lower_layer(index, source, conv, op,
                    {1, op.window.kernel_height, op.window.kernel_width, node.shape.channels}, 3);
      } else if constexpr (std::is_same_v<Op, graph::Dense>) {
        lower_layer(index, source, FullyConnected{activation}, op,
                    {op.units, graph_.node(node.inputs[0]).shape.channels}, 0);
      } else if constexpr (std::is_same_v<Op, graph::Add>) {
        const int a = input_value(source, 0);
        const int b = input_value(source, 1);
        const float largest = std::max(grid_of(a).scale, grid_of(b).scale);
        emit(index, AddOp{activation}, {a, b},
             output_grid(index, static_cast<double>(largest) / kLargestGain));
      } else if constexpr (std::is_same_v<Op, graph::GlobalAvgPool>) {
        const int from = input_value(source);
        const int axes = add_constant(name_of(source) + "/axes", {1, 2});
        emit(index, Mean{}, {from, axes},
             output_grid(index, static_cast<double>(grid_of(from).scale) / kLargestGain));
      } else {
        node_error(index, "follows a node that keeps its input's range");
      }
    };
    std::visit(visitor, node.op);
    tensor(value(index)).name = name_of(source);
  }

  template <typename Kind, typename Layer>
  void lower_layer(int index, int source, const Kind& kind, const Layer& layer, std::vector<int> kernel_dims,
                   int axis) {
    if (layer.grid != graph::WeightGrid::Int8)
      node_error(source, "keeps its kernel in float; mark it for int8");
    if (layer.bias != graph::Bias::Present)
      node_error(source, "has no bias; the quantised form gives it one");
    const int from = input_value(source);
    const auto channels = static_cast<size_t>(kernel_dims[static_cast<size_t>(axis)]);
    QuantizedKernel kernel = parameters_ == nullptr
                                 ? placeholder(kernel_dims, channels)
                                 : quantize_kernel(source, channels, axis == 3, grid_of(from).scale);
    const Grid grid =
        output_grid(index, static_cast<double>(grid_of(from).scale) * kernel.largest_scale / kLargestGain);

    Quantization bias_quantization;
    for (const float scale : kernel.scales) bias_quantization.scales.push_back(scale * grid_of(from).scale);
    bias_quantization.zero_points.assign(channels, 0);
    const std::string name = name_of(source);
    const int weights = add_tensor({name + "/kernel",
                                    Type::Int8,
                                    std::move(kernel_dims),
                                    {std::move(kernel.scales), std::vector<int64_t>(channels, 0), axis},
                                    std::move(kernel.weights)});
    const int bias = add_tensor({name + "/bias",
                                 Type::Int32,
                                 {static_cast<int>(channels)},
                                 std::move(bias_quantization),
                                 std::move(kernel.bias)});
    emit(index, kind, {from, weights, bias}, grid);
  }

  static QuantizedKernel placeholder(const std::vector<int>& dims, size_t channels) {
    size_t count = 1;
    for (const int size : dims) count *= static_cast<size_t>(size);
    return {std::vector<float>(channels, kInputScale), std::vector<uint8_t>(count),
            std::vector<uint8_t>(channels * sizeof(int32_t)), static_cast<double>(kInputScale)};
  }

  // Channel c owns weights c, c + channels, … of a depthwise kernel, and a contiguous run of any other.
  [[nodiscard]] QuantizedKernel quantize_kernel(int source, size_t channels, bool channels_last,
                                                float input_scale) const {
    const auto weights = parameters_->at(source, graph::Role::Kernel);
    const auto bias = parameters_->at(source, graph::Role::Bias);
    const size_t per_channel = weights.size() / channels;
    const size_t step = channels_last ? channels : 1;
    QuantizedKernel kernel;
    kernel.weights.resize(weights.size());
    std::vector<int32_t> quantized_bias(channels);
    for (size_t c = 0; c < channels; ++c) {
      const size_t first = channels_last ? c : c * per_channel;
      float maximum = 0;
      for (size_t i = 0; i < per_channel; ++i) {
        const float weight = weights[first + i * step];
        if (!std::isfinite(weight)) diverged(source, "weight");
        maximum = std::max(maximum, std::abs(weight));
      }
      if (!std::isfinite(bias[c])) diverged(source, "bias");
      const float scale = kernel_scale(maximum, bias[c], input_scale);
      kernel.scales.push_back(scale);
      kernel.largest_scale = std::max(kernel.largest_scale, static_cast<double>(scale));
      for (size_t i = 0; i < per_channel; ++i) {
        const float q =
            std::clamp(std::nearbyint(weights[first + i * step] / scale), -kWeightLimit, kWeightLimit);
        kernel.weights[first + i * step] = static_cast<uint8_t>(static_cast<int8_t>(q));
      }
      const double step_size = static_cast<double>(input_scale) * static_cast<double>(scale);
      quantized_bias[c] = static_cast<int32_t>(
          std::clamp(std::nearbyint(static_cast<double>(bias[c]) / step_size), -kLargestBias, kLargestBias));
    }
    kernel.bias.resize(channels * sizeof(int32_t));
    std::memcpy(kernel.bias.data(), quantized_bias.data(), kernel.bias.size());
    return kernel;
  }

  // weight_scale, widened where the bias would not fit 32 bits on the grid of tiny weights. A channel without
  // weights has no grid of its own: it takes one that is fine enough for its bias.
  [[nodiscard]] static float kernel_scale(float maximum, float bias, float input_scale) {
    const double magnitude = std::abs(static_cast<double>(bias)) / static_cast<double>(input_scale);
    double scale = static_cast<double>(graph::weight_scale(maximum));
    if (maximum == 0) scale = magnitude / kDeadChannelBiasSteps;
    return static_cast<float>(std::max({scale, magnitude / kLargestBias, kSmallestKernelScale}));
  }

  const graph::Graph& graph_;
  const graph::Parameters* parameters_;
  const LowerOptions& options_;
  std::vector<bool> used_;
  std::vector<int> tensor_of_;  // of each node, its int8 tensor once it has one
  int input_ = -1;
  QuantGraph result_;
};

}  // namespace

QuantGraph lower(const graph::Graph& graph, const graph::Parameters& parameters,
                 const LowerOptions& options) {
  return Lowering(graph, &parameters, options).run();
}

QuantGraph lower_structure(const graph::Graph& graph, const LowerOptions& options) {
  return Lowering(graph::quantized_form(graph), nullptr, options).run();
}

}  // namespace retort::int8
