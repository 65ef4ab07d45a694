// Weights that a network takes over from a trained one of nearly the same structure: a child that starts where
// its parent ended needs a fraction of the training.
//
// Widening and deepening keep what the parent computes (Net2Net, Chen et al., arXiv 1511.05641), narrowing
// keeps the channels that matter most (Li et al., arXiv 1608.08710): so the same function is structured
// pruning, whose channels are gone from the file, its time and its memory.
#pragma once

#include <span>
#include <vector>

#include "base/rng.h"
#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::compress {

// Which nodes have the same channels, because element-wise operators tie them together: nodes of equal numbers
// are of one group. What convolves or multiplies makes channels of its own; a depthwise convolution does not.
std::vector<int> channel_groups(const graph::Graph& graph);

// How much each channel of a group matters: the magnitude of the weights that read it, times that of its batch
// norms' gammas. By channel.
std::vector<double> channel_importance(const graph::Graph& graph, const graph::Parameters& parameters,
                                       const std::vector<int>& groups, int group);

// The child's parameters. `node_of`: for each of its nodes the parent's node of the same operator that it
// stands for, or −1 (graph::corresponding_nodes finds them for networks of blocks). Per group of channels:
//   as many or fewer: the parent's most important ones, in its order;
//   more: all of them, the rest copies, whose readers share the original's weight unevenly.
// A kernel of another size is cropped or framed with zeros about its middle. Of what has no counterpart, a
// convolution of stride 1 that keeps the number of channels begins as the identity, a batch norm that is added
// to something begins at 0, everything else at its initial values, drawn from `rng`.
graph::Parameters inherit(const graph::Graph& parent, const graph::Parameters& weights,
                          const graph::Graph& child, std::span<const int> node_of, const Rng& rng);

}  // namespace retort::compress
