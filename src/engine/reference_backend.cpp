#include "engine/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/backend.h"
#include "engine/reference_layers.h"
#include "graph/quantized_form.h"

namespace retort::engine {
namespace {

using graph::Parameters;
using graph::Role;
using reference::Moments;
using reference::Sink;
using reference::Sliding;
using reference::Values;
using reference::View;

enum class Mode { Training, Inference };

class ReferenceNetwork final : public Network {
 public:
  ReferenceNetwork(const graph::Graph& graph, const CompileOptions& options)
      : graph_(graph),
        options_(options),
        parameters_(graph),
        gradients_(parameters_.values().size()),
        nodes_(static_cast<size_t>(graph.size())) {
    check_graph(graph, options);
    optimizer_.first = Parameters(graph);
    if (options.optimizer.kind == OptimizerKind::Adam) optimizer_.second = Parameters(graph);
  }

  [[nodiscard]] const graph::Graph& graph() const override { return graph_; }

  void set_parameters(const Parameters& parameters) override {
    check_layout(parameters_, parameters, "parameters");
    parameters_ = parameters;
    apply_masks();
  }
  [[nodiscard]] Parameters parameters() const override { return parameters_; }

  void set_masks(const Parameters& masks) override {
    check_layout(parameters_, masks, "masks");
    masks_ = masks;
    apply_masks();
  }
  [[nodiscard]] Parameters masks() const override { return masks_; }

  void set_optimizer_state(const OptimizerState& state) override {
    check_layout(optimizer_.first, state.first, "optimiser's moments");
    check_layout(optimizer_.second, state.second, "optimiser's second moments");
    optimizer_ = state;
  }
  [[nodiscard]] OptimizerState optimizer_state() const override { return optimizer_; }

  StepResult compute_gradients(const Batch& batch, const Objective& objective, Rng& rng) override;

  [[nodiscard]] Parameters gradients() const override {
    Parameters result(graph_);
    std::transform(gradients_.begin(), gradients_.end(), result.values().begin(),
                   [](double value) { return static_cast<float>(value); });
    return result;
  }

  bool apply_gradients(float learning_rate) override;
  int first_output_not_finite(const Batch& batch, const Objective& objective, Rng rng) override;

  void predict(std::span<const uint8_t> images, std::span<float> logits) override;

  [[nodiscard]] int64_t memory_bytes() const override {
    size_t bytes = parameters_.values().size_bytes() + masks_.values().size_bytes() +
                   optimizer_.first.values().size_bytes() + optimizer_.second.values().size_bytes() +
                   gradients_.size() * sizeof(double);
    for (const NodeState& node : nodes_)
      bytes += (node.values.size() + node.gradient.size() + node.kernel.size() + node.kept.size() +
                node.moments.mean.size() + node.moments.variance.size()) *
                   sizeof(double) +
               node.winners.size() * sizeof(size_t);
    return static_cast<int64_t>(bytes);
  }

  [[nodiscard]] std::vector<std::string> describe_plan() const override {
    std::vector<std::string> lines;
    for (int i = 1; i <= graph_.logits(); ++i)
      lines.push_back(fmt::format("{} {}: plain loops", i, graph::operator_name(graph_.node(i).op)));
    return lines;
  }

 private:
  // What a node keeps between forward and backward.
  struct NodeState {
    Values values;
    Values gradient;
    Values kernel;                // as used: rounded for WeightGrid::Int8
    Values kept;                  // Dropout's and FakeQuant's factor for each value's gradient
    std::vector<size_t> winners;  // MaxPool
    Moments moments;              // BatchNorm
  };

