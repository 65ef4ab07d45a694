#include "compress/inheritance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace retort::compress {

namespace {

using graph::Graph;
using graph::Node;
using graph::Parameters;
using graph::Role;

template <typename Op>
bool is(const Node& node) {
  return std::holds_alternative<Op>(node.op);
}

bool makes_channels(const Node& node) {
  return is<graph::Input>(node) || is<graph::Conv>(node) || is<graph::Dense>(node);
}

// Channels of a group: those of the node that makes them, since Flatten multiplies them by its positions.
int channels_of(const Graph& graph, const std::vector<int>& groups, int group) {
  for (int i = 0; i < graph.size(); ++i)
    if (groups[static_cast<size_t>(i)] == group && makes_channels(graph.node(i)))
      return graph.node(i).shape.channels;
  return 0;
}

// Where a child's channels come from.
struct Origin {
  int channel = -1;  // of the parent's group; −1: from nowhere
  float share = 1;   // of the original's weight in what reads it
};

// A kernel as out × height × width × in, whatever its operator; a depthwise one has one `out`.
struct Kernel {
  size_t out = 1;
  size_t height = 1;
  size_t width = 1;
  size_t in = 1;
  [[nodiscard]] size_t at(size_t o, size_t y, size_t x, size_t i) const {
    return ((o * height + y) * width + x) * in + i;
  }
};

Kernel kernel_of(const Graph& graph, int index) {
  const Node& node = graph.node(index);
  const auto in = static_cast<size_t>(graph.node(node.inputs.front()).shape.channels);
  const auto out = static_cast<size_t>(node.shape.channels);
  if (is<graph::Dense>(node)) return {.out = out, .in = in};
  const bool depthwise = is<graph::DepthwiseConv>(node);
  const graph::Window& window =
      depthwise ? std::get<graph::DepthwiseConv>(node.op).window : std::get<graph::Conv>(node.op).window;
  return {.out = depthwise ? 1 : out,
          .height = static_cast<size_t>(window.kernel_height),
          .width = static_cast<size_t>(window.kernel_width),
          .in = in};
}

bool has_stride(const Node& node) {
  const auto strided = [](const graph::Window& window) {
    return window.stride_height > 1 || window.stride_width > 1;
  };
  if (const auto* conv = std::get_if<graph::Conv>(&node.op)) return strided(conv->window);
  if (const auto* depthwise = std::get_if<graph::DepthwiseConv>(&node.op)) return strided(depthwise->window);
  return false;
}

// The cell of a kernel of `from` cells that lies where cell `at` of one of `to` cells does.
std::optional<size_t> same_cell(size_t at, size_t to, size_t from) {
  const auto shifted =
      static_cast<int64_t>(at) + (static_cast<int64_t>(from) - 1) / 2 - (static_cast<int64_t>(to) - 1) / 2;
  if (shifted < 0 || shifted >= static_cast<int64_t>(from)) return std::nullopt;
  return static_cast<size_t>(shifted);
}

class Heir {
 public:
  Heir(const Graph& parent, const Parameters& weights, const Graph& child, std::span<const int> node_of,
       const Rng& rng)
      : parent_(parent),
        weights_(weights),
        child_(child),
        node_of_(node_of),
        rng_(rng),
        parent_groups_(channel_groups(parent)),
        groups_(channel_groups(child)),
        origins_(static_cast<size_t>(child.size())),
        parameters_(graph::initialize(child, rng)) {}

  Parameters run() {
    for (int i = 0; i < child_.size(); ++i) {
      decide(i);
      if (counterpart(i) < 0)
        begin(i);
      else
        take(i);
    }
    return std::move(parameters_);
  }

 private:
  [[nodiscard]] int counterpart(int node) const { return node_of_[static_cast<size_t>(node)]; }
  [[nodiscard]] int input(int node) const { return child_.node(node).inputs.front(); }
  std::vector<Origin>& origins(int node) {
    return origins_[static_cast<size_t>(groups_[static_cast<size_t>(node)])];
  }

  // The origins of a group's channels, by its first node; one that has no counterpart and keeps the number of
  // channels hands on its input's.
  void decide(int node) {
    if (!makes_channels(child_.node(node)) || !origins(node).empty()) return;
    const auto count = static_cast<size_t>(child_.node(node).shape.channels);
    const int counterpart_node = counterpart(node);
    if (counterpart_node >= 0)
      origins(node) = choose(count, parent_groups_[static_cast<size_t>(counterpart_node)], node);
    else if (keeps_channels(node))
      origins(node) = origins(input(node));
    else
      origins(node).resize(count);
  }

