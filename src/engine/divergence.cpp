#include "engine/divergence.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <vector>

#include "graph/parameters.h"

namespace retort::engine {
namespace {

using graph::Parameters;
using graph::ParameterSpec;

struct BadNumber {
  ParameterSpec where;
  float value = 0;
};

// In the order of `specs`.
std::optional<BadNumber> first_bad(const Parameters& parameters, const std::vector<ParameterSpec>& specs) {
  for (const ParameterSpec& spec : specs)
    for (const float value : parameters.values().subspan(spec.offset, spec.size))
      if (!std::isfinite(value)) return BadNumber{spec, value};
  return std::nullopt;
}

std::string layer(const Network& network, int node) {
  return fmt::format("layer {} ({})", node, graph::operator_name(network.graph().node(node).op));
}

std::string describe(const Network& network, std::string_view what, const BadNumber& bad) {
  return fmt::format("{} of {} is {}", what, layer(network, bad.where.node), bad.value);
}

}  // namespace

std::string describe_bad_loss(Network& network, const Batch& batch, const Objective& objective,
                              const Rng& before, double loss) {
  // State tensors follow what the step computed.
  const Parameters parameters = network.parameters();
  std::vector<ParameterSpec> learned = parameters.specs();
  std::erase_if(learned, [](const ParameterSpec& spec) { return !graph::is_trainable(spec.role); });
  if (const auto bad = first_bad(parameters, learned)) return describe(network, "a weight", *bad);
  const int node = network.first_output_not_finite(batch, objective, before);
  if (node >= 0) return fmt::format("the output of {} is not finite", layer(network, node));
  return fmt::format("the loss is {}", loss);
}

std::string describe_bad_update(const Network& network) {
  const Parameters gradients = network.gradients();
  if (const auto bad = first_bad(gradients, {gradients.specs().rbegin(), gradients.specs().rend()}))
    return describe(network, "a gradient", *bad);
  const Parameters parameters = network.parameters();
  if (const auto bad = first_bad(parameters, parameters.specs()))
    return describe(
        network, graph::is_trainable(bad->where.role) ? "a weight" : "what training gathers beside weights",
        *bad);
  const Parameters moments = network.optimizer_state().second;
  if (const auto bad = first_bad(moments, moments.specs()))
    return describe(network, "a gradient's mean square", *bad);
  return "a number outside of the layers' own is not finite";
}

}  // namespace retort::engine