  NodeState& state(int node) { return nodes_[static_cast<size_t>(node)]; }
  NodeState& input(int node, size_t which = 0) { return state(graph_.node(node).inputs[which]); }
  Values parameter(int node, Role role) const {
    const auto values = parameters_.at(node, role);
    return {values.begin(), values.end()};
  }
  Sink gradient_of(int node, Role role) {
    for (const graph::ParameterSpec& spec : parameters_.specs())
      if (spec.node == node && spec.role == role) return Sink(gradients_).subspan(spec.offset, spec.size);
    return {};
  }
  [[nodiscard]] Sliding sliding(int node, const graph::Window& window) const {
    return {window, graph_.node(graph_.node(node).inputs[0]).shape, graph_.node(node).shape, count_};
  }
  static graph::Window whole(const graph::Shape& shape) {
    return {shape.height, shape.width, 1, 1, graph::Padding::Valid};
  }
  static constexpr graph::Window point{1, 1, 1, 1, graph::Padding::Valid};

  void forward(std::span<const uint8_t> images, size_t count, Mode mode, Rng* rng);
  void apply_masks();

  void use_kernel(int node, graph::WeightGrid grid, reference::ChannelAxis axis) {
    Values& kernel = state(node).kernel;
    kernel = parameter(node, Role::Kernel);
    if (grid == graph::WeightGrid::Int8)
      reference::round_kernel(axis, static_cast<size_t>(graph_.node(node).shape.channels), kernel);
  }
  void add_bias(int node, graph::Bias bias) {
    if (bias == graph::Bias::Present)
      reference::bias_forward(parameter(node, Role::Bias), state(node).values);
  }

  // Each reads its inputs' values and writes the node's.
  void forward(const graph::Input&, int) {}
  void forward(const graph::Conv& op, int node) {
    use_kernel(node, op.grid, reference::ChannelAxis::First);
    reference::conv_forward(sliding(node, op.window), input(node).values, state(node).kernel,
                            state(node).values);
    add_bias(node, op.bias);
  }
  void forward(const graph::DepthwiseConv& op, int node) {
    use_kernel(node, op.grid, reference::ChannelAxis::Last);
    reference::depthwise_forward(sliding(node, op.window), input(node).values, state(node).kernel,
                                 state(node).values);
    add_bias(node, op.bias);
  }
  void forward(const graph::Dense& op, int node) {
    use_kernel(node, op.grid, reference::ChannelAxis::First);
    reference::conv_forward(sliding(node, point), input(node).values, state(node).kernel, state(node).values);
    add_bias(node, op.bias);
  }
  void forward(const graph::BatchNorm& op, int node);
  void forward(const graph::Relu&, int node) {
    transform(node, [](double x) { return std::max(x, 0.0); });
  }
  void forward(const graph::Relu6&, int node) {
    transform(node, [](double x) { return std::clamp(x, 0.0, 6.0); });
  }
  void forward(const graph::MaxPool& op, int node) {
    reference::max_pool_forward(sliding(node, op.window), input(node).values, state(node).values,
                                state(node).winners);
  }
  void forward(const graph::AvgPool& op, int node) {
    reference::average_pool_forward(sliding(node, op.window), input(node).values, state(node).values);
  }
  void forward(const graph::GlobalAvgPool&, int node) {
    const Sliding all = sliding(node, whole(graph_.node(graph_.node(node).inputs[0]).shape));
    reference::average_pool_forward(all, input(node).values, state(node).values);
  }
  void forward(const graph::Add&, int node) {
    const Values& left = input(node, 0).values;
    const Values& right = input(node, 1).values;
    std::transform(left.begin(), left.end(), right.begin(), state(node).values.begin(), std::plus<>());
  }
  void forward(const graph::Flatten&, int node) { state(node).values = input(node).values; }
  void forward(const graph::Dropout& op, int node);
  void forward(const graph::Softmax&, int node) {
    reference::softmax_forward(static_cast<size_t>(graph_.node(node).shape.channels), input(node).values,
                               state(node).values);
  }
  void forward(const graph::FakeQuant& op, int node);

