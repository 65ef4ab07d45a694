// What a search proposes, and how it counts what is above its limits.
#include "search/proposals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "graph/graph.h"
#include "synthetic.h"

namespace retort::search {
namespace {

constexpr int64_t kMostMacs = 150'000;

SearchSettings limited(const std::string& sampler) {
  SearchSettings settings;
  settings.sampler = sampler;
  settings.limits.macs = kMostMacs;
  settings.space = {.blocks = {1, 2},
                    .layers = {1, 2},
                    .filters = {16, 4, 8},
                    .dense_layers = {0, 1},
                    .dense_units = {8, 16}};
  settings.configs = {"conv 4, gap",
                      "conv 16, conv 16, gap",  // above
                      "conv 6 s2, gap",
                      "conv 8 s2, gap",
                      "conv 32, conv 16, gap",  // above
                      "conv 2, gap",
                      "conv 4, conv 4, gap",
                      "conv 16, conv 24, gap",  // above
                      "conv 8, gap"};
  return settings;
}

// Of an exploration whose proposer is made anew before these generations.
Json refused_with(const SearchSettings& settings, const data::Dataset& dataset, const std::set<int>& cuts) {
  constexpr int kGenerations = 6;
  constexpr size_t kStructures = 4;
  std::optional<Proposer> proposer(std::in_place, settings, dataset);
  std::vector<TrialResult> known;
  std::vector<std::string> stored_parts;
  for (int generation = 0; generation < kGenerations; ++generation) {
    if (cuts.contains(generation)) {
      Refused refused;
      for (const std::string& part : stored_parts) refused.take(Json::parse(part));
      proposer.emplace(settings, dataset, Proposer::QuickEnough(), std::move(refused));
    }
    for (const StoredProposal& stored : proposer->next(kStructures, known)) {
      if (!stored.infeasible.empty()) continue;
      TrialResult result = stored.costs;
      result.number = static_cast<int>(known.size());
      result.config = stored.proposal.config;
      result.hash = stored.proposal.hash;
      result.accuracy_int8 = static_cast<double>(Rng(1).fork(result.hash).uniform());
      known.push_back(std::move(result));
    }
    stored_parts.push_back(proposer->refused().news().dump());
  }
  return {{"count", proposer->refused().count()}, {"nearest", proposer->refused().nearest()}};
}

TEST(Proposals, WhereverItWasCutTheSameIsAboveTheLimits) {
  const data::Dataset dataset = synthetic();
  for (const char* sampler : {"list", "grid", "ladder", "micro", "evolution"}) {
    SCOPED_TRACE(sampler);
    const SearchSettings settings = limited(sampler);
    const Json whole = refused_with(settings, dataset, {});
    EXPECT_GE(whole.at("count").get<int>(), 3);
    for (const std::set<int>& cuts : std::vector<std::set<int>>{{1}, {3}, {5}, {1, 2, 3, 4, 5}})
      EXPECT_EQ(refused_with(settings, dataset, cuts), whole) << Json(cuts);
  }
}

// Whoever looks at it first, the sampler or the proposer.
TEST(Proposals, EachStructureAboveTheLimitsIsOne) {
  const data::Dataset dataset = synthetic();
  int64_t above = 0;
  const auto grid = make_sampler(limited("grid"), {.height = 8, .width = 8, .channels = 1}, 3);
  while (const auto proposal = grid->propose({})) above += graph::total_macs(proposal->graph) > kMostMacs;
  ASSERT_GT(above, 0);
  for (const int64_t most : {kMostMacs, int64_t{10}})
    for (const char* sampler : {"grid", "ladder"}) {
      SearchSettings settings = limited(sampler);
      settings.limits.macs = most;
      Proposer proposer(settings, dataset);
      proposer.next(SIZE_MAX);
      EXPECT_EQ(proposer.refused().count(), most == kMostMacs ? above : 36) << sampler << ", " << most;
    }
}

TEST(Proposals, WhatIsTooSlowCountsAndMissesNoLimit) {
  const data::Dataset dataset = synthetic();
  SearchSettings settings = limited("ladder");
  settings.limits = {};
  Proposer proposer(settings, dataset,
                    [](const graph::Graph& graph) { return graph::total_macs(graph) <= kMostMacs; });
  EXPECT_GT(proposer.refused().count(), 0);
  EXPECT_TRUE(proposer.refused().nearest().empty());
}

}  // namespace
}  // namespace retort::search
