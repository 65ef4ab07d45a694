// From a trained graph to int8: the last step before a file.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/parameters.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

// What the model takes and gives: int8 tensors, or float32 with QUANTIZE and DEQUANTIZE at the ends.
enum class Ends { Int8, Float };

struct LowerOptions {
  Ends ends = Ends::Int8;
  std::vector<std::string> classes;
};

// The graph must be in quantised form (compress::prepare_quantization): no BatchNorm and no Dropout,
// WeightGrid::Int8 on every layer with a kernel, and a FakeQuant after the input and after every conv,
// depthwise conv, dense, add and global average pool (after its ReLU or ReLU6 when that is its only reader).
// Pools, flatten and softmax carry no FakeQuant: pools and flatten keep their input's range, softmax gives
// 1/256 and −128. The input's FakeQuant range is fixed to [0, 1]. Throws Error(Usage) naming the node
// otherwise.
QuantGraph lower(const graph::Graph& graph, const graph::Parameters& parameters, const LowerOptions& options);

// The same structure with placeholder numbers, for costs before training: any trainable graph is accepted
// (its batch norms folded, its quantised form taken), and the file has the size the trained one will have.
QuantGraph lower_structure(const graph::Graph& graph, const LowerOptions& options);

}  // namespace retort::int8
