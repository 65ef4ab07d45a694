// The quantised form of a graph: what quantisation-aware training trains and int8 lowering reads. It lives
// here because costs need it for graphs that were never trained.
#pragma once

#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::graph {

// The int8 grid of a range: real = scale · (q − zero_point), q in [−128, 127]. The range is first widened to
// contain 0 and 0 is made exact (the zero point is rounded, the limits move by less than a step).
struct QuantGrid {
  float scale = 1;
  int zero_point = 0;
};
QuantGrid quant_grid(float minimum, float maximum);

// Symmetric grid of one output channel: scale = max|w| / 127 (1 when all weights are 0, so that nothing
// divides by 0).
float weight_scale(float absolute_maximum);

struct QuantizedForm {
  Graph graph;
  Parameters parameters;  // FakeQuant ranges are 0 (unset), except the input's: [0, 1]
};

// Rules:
//   Dropout is dropped.
//   BatchNorm directly after a conv, depthwise conv or dense that nothing else reads is folded into its
//   kernel and bias (made Present). Any other BatchNorm becomes a 1×1 DepthwiseConv with bias (a flat
//   tensor's BatchNorm folds into the Dense layers that read it; when it is read by something else,
//   Error(Usage)). Every layer with a kernel gets WeightGrid::Int8 and Bias::Present. A FakeQuant follows the
//   input, and each conv, depthwise conv, dense, add and global average pool: after its ReLU or ReLU6 where
//   that is its only reader, else directly. A Relu or Relu6 that cannot be fused so (its input has other
//   readers, or is a pool, flatten or input) gets a FakeQuant of its own.
//   Two ReLUs in a row count as one.
QuantizedForm quantized_form(const Graph& graph, const Parameters& parameters);

// The structure alone.
Graph quantized_form(const Graph& graph);

}  // namespace retort::graph
