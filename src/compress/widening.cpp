#include "compress/widening.h"

#include <cmath>
#include <numeric>
#include <set>
#include <variant>
#include <vector>

#include "base/error.h"
#include "compress/inheritance.h"

namespace retort::compress {

graph::Graph widened(const graph::Graph& graph, double factor) {
  if (!(factor >= 1)) throw_usage("a network is widened by a factor of at least 1, not by {}", factor);
  const std::vector<int> groups = channel_groups(graph);
  const auto group_of = [&](int node) { return groups[static_cast<size_t>(node)]; };
  const std::set<int> fixed = {group_of(0), group_of(graph.logits())};
  graph::Graph wide(graph.input_shape());
  for (int i = 1; i < graph.size(); ++i) {
    graph::Node node = graph.node(i);
    if (auto* conv = std::get_if<graph::Conv>(&node.op);
        conv != nullptr && factor > 1 && conv->filters > 1 && !fixed.contains(group_of(i))) {
      const double filters = std::ceil(conv->filters * factor / 2) * 2;
      if (filters > graph::kMaximumDimension)
        throw_usage("{} times {} filters are more than a layer may have", factor, conv->filters);
      conv->filters = static_cast<int>(filters);
    }
    wide.add(node.op, std::move(node.inputs));
  }
  return wide;
}

graph::Parameters resized(const graph::Graph& from, const graph::Parameters& parameters,
                          const graph::Graph& graph, const Rng& rng) {
  std::vector<int> same(static_cast<size_t>(graph.size()));
  std::iota(same.begin(), same.end(), 0);
  return inherit(from, parameters, graph, same, rng);
}

}  // namespace retort::compress