  [[nodiscard]] bool keeps_channels(int node) const {
    const Node& here = child_.node(node);
    return (is<graph::Conv>(here) || is<graph::DepthwiseConv>(here)) && !has_stride(here) &&
           here.shape.channels == child_.node(input(node)).shape.channels;
  }

  std::vector<Origin> choose(size_t count, int parent_group, int node) {
    const std::vector<double> importance =
        channel_importance(parent_, weights_, parent_groups_, parent_group);
    std::vector<int> chosen(importance.size());
    std::iota(chosen.begin(), chosen.end(), 0);
    if (count < chosen.size()) {
      std::ranges::sort(chosen, [&](int a, int b) {
        const double of_a = importance[static_cast<size_t>(a)];
        const double of_b = importance[static_cast<size_t>(b)];
        return of_a != of_b ? of_a > of_b : a < b;
      });
      chosen.resize(count);
      std::ranges::sort(chosen);
    }
    std::vector<Origin> result;
    for (const int channel : chosen) result.push_back({.channel = channel});
    Rng stream = rng_.fork("copies", static_cast<uint64_t>(node));
    std::vector<float> parts(importance.size(), 1);
    for (size_t i = result.size(); i < count; ++i) {
      const auto original = stream.below(static_cast<uint32_t>(importance.size()));
      const float part = stream.uniform(0.5F, 1.5F);
      result.push_back({.channel = static_cast<int>(original), .share = part});
      parts[original] += part;
    }
    for (Origin& origin : result) origin.share /= parts[static_cast<size_t>(origin.channel)];
    return result;
  }

  // The parent's channel that each input of a child's kernel stands for. Behind a Flatten an input is a
  // position and a channel; it has a counterpart when there are as many positions.
  std::vector<Origin> kernel_inputs(int node) {
    const std::vector<Origin>& of_group = origins(input(node));
    const auto inputs = static_cast<size_t>(child_.node(input(node)).shape.channels);
    if (inputs == of_group.size()) return of_group;
    const int parent_input = parent_.node(counterpart(node)).inputs.front();
    const auto parent_inputs = static_cast<size_t>(parent_.node(parent_input).shape.channels);
    const auto parent_channels = static_cast<size_t>(
        channels_of(parent_, parent_groups_, parent_groups_[static_cast<size_t>(parent_input)]));
    std::vector<Origin> result(inputs);
    if (of_group.empty() || parent_inputs / parent_channels != inputs / of_group.size()) return result;
    for (size_t i = 0; i < inputs; ++i) {
      result[i] = of_group[i % of_group.size()];
      if (result[i].channel >= 0)
        result[i].channel += static_cast<int>(i / of_group.size() * parent_channels);
    }
    return result;
  }

  void take_kernel(int node) {
    const int from_node = counterpart(node);
    const Kernel from = kernel_of(parent_, from_node);
    const Kernel to = kernel_of(child_, node);
    const std::span<const float> source = weights_.at(from_node, Role::Kernel);
    const std::span<float> target = parameters_.at(node, Role::Kernel);
    const bool depthwise = is<graph::DepthwiseConv>(child_.node(node));
    const std::vector<Origin> inputs = depthwise ? origins(node) : kernel_inputs(node);
    const std::vector<Origin> outputs = depthwise ? std::vector<Origin>{{.channel = 0}} : origins(node);
    for (size_t o = 0; o < to.out; ++o) {
      const int out = outputs.at(o).channel;
      if (out < 0 || out >= static_cast<int>(from.out)) continue;
      for (size_t y = 0; y < to.height; ++y)
        for (size_t x = 0; x < to.width; ++x)
          for (size_t i = 0; i < to.in; ++i) {
            const auto& [in, share] = inputs.at(i);
            if (in < 0 || in >= static_cast<int>(from.in)) continue;
            const auto cell_y = same_cell(y, to.height, from.height);
            const auto cell_x = same_cell(x, to.width, from.width);
            target[to.at(o, y, x, i)] =
                cell_y && cell_x
                    ? source[from.at(static_cast<size_t>(out), *cell_y, *cell_x, static_cast<size_t>(in))] *
                          (depthwise ? 1 : share)
                    : 0;
          }
    }
  }

