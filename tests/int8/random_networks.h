// Random quantised networks for the tests of this room.
#pragma once

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "int8/lower.h"

namespace retort::int8 {

// A trainable graph's quantised form with random parameters and ranges.
inline graph::QuantizedForm random_form(const graph::Graph& network, Rng& rng) {
  graph::Parameters parameters = graph::initialize(network, rng);
  for (const graph::ParameterSpec& spec : parameters.specs())
    for (float& value : parameters.at(spec.node, spec.role)) {
      if (spec.role == graph::Role::Variance) value = rng.uniform(0.5F, 2.0F);
      if (spec.role == graph::Role::Bias || spec.role == graph::Role::Beta) value = 0.2F * rng.normal();
    }
  graph::QuantizedForm form = graph::quantized_form(network, parameters);
  for (const graph::ParameterSpec& spec : form.parameters.specs()) {
    if (spec.role != graph::Role::Range) continue;
    const int before = form.graph.node(spec.node).inputs[0];
    if (std::holds_alternative<graph::Input>(form.graph.node(before).op)) continue;
    const auto range = form.parameters.at(spec.node, spec.role);
    range[1] = std::exp2(rng.uniform(-2.0F, 3.0F));
    range[0] = rng.below(3) == 0 ? 0.0F : -range[1] * rng.uniform();
  }
  return form;
}

inline graph::QuantizedForm random_form(Rng& rng) {
  graph::RandomGraphOptions options;
  options.maximum_channels = 20;
  const graph::Graph network = graph::random_graph(rng, options);
  return random_form(network, rng);
}

inline QuantGraph random_network(Rng& rng, Ends ends = Ends::Int8) {
  const graph::QuantizedForm form = random_form(rng);
  return lower(form.graph, form.parameters, {ends, {"zero", "one"}});
}

inline std::vector<uint8_t> random_bytes(Rng& rng, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next_u32());
  return bytes;
}

}  // namespace retort::int8
