// Random int8 networks for the drivers of this folder.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "base/rng.h"
#include "graph/quantized_form.h"

namespace retort {

inline double root_mean_square(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

// Random numbers everywhere, and ranges that are about right, too wide or too narrow.
inline graph::QuantizedForm random_form(const graph::Graph& network, Rng& rng) {
  graph::Parameters parameters = graph::initialize(network, rng);
  for (const graph::ParameterSpec& spec : parameters.specs()) {
    for (float& value : parameters.at(spec.node, spec.role)) {
      if (spec.role == graph::Role::Variance) value = rng.uniform(0.3F, 3.0F);
      if (spec.role == graph::Role::Gamma) value = rng.uniform(0.5F, 1.5F);
      if (spec.role == graph::Role::Bias || spec.role == graph::Role::Beta || spec.role == graph::Role::Mean)
        value = 0.2F * rng.normal();
    }
    // A dead filter now and then, as pruning makes them.
    if (spec.role == graph::Role::Kernel && rng.below(8) == 0) {
      const auto kernel = parameters.at(spec.node, spec.role);
      const size_t filter = kernel.size() / static_cast<size_t>(spec.dims[0]);
      for (size_t i = 0; i < filter; ++i) kernel[i] = 0;
    }
  }
  graph::QuantizedForm form = graph::quantized_form(network, parameters);
  std::vector<double> magnitude(form.graph.nodes().size(), 0.5);  // a guess at each node's values
  for (int i = 1; i < form.graph.size(); ++i) {
    const graph::Node& node = form.graph.node(i);
    double& size = magnitude[static_cast<size_t>(i)];
    size = 0;
    for (const int input : node.inputs) size += magnitude[static_cast<size_t>(input)];
    if (form.parameters.has(i, graph::Role::Kernel)) {
      const auto kernel = form.parameters.at(i, graph::Role::Kernel);
      const double fan_in = static_cast<double>(kernel.size()) / node.shape.channels;
      size *= root_mean_square(kernel) * std::sqrt(fan_in);
      size += root_mean_square(form.parameters.at(i, graph::Role::Bias));
    }
    if (!std::holds_alternative<graph::FakeQuant>(node.op) ||
        std::holds_alternative<graph::Input>(form.graph.node(node.inputs[0]).op))
      continue;
    const auto range = form.parameters.at(i, graph::Role::Range);
    const float width = static_cast<float>(size) * std::exp2(rng.uniform(-2.0F, 3.0F));
    range[0] = rng.below(3) == 0 ? 0 : -width * rng.uniform(0.01F, 1.0F);
    range[1] = width;
    if (rng.below(40) == 0) range[1] = range[0] = 0;
  }
  return form;
}

}  // namespace retort
