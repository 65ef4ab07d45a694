#include "search/starting_points.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "graph/micro.h"
#include "search/mutation.h"

namespace retort::search {
namespace {

// For images of 20 to 40 pixels a side.
constexpr std::array<std::string_view, 8> kShapes = {
    "conv 16, res 16, res 32 s2, res 64 s2, gap",
    "conv 16, res 16 s2, res 24 s2, res 32 s2, gap",
    "conv 16 s2, res 16, res 24 s2, res 32 s2, gap",
    "conv 12, res 16 s2, res 24 s2, gap",
    "conv 16, conv 16, pool 2, conv 24, conv 24, pool 2, conv 32, conv 32, gap",
    "conv 16 s2, conv 24, conv 24 s2, conv 32, conv 48 s2, gap",
    "conv 16, sep 24 s2, sep 24 skip, sep 48 s2, sep 48 skip, sep 96 s2, gap",
    "conv 16 s2, inv 16 e3, inv 24 s2 e4, inv 24 e4, inv 32 s2 e4, inv 32 e4, gap",
};
constexpr int kLargeSide = 40;
constexpr double kWidest = 4;
constexpr double kNarrowest = 0.25;
constexpr double kStep = 0.92;

std::optional<Proposal> widest(const graph::MicroNetwork& shape, const MicroSpace& space, Rng& rng,
                               graph::Shape input, int classes, const Fits& fits) {
  for (double factor = kWidest; factor >= kNarrowest; factor *= kStep) {
    const graph::MicroNetwork network = within(scaled(shape, factor), space, rng);
    Proposal proposal{.config = to_string(network)};
    try {
      proposal.graph = graph::build(network, input, classes);
    } catch (const Error&) {  // a pool is larger than what is left of the image
      return std::nullopt;
    }
    if (fits && !fits(proposal)) continue;
    proposal.hash = graph::structural_hash(proposal.graph);
    return proposal;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Proposal> starting_points(const MicroSpace& space, Rng rng, graph::Shape input, int classes,
                                      const Fits& fits) {
  std::string pools;
  for (int side = std::min(input.height, input.width); side > kLargeSide; side /= 2) pools += "avgpool 2, ";
  std::vector<Proposal> proposals;
  for (const std::string_view text : kShapes) {
    const graph::MicroNetwork shape = graph::micro_network(pools + std::string(text));
    auto proposal = widest(shape, space, rng, input, classes, fits);
    if (proposal && std::ranges::find(proposals, proposal->hash, &Proposal::hash) == proposals.end())
      proposals.push_back(std::move(*proposal));
  }
  return proposals;
}

}  // namespace retort::search
