// Random images, labels, teacher's logits and parameters for tests of networks.
#pragma once

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "engine/network.h"
#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::engine {

struct RandomBatch {
  RandomBatch(const graph::Graph& graph, size_t count, Rng rng)
      : images(count * static_cast<size_t>(graph.input_shape().size())),
        labels(count),
        teacher(count * static_cast<size_t>(graph.classes())) {
    for (uint8_t& byte : images) byte = static_cast<uint8_t>(rng.below(256));
    for (uint16_t& label : labels)
      label = static_cast<uint16_t>(rng.below(static_cast<uint32_t>(graph.classes())));
    for (float& logit : teacher) logit = 3 * rng.normal();
  }
  [[nodiscard]] Batch view() const { return {images, labels, teacher}; }

  std::vector<uint8_t> images;
  std::vector<uint16_t> labels;
  std::vector<float> teacher;
};

// Parameters as after some training: nothing is at its initial 0 or 1. Multiples of 2^-12, so that the steps
// of finite differences are exact.
inline graph::Parameters random_parameters(const graph::Graph& graph, Rng rng) {
  graph::Parameters parameters = graph::initialize(graph, rng);
  for (const graph::ParameterSpec& spec : parameters.specs()) {
    if (spec.role == graph::Role::Range) continue;
    for (float& value : parameters.values().subspan(spec.offset, spec.size)) {
      if (spec.role != graph::Role::Kernel) value += rng.uniform(-0.5F, 0.5F);
      value = std::round(value * 4096) / 4096;
    }
  }
  return parameters;
}

}  // namespace retort::engine
