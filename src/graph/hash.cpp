#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "graph/attributes.h"
#include "graph/graph.h"

namespace retort::graph {

namespace {

std::string digest(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

// Each used node's digest: its attributes and the digests of its inputs.
std::vector<std::string> node_digests(const Graph& graph, const std::vector<bool>& used,
                                      const std::vector<std::string>& attributes) {
  std::vector<std::string> digests(used.size());
  for (size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    const Node& node = graph.nodes()[i];
    std::vector<std::string> inputs;
    inputs.reserve(node.inputs.size());
    for (const int input : node.inputs) inputs.push_back(digests[static_cast<size_t>(input)]);
    if (std::holds_alternative<Add>(node.op)) std::sort(inputs.begin(), inputs.end());
    std::string text = attributes[i];
    for (const std::string& input : inputs) text += "|" + input;
    digests[i] = digest(text);
  }
  return digests;
}

// A node's inputs in an order that does not depend on how the graph was written: a sum's by digest.
std::vector<int> canonical_inputs(const Node& node, const std::vector<std::string>& digests) {
  std::vector<int> inputs = node.inputs;
  if (std::holds_alternative<Add>(node.op) &&
      digests[static_cast<size_t>(inputs[1])] < digests[static_cast<size_t>(inputs[0])])
    std::swap(inputs[0], inputs[1]);
  return inputs;
}

}  // namespace

// Digests alone would not tell two equal layers side by side from one layer read twice, so the nodes are
// numbered in depth-first order from the output and written out with those numbers: that text depends on the
// network alone.
std::string structural_hash(const Graph& graph) {
  if (graph.nodes().empty()) return digest("").substr(0, 32);
  const std::vector<bool> used = used_nodes(graph);
  std::vector<std::string> attributes(used.size());
  for (size_t i = 0; i < used.size(); ++i)
    if (used[i]) attributes[i] = node_attributes(graph.nodes()[i]);
  const bool has_sums = std::any_of(graph.nodes().begin(), graph.nodes().end(),
                                    [](const Node& node) { return std::holds_alternative<Add>(node.op); });
  const std::vector<std::string> digests =
      has_sums ? node_digests(graph, used, attributes) : std::vector<std::string>(used.size());

  std::vector<int> number(used.size(), -1);
  int next = 0;
  Sha256 hash;
  hash.update(attributes.front());  // the input's shape counts even where nothing reads it
  struct Visit {
    int node;
    std::vector<int> inputs;
    size_t done = 0;
  };
  std::vector<Visit> stack;
  const auto enter = [&](int node) { stack.push_back({node, canonical_inputs(graph.node(node), digests)}); };
  enter(graph.output());
  while (!stack.empty()) {
    Visit& top = stack.back();
    if (top.done < top.inputs.size()) {
      const int input = top.inputs[top.done++];
      if (number[static_cast<size_t>(input)] < 0) enter(input);
      continue;
    }
    std::string line = fmt::format("\n{}", attributes[static_cast<size_t>(top.node)]);
    for (const int input : top.inputs) line += fmt::format(" {}", number[static_cast<size_t>(input)]);
    hash.update(line);
    number[static_cast<size_t>(top.node)] = next++;
    stack.pop_back();
  }
  return hash.hex().substr(0, 32);
}

}  // namespace retort::graph
