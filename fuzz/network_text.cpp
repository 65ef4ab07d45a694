// Networks as people write them: rows of blocks, the notebook's lists and tables.
#include "graph/micro.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "target.h"

namespace retort::fuzz {

void run(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  if (text.find(".json") != std::string_view::npos) return;  // may name a file
  if (graph::is_micro_network(text)) {
    const graph::MicroNetwork network = graph::micro_network(text);
    require(graph::micro_network(graph::to_string(network)) == network,
            "a row of blocks goes through its text");
    graph::MicroNetwork repaired = network;
    graph::repair(repaired);
  }
  const graph::Graph graph = graph::graph_from_config(text, {.height = 16, .width = 12, .channels = 3}, 4);
  require(graph.classes() == 4, "a network tells the classes apart");
  require(graph::parameter_count(graph) > 0 && graph::total_macs(graph) > 0, "sizes do not overflow");
}

std::vector<Seed> seeds() {
  return text_seeds({"conv 16, res 16, sep 32 k5 s2, inv 32 e3, pool 2, gap, dense 48",
                     "sep 8 skip, avgpool 2, flatten, dense 4, dense 2",
                     "3 blocks, 2 layers, 32 filters, 1 dense, 128 units", "3,2,32,1,128", "1,1,8,0",
                     "[('Conv2D', 16), ('MaxPool2D', None), ('Flatten', None), ('Dense', 10)]",
                     "[(\"Dense\", 4)]"});
}

}  // namespace retort::fuzz
