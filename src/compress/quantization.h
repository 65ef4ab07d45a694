// Quantisation-aware training (Jacob et al., arXiv 1712.05877): the quantised form of a graph, ranges, and
// masks.
#pragma once

#include <span>

#include "data/dataset.h"
#include "engine/network.h"
#include "graph/quantized_form.h"

namespace retort::compress {

// Sets the FakeQuant ranges of a quantised form by running up to `indices` training images through the float
// network and taking each tensor's moving range, as the first epoch of training would. Without any training
// after it this is post-training quantisation. `range_momentum` is what the ranges move with in training.
graph::QuantizedForm prepare_quantization(const graph::Graph& graph, const graph::Parameters& parameters,
                                          const data::Dataset& dataset, std::span<const uint32_t> indices,
                                          const engine::Backend& backend,
                                          float range_momentum = graph::FakeQuant{}.momentum);

}  // namespace retort::compress