  void take_channels(int node, Role role) {
    if (!parameters_.has(node, role) || !weights_.has(counterpart(node), role)) return;
    const std::span<const float> source = weights_.at(counterpart(node), role);
    const std::span<float> target = parameters_.at(node, role);
    const std::vector<Origin>& channels = origins(node);
    for (size_t i = 0; i < target.size(); ++i)
      if (const int from = channels.at(i).channel; from >= 0 && from < static_cast<int>(source.size()))
        target[i] = source[static_cast<size_t>(from)];
  }

  void take(int node) {
    if (parameters_.has(node, Role::Kernel)) take_kernel(node);
    for (const Role role : {Role::Bias, Role::Gamma, Role::Beta, Role::Mean, Role::Variance})
      take_channels(node, role);
  }

  // A node without a counterpart.
  void begin(int node) {
    const Node& here = child_.node(node);
    if (is<graph::BatchNorm>(here) && adds_to_something(node))
      std::ranges::fill(parameters_.at(node, Role::Gamma), 0.0F);
    if (!keeps_channels(node)) return;
    const Kernel kernel = kernel_of(child_, node);
    const std::span<float> values = parameters_.at(node, Role::Kernel);
    std::ranges::fill(values, 0.0F);
    for (size_t i = 0; i < kernel.in; ++i)
      values[kernel.at(kernel.out == 1 ? 0 : i, (kernel.height - 1) / 2, (kernel.width - 1) / 2, i)] = 1;
  }

  // Whether a node is one of the two inputs of an Add whose other one carries the parent's values on.
  [[nodiscard]] bool adds_to_something(int node) const {
    for (const Node& reader : child_.nodes()) {
      if (!is<graph::Add>(reader) || std::ranges::find(reader.inputs, node) == reader.inputs.end()) continue;
      const int other = reader.inputs[0] == node ? reader.inputs[1] : reader.inputs[0];
      return !(is<graph::BatchNorm>(child_.node(other)) && counterpart(other) < 0);
    }
    return false;
  }

  const Graph& parent_;
  const Parameters& weights_;
  const Graph& child_;
  std::span<const int> node_of_;
  Rng rng_;
  std::vector<int> parent_groups_;
  std::vector<int> groups_;
  std::vector<std::vector<Origin>> origins_;  // by the child's group; empty: not decided
  Parameters parameters_;
};

}  // namespace

std::vector<int> channel_groups(const Graph& graph) {
  std::vector<int> groups(static_cast<size_t>(graph.size()));
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    groups[static_cast<size_t>(i)] =
        makes_channels(node) ? i : groups[static_cast<size_t>(node.inputs.front())];
    if (!is<graph::Add>(node)) continue;
    const int kept = groups[static_cast<size_t>(node.inputs[0])];
    const int merged = groups[static_cast<size_t>(node.inputs[1])];
    std::ranges::replace(groups.begin(), groups.begin() + i + 1, std::max(kept, merged),
                         std::min(kept, merged));
  }
  return groups;
}

std::vector<double> channel_importance(const Graph& graph, const Parameters& parameters,
                                       const std::vector<int>& groups, int group) {
  const auto count = static_cast<size_t>(channels_of(graph, groups, group));
  std::vector<double> gammas(count, 0);
  std::vector<double> readers(count, 0);
  bool has_norm = false;
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    if (is<graph::BatchNorm>(node) && groups[static_cast<size_t>(i)] == group) {
      has_norm = true;
      // Behind a Flatten that is added to other channels, the group has more of them than a norm before it.
      const std::span<const float> gamma = parameters.at(i, Role::Gamma);
      for (size_t c = 0; c < count; ++c) gammas[c] += std::abs(gamma[c % gamma.size()]);
    }
    const bool reads = (is<graph::Conv>(node) || is<graph::Dense>(node)) &&
                       groups[static_cast<size_t>(node.inputs.front())] == group;
    if (!reads) continue;
    const std::span<const float> kernel = parameters.at(i, Role::Kernel);
    // Channels are a kernel's innermost axis; behind a Flatten they repeat at every position.
    for (size_t k = 0; k < kernel.size(); ++k) readers[k % count] += std::abs(kernel[k]);
  }
  std::vector<double> importance(count);
  const bool has_reader = std::ranges::any_of(readers, [](double sum) { return sum > 0; });
  for (size_t c = 0; c < count; ++c)
    importance[c] = (has_norm ? gammas[c] : 1) * (has_reader ? readers[c] : 1);
  return importance;
}

Parameters inherit(const Graph& parent, const Parameters& weights, const Graph& child,
                   std::span<const int> node_of, const Rng& rng) {
  return Heir(parent, weights, child, node_of, rng).run();
}

}  // namespace retort::compress
