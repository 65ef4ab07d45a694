// Structured pruning's beginning: the wider network whose channels are removed. Its end is compress::inherit, which
// keeps the channels that matter most (Li et al., arXiv 1608.08710).
#pragma once

#include "base/rng.h"
#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::compress {

// The same network with `factor` (at least 1) times the channels in every convolution, rounded up to a multiple of 2.
// Node by node it has the same operators, so that node i is the counterpart of node i. What the input and the classes
// fix stays as it is, and so do dense layers and what has one channel. A network without anything to widen comes back
// as it is. Throws Error(Usage) where the result would be beyond graph.h's limits.
graph::Graph widened(const graph::Graph& graph, double factor);

// The parameters of `graph` from those of another one that differs in its channels alone (a widened one, or the one that
// was widened). `rng` is for what has no origin.
graph::Parameters resized(const graph::Graph& from, const graph::Parameters& parameters,
                          const graph::Graph& graph, const Rng& rng);

}  // namespace retort::compress
