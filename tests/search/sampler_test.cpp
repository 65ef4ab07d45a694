#include "search/sampler.h"

#include <gtest/gtest.h>

#include <set>

#include "synthetic.h"

namespace retort::search {
namespace {

std::vector<Proposal> all(Sampler& sampler) {
  std::vector<Proposal> proposals;
  while (auto proposal = sampler.propose({})) proposals.push_back(std::move(*proposal));
  return proposals;
}

SearchSettings with(const std::string& sampler, std::vector<std::string> configs = {}) {
  SearchSettings settings;
  settings.sampler = sampler;
  settings.configs = std::move(configs);
  return settings;
}

TEST(Sampler, TheNotebooksGridHas216PointsAnd162Networks) {
  EXPECT_EQ(notebook_grid().size(), 216U);
  const auto sampler = make_sampler(with("grid"), {.height = 32, .width = 32, .channels = 1}, 10);
  const std::vector<Proposal> proposals = all(*sampler);
  EXPECT_EQ(proposals.size(), 162U);
  EXPECT_EQ(sampler->duplicates(), 54);
  EXPECT_EQ(sampler->unbuildable(), 0);
  std::set<std::string> hashes;
  for (const Proposal& proposal : proposals) hashes.insert(proposal.hash);
  EXPECT_EQ(hashes.size(), 162U);
  EXPECT_EQ(proposals.front().layers,
            "[('Conv2D', 16), ('MaxPool2D', None), ('GlobalAveragePooling2D', None), ('Dense', 10)]");
}

TEST(Sampler, WhatCannotBeBuiltIsCounted) {
  const auto sampler = make_sampler(with("grid"), {.height = 4, .width = 4, .channels = 1}, 10);
  EXPECT_EQ(all(*sampler).size(), 108U);  // two blocks halve 4 to 1, a third has nothing left
  EXPECT_EQ(sampler->unbuildable(), 72);
}

TEST(Sampler, EverySamplerProposesEachNetworkOnceAndReadsItBack) {
  const graph::Shape input{.height = 28, .width = 28, .channels = 1};
  for (const std::string& name : sampler_names()) {
    const auto sampler = make_sampler(with(name, {"2,1,16,0", "3 blocks", "2,1,16,0,256"}), input, 10);
    std::set<std::string> hashes;
    for (const Proposal& proposal : all(*sampler)) {
      EXPECT_TRUE(hashes.insert(proposal.hash).second) << name << ": " << proposal.config;
      EXPECT_EQ(graph::graph_from_config(proposal.config, input, 10), proposal.graph);
      EXPECT_EQ(graph::structural_hash(graph::graph_from_config(proposal.layers, input, 10)), proposal.hash);
    }
    EXPECT_FALSE(hashes.empty());
    EXPECT_LE(name == "ladder" ? hashes.size() : 0U, 12U);
  }
}

TEST(Sampler, AGivenStructureThatCannotBeBuiltIsAnError) {
  const auto sampler = make_sampler(with("list", {"9 blocks"}), {.height = 8, .width = 8, .channels = 1}, 3);
  const Thrown thrown = thrown_by([&] { sampler->propose({}); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence, "");
}

}  // namespace
}  // namespace retort::search
