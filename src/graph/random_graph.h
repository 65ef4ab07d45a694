// Random networks for property tests and benchmarks.
#pragma once

#include "base/rng.h"
#include "graph/graph.h"

namespace retort::graph {

// Whether batch norms and dropouts appear; graphs without are what some peers can take.
enum class TrainingLayers { Absent, Present };

struct RandomGraphOptions {
  int minimum_side = 4;  // of the input image; height and width are drawn on their own
  int maximum_side = 14;
  int maximum_input_channels = 3;
  int maximum_channels = 12;  // of a conv or dense layer
  int maximum_stages = 5;     // each a conv, depthwise conv, pool, residual block, …
  int maximum_classes = 10;   // at least 2
  TrainingLayers training_layers = TrainingLayers::Present;
};

// A valid trainable network of any of the operators but FakeQuant: rectangular kernels and strides, both
// paddings, batch norms after convs, after ReLUs, after pools and sums, sums with skips, pooled or flattened
// heads, dense layers, dropout, and a Softmax on most. One in twelve is dense from a flat input on.
// quantized_form accepts all of them.
Graph random_graph(Rng& rng, const RandomGraphOptions& options);

}  // namespace retort::graph
