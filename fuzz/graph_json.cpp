// Networks as JSON: graphs and lists of layers, as --config FILE.json gives them.
#include "base/error.h"
#include "cost/cost.h"
#include "graph/graph.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "graph/random_graph.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr int64_t kMostWeights = 1 << 14;  // an input must not take long

void use(const graph::Graph& graph) {
  const std::string text = graph::graph_to_json(graph);
  require(graph::graph_to_json(graph::graph_from_json(text)) == text, "a graph goes through JSON");
  require(!graph::structural_hash(graph).empty(), "a graph has a hash");
  require(graph::total_macs(graph) >= 0, "multiply-accumulates do not overflow");
  if (graph::parameter_count(graph) <= kMostWeights)
    require(graph::kernel_sparsity(graph::Parameters(graph)) >= 0, "parameters can be made");
  require(cost::analyze(graph, {}).macs >= 0, "costs do not overflow");
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  if ((bytes[0] & 1) == 0) {
    use(graph::graph_from_json(as_text(bytes.subspan(1))));
  } else {
    const std::string path = file("network.json", bytes.subspan(1)).string();
    use(graph::graph_from_config(path, {.height = 8, .width = 8, .channels = 1}, 3));
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> all =
      text_seeds({"1[[\"Conv2D\", 16], [\"MaxPool2D\", null], [\"Flatten\"], [\"Dense\", 8], [\"Dense\", 3]]",
                  "1[[\"Conv2D\", 4], [\"GlobalAveragePooling2D\", null], [\"Dense\", 3]]"});
  graph::RandomGraphOptions options;
  options.maximum_stages = 3;
  for (uint64_t i = 0; i < 24; ++i) {
    Rng rng = Rng(72).fork("seed", i);
    all.push_back(seed((i % 2 == 0 ? "0" : "1") + graph::graph_to_json(graph::random_graph(rng, options))));
  }
  return all;
}

}  // namespace retort::fuzz
