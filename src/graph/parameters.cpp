#include "graph/parameters.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace retort::graph {

namespace {

struct SpecRule {
  int node;
  const Shape& in;
  const Shape& out;
  std::vector<ParameterSpec>& specs;

  void push(Role role, std::vector<int> dims) const {
    size_t size = 1;
    for (const int dim : dims) size *= static_cast<size_t>(dim);
    const size_t offset = specs.empty() ? 0 : specs.back().offset + specs.back().size;
    specs.push_back({node, role, std::move(dims), offset, size});
  }
  void push_bias(Bias bias) const {
    if (bias == Bias::Present) push(Role::Bias, {out.channels});
  }

  void operator()(const Conv& op) const {
    push(Role::Kernel, {op.filters, op.window.kernel_height, op.window.kernel_width, in.channels});
    push_bias(op.bias);
  }
  void operator()(const DepthwiseConv& op) const {
    push(Role::Kernel, {1, op.window.kernel_height, op.window.kernel_width, in.channels});
    push_bias(op.bias);
  }
  void operator()(const Dense& op) const {
    push(Role::Kernel, {op.units, in.channels});
    push_bias(op.bias);
  }
  void operator()(const BatchNorm& /*op*/) const {
    for (const Role role : {Role::Gamma, Role::Beta, Role::Mean, Role::Variance}) push(role, {out.channels});
  }
  void operator()(const FakeQuant& /*op*/) const { push(Role::Range, {2}); }
  template <typename Plain>
  void operator()(const Plain& /*op*/) const {}
};

struct Fans {
  double in = 0;
  double out = 0;
};

// As Keras counts them: a kernel's cells times its channels; a depthwise kernel is (height, width, channels,
// 1).
Fans fans(const ParameterSpec& spec, const Node& node) {
  const auto dim = [&](size_t i) { return static_cast<double>(spec.dims[i]); };
  if (std::holds_alternative<Dense>(node.op)) return {dim(1), dim(0)};
  const double cells = dim(1) * dim(2);
  if (std::holds_alternative<DepthwiseConv>(node.op)) return {cells * dim(3), cells};
  return {cells * dim(3), cells * dim(0)};
}

Initializer initializer_of(const Node& node) {
  if (const auto* conv = std::get_if<Conv>(&node.op)) return conv->initializer;
  if (const auto* depthwise = std::get_if<DepthwiseConv>(&node.op)) return depthwise->initializer;
  return std::get<Dense>(node.op).initializer;
}

float uniform_limit(Initializer initializer, const Fans& fans) {
  if (initializer == Initializer::HeUniform) return static_cast<float>(std::sqrt(6.0 / fans.in));
  return static_cast<float>(std::sqrt(6.0 / (fans.in + fans.out)));
}

}  // namespace

bool is_trainable(Role role) {
  return role == Role::Kernel || role == Role::Bias || role == Role::Gamma || role == Role::Beta;
}

std::vector<ParameterSpec> parameter_specs(const Graph& graph) {
  std::vector<ParameterSpec> specs;
  for (int i = 1; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    std::visit(SpecRule{i, graph.node(node.inputs.front()).shape, node.shape, specs}, node.op);
  }
  return specs;
}

int64_t parameter_count(const Graph& graph) {
  int64_t count = 0;
  for (const ParameterSpec& spec : parameter_specs(graph))
    if (spec.role != Role::Range) count += static_cast<int64_t>(spec.size);
  return count;
}

Parameters::Parameters(const Graph& graph)
    : specs_(parameter_specs(graph)),
      values_(specs_.empty() ? 0 : specs_.back().offset + specs_.back().size) {}

const ParameterSpec* Parameters::find(int node, Role role) const {
  // Specs are in node order, and a node has at most four.
  auto spec =
      std::lower_bound(specs_.begin(), specs_.end(), node,
                       [](const ParameterSpec& candidate, int wanted) { return candidate.node < wanted; });
  for (; spec != specs_.end() && spec->node == node; ++spec)
    if (spec->role == role) return &*spec;
  return nullptr;
}

bool Parameters::has(int node, Role role) const {
  return find(node, role) != nullptr;
}

std::span<float> Parameters::at(int node, Role role) {
  const ParameterSpec* spec = find(node, role);
  if (spec == nullptr) throw std::out_of_range("node " + std::to_string(node) + " has no such parameter");
  return std::span(values_).subspan(spec->offset, spec->size);
}

std::span<const float> Parameters::at(int node, Role role) const {
  const ParameterSpec* spec = find(node, role);
  if (spec == nullptr) throw std::out_of_range("node " + std::to_string(node) + " has no such parameter");
  return std::span(values_).subspan(spec->offset, spec->size);
}

Parameters initialize(const Graph& graph, const Rng& rng) {
  Parameters parameters(graph);
  for (const ParameterSpec& spec : parameters.specs()) {
    const std::span<float> values = parameters.values().subspan(spec.offset, spec.size);
    if (spec.role == Role::Gamma || spec.role == Role::Variance)
      std::fill(values.begin(), values.end(), 1.0F);
    if (spec.role != Role::Kernel) continue;
    const Node& node = graph.node(spec.node);
    const float limit = uniform_limit(initializer_of(node), fans(spec, node));
    Rng stream = rng.fork("initialise", static_cast<uint64_t>(spec.node));
    for (float& value : values) value = stream.uniform(-limit, limit);
  }
  return parameters;
}

double kernel_sparsity(const Parameters& parameters) {
  size_t weights = 0;
  size_t zeros = 0;
  for (const ParameterSpec& spec : parameters.specs()) {
    if (spec.role != Role::Kernel) continue;
    const auto values = parameters.values().subspan(spec.offset, spec.size);
    weights += values.size();
    zeros += static_cast<size_t>(std::count(values.begin(), values.end(), 0.0F));
  }
  return weights == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(weights);
}

}  // namespace retort::graph