  // Each reads the node's gradient and adds to its inputs' and its parameters'.
  void backward(const graph::Input&, int) {}
  void backward(const graph::Conv& op, int node) {
    reference::conv_backward(sliding(node, op.window), input(node).values, state(node).kernel,
                             state(node).gradient, input(node).gradient, gradient_of(node, Role::Kernel));
    if (op.bias == graph::Bias::Present)
      reference::bias_backward(state(node).gradient, gradient_of(node, Role::Bias));
  }
  void backward(const graph::DepthwiseConv& op, int node) {
    reference::depthwise_backward(sliding(node, op.window), input(node).values, state(node).kernel,
                                  state(node).gradient, input(node).gradient,
                                  gradient_of(node, Role::Kernel));
    if (op.bias == graph::Bias::Present)
      reference::bias_backward(state(node).gradient, gradient_of(node, Role::Bias));
  }
  void backward(const graph::Dense& op, int node) {
    reference::conv_backward(sliding(node, point), input(node).values, state(node).kernel,
                             state(node).gradient, input(node).gradient, gradient_of(node, Role::Kernel));
    if (op.bias == graph::Bias::Present)
      reference::bias_backward(state(node).gradient, gradient_of(node, Role::Bias));
  }
  void backward(const graph::BatchNorm& op, int node) {
    reference::normalize_backward(state(node).moments, op.epsilon, parameter(node, Role::Gamma),
                                  input(node).values, state(node).gradient, input(node).gradient,
                                  gradient_of(node, Role::Gamma), gradient_of(node, Role::Beta));
  }
  void backward(const graph::Relu&, int node) {
    pass_gradient(node, [&](size_t i) { return input(node).values[i] > 0 ? 1.0 : 0.0; });
  }
  void backward(const graph::Relu6&, int node) {
    pass_gradient(node, [&](size_t i) {
      const double x = input(node).values[i];
      return x > 0 && x < 6 ? 1.0 : 0.0;
    });
  }
  void backward(const graph::MaxPool&, int node) {
    const NodeState& self = state(node);
    for (size_t i = 0; i < self.gradient.size(); ++i)
      input(node).gradient[self.winners[i]] += self.gradient[i];
  }
  void backward(const graph::AvgPool& op, int node) {
    reference::average_pool_backward(sliding(node, op.window), state(node).gradient, input(node).gradient);
  }
  void backward(const graph::GlobalAvgPool&, int node) {
    const Sliding all = sliding(node, whole(graph_.node(graph_.node(node).inputs[0]).shape));
    reference::average_pool_backward(all, state(node).gradient, input(node).gradient);
  }
  void backward(const graph::Add&, int node) {
    for (size_t which = 0; which < 2; ++which)
      for (size_t i = 0; i < state(node).gradient.size(); ++i)
        input(node, which).gradient[i] += state(node).gradient[i];
  }
  void backward(const graph::Flatten&, int node) {
    pass_gradient(node, [](size_t) { return 1.0; });
  }
  void backward(const graph::Dropout&, int node) {
    pass_gradient(node, [&](size_t i) { return state(node).kept[i]; });
  }
  void backward(const graph::Softmax&, int node) {
    reference::softmax_backward(static_cast<size_t>(graph_.node(node).shape.channels), state(node).values,
                                state(node).gradient, input(node).gradient);
  }
  void backward(const graph::FakeQuant&, int node) {
    pass_gradient(node, [&](size_t i) { return state(node).kept[i]; });
  }

  template <typename Function>
  void transform(int node, const Function& function) {
    const Values& x = input(node).values;
    std::transform(x.begin(), x.end(), state(node).values.begin(), function);
  }
  template <typename Factor>
  void pass_gradient(int node, const Factor& factor) {
    const NodeState& self = state(node);
    for (size_t i = 0; i < self.gradient.size(); ++i) input(node).gradient[i] += factor(i) * self.gradient[i];
  }

  graph::Graph graph_;
  CompileOptions options_;
  Parameters parameters_;
  Parameters masks_;  // empty until set
  OptimizerState optimizer_;
  Values gradients_;
  std::vector<NodeState> nodes_;

