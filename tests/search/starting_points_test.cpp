#include "search/starting_points.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "cost/cost.h"
#include "graph/graph.h"
#include "graph/micro.h"
#include "search/mutation.h"
#include "search/sampler.h"
#include "synthetic.h"

namespace retort::search {
namespace {

TEST(StartingPoints, EachIsAsWideAsFits) {
  constexpr int64_t kMost = 900'000;
  const Fits fits = [](const Proposal& proposal) { return graph::total_macs(proposal.graph) <= kMost; };
  for (const graph::Shape input : {graph::Shape{.height = 32, .width = 32, .channels = 3},
                                   graph::Shape{.height = 28, .width = 28, .channels = 1},
                                   graph::Shape{.height = 20, .width = 33, .channels = 1}}) {
    const std::vector<Proposal> proposals = starting_points({}, Rng(1), input, 10, fits);
    EXPECT_GE(proposals.size(), 7U);
    std::set<std::string> hashes;
    for (const Proposal& proposal : proposals) {
      EXPECT_TRUE(fits(proposal)) << proposal.config;
      EXPECT_GT(graph::total_macs(proposal.graph), kMost / 2) << proposal.config << " could be wider";
      EXPECT_TRUE(hashes.insert(graph::structural_hash(proposal.graph)).second) << proposal.config;
    }
  }
}

TEST(StartingPoints, LargeImagesArePooledFirst) {
  for (const Proposal& proposal :
       starting_points({}, Rng(1), {.height = 160, .width = 120, .channels = 3}, 2, {}))
    EXPECT_TRUE(proposal.config.starts_with("avgpool 2, avgpool 2, conv")) << proposal.config;
}

TEST(StartingPoints, LieWithinTheSpace) {
  MicroSpace space;
  space.kinds = {graph::BlockKind::Conv, graph::BlockKind::MaxPool};
  space.most_width = 24;
  const auto proposals = starting_points(space, Rng(1), {.height = 32, .width = 32, .channels = 1}, 10, {});
  ASSERT_FALSE(proposals.empty());
  for (const Proposal& proposal : proposals)
    for (const graph::Block& block : graph::micro_network(proposal.config).blocks) {
      EXPECT_NE(std::ranges::find(space.kinds, block.kind), space.kinds.end()) << proposal.config;
      EXPECT_LE(graph::is_pool(block.kind) ? 2 : block.width, 24) << proposal.config;
    }
}

TEST(StartingPoints, WhereNothingFitsThereAreNone) {
  const Fits none = [](const Proposal&) { return false; };
  EXPECT_TRUE(starting_points({}, Rng(1), {.height = 32, .width = 32, .channels = 1}, 10, none).empty());
  // Two rows are too few for two pools, and enough for strides.
  const auto of_two_rows = starting_points({}, Rng(1), {.height = 2, .width = 2, .channels = 1}, 10, {});
  EXPECT_FALSE(of_two_rows.empty());
}

TEST(StartingPoints, HalfOfAnEvolutionsFirstGeneration) {
  SearchSettings settings = preset("micro");
  settings.exploration.first = 10;
  const graph::Shape input{.height = 32, .width = 32, .channels = 1};
  const auto sampler = make_sampler(settings, input, 10, {});
  std::vector<std::string> configs;
  while (const auto proposal = sampler->propose({})) configs.push_back(proposal->config);
  EXPECT_EQ(configs.size(), 10U);
  EXPECT_EQ(configs.front(), "conv 64, res 64, res 128 s2, res 256 s2, gap") << "nothing limits it";
}

}  // namespace
}  // namespace retort::search
