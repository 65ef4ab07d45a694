// Files of weights and checkpoints: as they come, and with the SHA-256 made right so that what follows it is read.
#include "base/file.h"
#include "engine/checkpoint.h"
#include "graph/notebook.h"
#include "sealed.h"
#include "target.h"

namespace retort::fuzz {
namespace {

const graph::Graph& network() {
  static const graph::Graph made =
      graph::graph_from_config("1,1,2,0", {.height = 4, .width = 4, .channels = 1}, 2);
  return made;
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  const uint8_t flags = bytes[0];
  bytes = bytes.subspan(1);
  const auto path = (flags & 1) != 0 ? file("weights.retort", bytes) : file("weights.retort", sealed(bytes));
  if ((flags & 2) != 0) {
    const engine::Model model = engine::load_model(path);
    require(graph::Parameters(model.graph).values().size() == model.parameters.values().size(),
            "all weights are there");
  } else {
    const engine::Checkpoint checkpoint = engine::load_checkpoint(path, network());
    require(!checkpoint.parameters.values().empty(), "a checkpoint has weights");
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  const auto add = [&](uint8_t flags) {
    all.push_back(read_file(folder() / "seed.retort"));
    all.back().insert(all.back().begin(), flags);
  };
  const graph::Parameters parameters = graph::initialize(network(), Rng(1));
  engine::save_model(folder() / "seed.retort",
                     {network(), parameters, {"cat", "dog"}, data::SplitRecord{.train_images = 3}});
  add(2);
  add(3);
  engine::Checkpoint checkpoint;
  checkpoint.parameters = checkpoint.optimizer.first = checkpoint.optimizer.second = parameters;
  checkpoint.history.epochs.push_back({1, 0.5, 0.6, 0.7, 0.8, 1.0});
  engine::save_checkpoint(folder() / "seed.retort", network(), checkpoint);
  add(0);
  checkpoint.masks = parameters;
  engine::save_checkpoint(folder() / "seed.retort", network(), checkpoint);
  add(0);
  return all;
}

}  // namespace retort::fuzz
