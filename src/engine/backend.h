// What every backend checks before it computes, so that all answer bad input alike.
#pragma once

#include "engine/network.h"

namespace retort::engine {

// Throws Error(Usage) for a graph that no backend can train: without operators, with a Softmax that something
// reads, or with logits that still have height or width.
void check_graph(const graph::Graph& graph, const CompileOptions& options);

// Throws Error(Usage) naming the count or value that does not fit the graph, the batch size or the objective.
void check_batch(const graph::Graph& graph, int batch_size, const Batch& batch, const Objective& objective);

// Throws Error(Usage) when `parameters` are not laid out as `expected`; `what` names them ("masks").
void check_layout(const graph::Parameters& expected, const graph::Parameters& parameters,
                  std::string_view what);

}  // namespace retort::engine