  // Of the pass that is under way.
  size_t count_ = 0;
  Mode mode_ = Mode::Inference;
  Rng* rng_ = nullptr;
};

void ReferenceNetwork::forward(std::span<const uint8_t> images, size_t count, Mode mode, Rng* rng) {
  count_ = count;
  mode_ = mode;
  rng_ = rng;
  for (int i = 0; i <= graph_.logits(); ++i)
    state(i).values.assign(count * static_cast<size_t>(graph_.node(i).shape.size()), 0);
  std::transform(images.begin(), images.end(), state(0).values.begin(),
                 [](uint8_t byte) { return byte / 255.0; });
  for (int i = 1; i <= graph_.logits(); ++i)
    std::visit([&](const auto& op) { forward(op, i); }, graph_.node(i).op);
}

StepResult ReferenceNetwork::compute_gradients(const Batch& batch, const Objective& objective, Rng& rng) {
  check_batch(graph_, options_.batch_size, batch, objective);
  forward(batch.images, batch.labels.size(), Mode::Training, &rng);
  for (int i = 0; i <= graph_.logits(); ++i) state(i).gradient.assign(state(i).values.size(), 0);
  std::fill(gradients_.begin(), gradients_.end(), 0.0);
  NodeState& logits = state(graph_.logits());
  const StepResult result = reference::loss(objective, static_cast<size_t>(graph_.classes()), logits.values,
                                            batch, logits.gradient);
  for (int i = graph_.logits(); i > 0; --i)
    std::visit([&](const auto& op) { backward(op, i); }, graph_.node(i).op);
  return result;
}

int ReferenceNetwork::first_output_not_finite(const Batch& batch, const Objective& objective, Rng rng) {
  check_batch(graph_, options_.batch_size, batch, objective);
  forward(batch.images, batch.labels.size(), Mode::Training, &rng);
  for (int i = 0; i <= graph_.logits(); ++i)
    if (!std::ranges::all_of(state(i).values, [](double value) { return std::isfinite(value); })) return i;
  return -1;
}

bool ReferenceNetwork::apply_gradients(float learning_rate) {
  const OptimizerOptions& options = options_.optimizer;
  const double rate = learning_rate;
  const double steps = static_cast<double>(++optimizer_.steps);
  const double correction1 = 1 - std::pow(static_cast<double>(options.beta1), steps);
  const double correction2 = std::sqrt(1 - std::pow(static_cast<double>(options.beta2), steps));
  const auto first = optimizer_.first.values();
  const auto second = optimizer_.second.values();
  for (const graph::ParameterSpec& spec : parameters_.specs()) {
    if (!graph::is_trainable(spec.role)) continue;
    const double decay = spec.role == Role::Kernel ? 1 - rate * static_cast<double>(options.weight_decay) : 1;
    for (size_t i = spec.offset; i < spec.offset + spec.size; ++i) {
      const double g = gradients_[i];
      double weight = parameters_.values()[i] * decay;
      if (options.kind == OptimizerKind::Adam) {
        const double beta1 = options.beta1;
        const double beta2 = options.beta2;
        const double m = beta1 * first[i] + (1 - beta1) * g;
        const double v = beta2 * second[i] + (1 - beta2) * g * g;
        const double root = options.epsilon_form == EpsilonForm::Keras
                                ? (std::sqrt(v) + options.epsilon) / correction2
                                : std::sqrt(v) / correction2 + options.epsilon;
        weight -= rate * m / correction1 / root;
        first[i] = static_cast<float>(m);
        second[i] = static_cast<float>(v);
      } else {
        const double velocity = options.momentum * first[i] - rate * g;
        weight += options.momentum * velocity - rate * g;
        first[i] = static_cast<float>(velocity);
      }
      parameters_.values()[i] = static_cast<float>(weight);
    }
  }
  const auto finite = [](std::span<const float> values) {
    return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
  };
  const bool all = finite(parameters_.values()) && finite(second);
  apply_masks();
  return all;
}

void ReferenceNetwork::apply_masks() {
  if (masks_.specs().empty()) return;
  for (const graph::ParameterSpec& spec : parameters_.specs()) {
    if (spec.role != Role::Kernel) continue;
    for (size_t i = spec.offset; i < spec.offset + spec.size; ++i)
      if (masks_.values()[i] == 0) parameters_.values()[i] = 0;
  }
}

void ReferenceNetwork::predict(std::span<const uint8_t> images, std::span<float> logits) {
  const auto image_bytes = static_cast<size_t>(graph_.input_shape().size());
  const auto classes = static_cast<size_t>(graph_.classes());
  const size_t count = images.size() / image_bytes;
  if (images.size() % image_bytes != 0 || logits.size() != count * classes)
    throw_usage("{} bytes of images and {} logits: {} and {} an image are needed", images.size(),
                logits.size(), image_bytes, classes);
  const auto chunk = static_cast<size_t>(options_.batch_size);
  for (size_t begin = 0; begin < count; begin += chunk) {
    const size_t size = std::min(chunk, count - begin);
    forward(images.subspan(begin * image_bytes, size * image_bytes), size, Mode::Inference, nullptr);
    const Values& z = state(graph_.logits()).values;
    std::transform(z.begin(), z.end(), logits.begin() + static_cast<std::ptrdiff_t>(begin * classes),
                   [](double value) { return static_cast<float>(value); });
  }
}

void ReferenceNetwork::forward(const graph::BatchNorm& op, int node) {
  const Values& x = input(node).values;
  Moments& moments = state(node).moments;
  if (mode_ == Mode::Training) {
    moments = reference::channel_moments(x, static_cast<size_t>(graph_.node(node).shape.channels));
    const double momentum = op.momentum;
    const auto mean = parameters_.at(node, Role::Mean);
    const auto variance = parameters_.at(node, Role::Variance);
    for (size_t c = 0; c < mean.size(); ++c) {
      mean[c] = static_cast<float>(momentum * mean[c] + (1 - momentum) * moments.mean[c]);
      variance[c] = static_cast<float>(momentum * variance[c] + (1 - momentum) * moments.variance[c]);
    }
  } else {
    moments = {parameter(node, Role::Mean), parameter(node, Role::Variance)};
  }
  reference::normalize_forward(moments, op.epsilon, parameter(node, Role::Gamma), parameter(node, Role::Beta),
                               x, state(node).values);
}

void ReferenceNetwork::forward(const graph::Dropout& op, int node) {
  NodeState& self = state(node);
  self.kept.assign(self.values.size(), 1);
  if (mode_ == Mode::Training && op.rate > 0)
    for (double& factor : self.kept)
      factor = rng_->uniform() < op.rate ? 0 : 1 / (1 - static_cast<double>(op.rate));
  const Values& x = input(node).values;
  std::transform(x.begin(), x.end(), self.kept.begin(), self.values.begin(), std::multiplies<>());
}

void ReferenceNetwork::forward(const graph::FakeQuant& op, int node) {
  NodeState& self = state(node);
  const Values& x = input(node).values;
  const auto range = parameters_.at(node, Role::Range);
  const bool unset = range[0] == 0 && range[1] == 0;
  const bool reads_input = graph_.node(node).inputs[0] == 0;
  if (mode_ == Mode::Training && (unset || !reads_input)) {
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    const std::array<double, 2> batch{std::min(*low, 0.0), std::max(*high, 0.0)};
    const double momentum = unset ? 0 : op.momentum;
    for (size_t i = 0; i < 2; ++i)
      range[i] = static_cast<float>(momentum * range[i] + (1 - momentum) * batch[i]);
  }
  const graph::QuantGrid grid = graph::quant_grid(range[0], range[1]);
  const double scale = grid.scale;
  self.kept.resize(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double code = std::nearbyint(x[i] / scale) + grid.zero_point;
    const double clamped = std::clamp(code, -128.0, 127.0);
    self.values[i] = scale * (clamped - grid.zero_point);
    self.kept[i] = code == clamped ? 1 : 0;
  }
}

class ReferenceBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] std::unique_ptr<Network> compile(const graph::Graph& graph,
                                                 const CompileOptions& options) const override {
    return std::make_unique<ReferenceNetwork>(graph, options);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace retort::engine
