// A space of structures as TOML, and networks put into it.

#include "base/json.h"
#include "graph/micro.h"
#include "search/micro_space.h"
#include "target.h"

namespace retort::fuzz {

void run(Bytes bytes) {
  const search::MicroSpace space = search::parse_micro_space(as_text(bytes), "space.toml");
  require(Json(space).get<search::MicroSpace>() == space, "a space goes through JSON");
  Rng rng(1);
  static const graph::MicroNetwork network =
      graph::micro_network("conv 16, res 16, sep 33 k5 s2, inv 32 e3, pool 2, avgpool 2, gap, dense 48");
  const graph::MicroNetwork inside = search::within(network, space, rng);
  require(search::within(inside, space, rng) == inside, "what is in a space stays as it is");
}

std::vector<Seed> seeds() {
  return text_seeds(
      {"blocks = [\"conv\", \"sep\", \"inv\", \"res\", \"pool\", \"avgpool\"]\nleast_width = 4\nmost_width = "
       "64\n"
       "width_step = 4\nkernels = [3, 5]\nstrides = [1, 2]\nexpansions = [1, 6]\nmost_blocks = 8\n"
       "heads = [\"gap\", \"flatten\"]\nmost_dense = 0\n",
       "kernels = [1]\n", "# nothing\n", "blocks = ['res']\nmost_blocks = 1\nwidth_step = 64\n",
       "kernels = [1]\n" + repeated("a.", 20'000) + "b = 1\n"});
}

}  // namespace retort::fuzz
