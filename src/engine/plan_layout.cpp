#include "engine/plan_layout.h"

#include <algorithm>

#include "engine/plan_memory.h"

namespace retort::engine {
namespace {

// A tensor's size inside and the place of each of its canonical values, in order.
struct Arrangement {
  size_t size = 0;
  std::vector<size_t> places;
};

class Arranger {
 public:
  Arranger(const graph::Graph& graph, const LoweredGraph& lowered) : graph_(graph), lowered_(lowered) {}

  [[nodiscard]] Arrangement arrange(const graph::ParameterSpec& spec) const {
    if (spec.role == graph::Role::Range) return {spec.size, {0, 1}};
    if (spec.role != graph::Role::Kernel) return per_channel(spec.node);
    const graph::Operator& op = graph_.node(spec.node).op;
    if (std::holds_alternative<graph::DepthwiseConv>(op)) return depthwise(spec);
    if (std::holds_alternative<graph::Dense>(op)) return dense(spec);
    const bool first = std::any_of(
        lowered_.operations.begin(), lowered_.operations.end(), [&](const LoweredOperation& operation) {
          return operation.node == spec.node && (operation.kind == OperationKind::FirstConv ||
                                                 operation.kind == OperationKind::FirstConvPool);
        });
    return first ? first_convolution(spec) : convolution(spec);
  }

 private:
  [[nodiscard]] size_t padded_channels(int node) const {
    return memory_shape(graph_, lowered_, node, 1).channels();
  }
  [[nodiscard]] size_t block() const { return static_cast<size_t>(lowered_.block); }

  [[nodiscard]] Arrangement per_channel(int node) const {
    const std::vector<uint32_t> places = channel_places(graph_, lowered_, node);
    return {padded_channels(node), {places.begin(), places.end()}};
  }

  // [channel block][kernel row][kernel column][B]
  [[nodiscard]] Arrangement depthwise(const graph::ParameterSpec& spec) const {
    const auto cells = static_cast<size_t>(spec.dims[1] * spec.dims[2]);
    const auto channels = static_cast<size_t>(spec.dims[3]);
    Arrangement result{padded_channels(spec.node) * cells, {}};
    for (size_t cell = 0; cell < cells; ++cell)
      for (size_t c = 0; c < channels; ++c)
        result.places.push_back((c / block() * cells + cell) * block() + c % block());
    return result;
  }

  // Rows of outputs; columns as the input lies in memory.
  [[nodiscard]] Arrangement dense(const graph::ParameterSpec& spec) const {
    const int input = graph_.node(spec.node).inputs[0];
    const std::vector<uint32_t> columns = channel_places(graph_, lowered_, input);
    const size_t width = padded_channels(input);
    Arrangement result{padded_channels(spec.node) * width, {}};
    for (size_t row = 0; row < static_cast<size_t>(spec.dims[0]); ++row)
      for (const uint32_t column : columns) result.places.push_back(row * width + column);
    return result;
  }

  // [out block][kernel row][kernel column][in][B out]
  [[nodiscard]] Arrangement first_convolution(const graph::ParameterSpec& spec) const {
    const auto inner = static_cast<size_t>(spec.dims[1]) * static_cast<size_t>(spec.dims[2]) *
                       static_cast<size_t>(spec.dims[3]);
    Arrangement result{padded_channels(spec.node) * inner, {}};
    for (size_t out = 0; out < static_cast<size_t>(spec.dims[0]); ++out)
      for (size_t i = 0; i < inner; ++i)
        result.places.push_back((out / block() * inner + i) * block() + out % block());
    return result;
  }

  // oneDNN's OIhw{B}i{B}o: [out block][in block][kernel row][kernel column][B in][B out]
  [[nodiscard]] Arrangement convolution(const graph::ParameterSpec& spec) const {
    const auto cells = static_cast<size_t>(spec.dims[1] * spec.dims[2]);
    const size_t in_blocks = padded_channels(graph_.node(spec.node).inputs[0]) / block();
    Arrangement result{padded_channels(spec.node) * in_blocks * block() * cells, {}};
    for (size_t out = 0; out < static_cast<size_t>(spec.dims[0]); ++out)
      for (size_t cell = 0; cell < cells; ++cell)
        for (size_t in = 0; in < static_cast<size_t>(spec.dims[3]); ++in) {
          const size_t tile = (out / block() * in_blocks + in / block()) * cells + cell;
          result.places.push_back((tile * block() + in % block()) * block() + out % block());
        }
    return result;
  }

  const graph::Graph& graph_;
  const LoweredGraph& lowered_;
};

}  // namespace

ParameterLayout::ParameterLayout(const graph::Graph& graph, const LoweredGraph& lowered) {
  const std::vector<graph::ParameterSpec> specs = graph::parameter_specs(graph);
  const Arranger arranger(graph, lowered);
  places_.resize(specs.empty() ? 0 : specs.back().offset + specs.back().size);
  const auto add = [&](const graph::ParameterSpec& spec) {
    const Arrangement arrangement = arranger.arrange(spec);
    for (size_t i = 0; i < spec.size; ++i)
      places_[spec.offset + i] = static_cast<uint32_t>(count_ + arrangement.places[i]);
    tensors_.push_back({spec.node, spec.role, {count_, arrangement.size}});
    count_ += round_up(arrangement.size, kLineFloats);
  };
  for (const graph::ParameterSpec& spec : specs)
    if (spec.role == graph::Role::Kernel) add(spec);
  kernel_count_ = count_;
  for (const graph::ParameterSpec& spec : specs)
    if (spec.role != graph::Role::Kernel && graph::is_trainable(spec.role)) add(spec);
  trainable_count_ = count_;
  for (const graph::ParameterSpec& spec : specs)
    if (!graph::is_trainable(spec.role)) add(spec);
}

ParameterLayout::Place ParameterLayout::place(int node, graph::Role role) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
    return tensor.node == node && tensor.role == role;
  });
  return found == tensors_.end() ? Place{} : found->place;
}

void ParameterLayout::to_internal(std::span<const float> canonical, std::span<float> internal) const {
  for (size_t i = 0; i < places_.size(); ++i)
    if (places_[i] < internal.size()) internal[places_[i]] = canonical[i];
}

void ParameterLayout::to_canonical(std::span<const float> internal, std::span<float> canonical) const {
  for (size_t i = 0; i < places_.size(); ++i)
    canonical[i] = places_[i] < internal.size() ? internal[places_[i]] : 0.0F;
}

}  // namespace retort::engine
