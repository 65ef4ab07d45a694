// Numbers of an untrained network that are said to tell how accurate it will be («zero-cost proxies»; Abdelfattah et al.,
// arXiv 2101.08134, compares them). `retort bench proxies` measures how well they do; docs/search.md says what came of it.
#pragma once

#include "base/rng.h"
#include "engine/network.h"
#include "graph/graph.h"

namespace retort::search {

struct Proxies {
  double gradient_norm = 0;  // of the kernels' gradient on one batch, Euclidean
  double snip = 0;           // Σ |weight · its gradient| (Lee et al., arXiv 1810.02340)
  // log |det K| of the kernel that counts in how many ReLUs two images agree (NASWOT; Mellor et al., arXiv
  // 2006.04647): how differently an untrained network sees the images of a batch.
  double activation_patterns = 0;
};

// With fresh weights drawn from `rng`. The batch has labels.
Proxies measure_proxies(const graph::Graph& graph, const engine::Batch& batch, const engine::Backend& backend,
                        const Rng& rng);

}  // namespace retort::search
