#include "search/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "cost/cost.h"
#include "graph/parameters.h"
#include "search/micro_sampler.h"
#include "search/mutation.h"
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
  EXPECT_EQ(grid({}).size(), 216U);
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

TEST(Sampler, AnotherSpaceIsAnotherGridAndAnotherLadder) {
  const graph::Shape input{.height = 16, .width = 16, .channels = 1};
  SearchSettings settings = with("grid");
  settings.space = {.blocks = {2}, .layers = {1, 3}, .filters = {4}, .dense_layers = {0}, .dense_units = {8}};
  std::vector<std::string> configs;
  for (const Proposal& proposal : all(*make_sampler(settings, input, 3))) configs.push_back(proposal.config);
  EXPECT_EQ(configs, (std::vector<std::string>{"2 blocks, 1 layer, 4 filters, 0 dense",
                                               "2 blocks, 3 layers, 4 filters, 0 dense"}));
  settings.sampler = "ladder";
  EXPECT_EQ(all(*make_sampler(settings, input, 3)).size(), 2U);
  settings.space = {.blocks = {1, 2, 3, 4, 5},  // five can't be built
                    .layers = {1, 2},
                    .filters = {4, 8, 16},
                    .dense_layers = {0, 1},
                    .dense_units = {8, 16}};
  const auto rungs = all(*make_sampler(settings, input, 3));
  ASSERT_EQ(rungs.size(), 12U);
  EXPECT_EQ(rungs.front().config, "1 block, 1 layer, 4 filters, 0 dense");
  EXPECT_EQ(rungs.back().config, "4 blocks, 2 layers, 16 filters, 1 dense, 16 units");
}

// The structures that the whole grid has within the limit, and the ladder's.
TEST(Sampler, TheLadderSpreadsOverWhatFits) {
  const graph::Shape input{.height = 28, .width = 28, .channels = 1};
  const auto parameters = [](const graph::Graph& graph) { return cost::analyze(graph, {}).parameters; };
  for (const int64_t most : {2'000, 12'000, 30'000, 1'000'000}) {
    const Fits fits = [&](const Proposal& proposal) { return parameters(proposal.graph) <= most; };
    size_t fitting = 0;
    for (const Proposal& proposal : all(*make_sampler(with("grid"), input, 10)))
      fitting += fits(proposal) ? 1U : 0U;
    ASSERT_GT(fitting, 0U);
    const auto rungs = all(*make_sampler(with("ladder"), input, 10, fits));
    EXPECT_EQ(rungs.size(), std::min<size_t>(fitting, 12)) << most;
    for (const Proposal& proposal : rungs) EXPECT_LE(parameters(proposal.graph), most) << proposal.config;
  }
  const auto configs = [&](const Fits& fits) {
    std::vector<std::string> names;
    for (const Proposal& rung : all(*make_sampler(with("ladder"), input, 10, fits)))
      names.push_back(rung.config);
    return names;
  };
  EXPECT_EQ(configs([](const Proposal&) { return true; }), configs({})) << "wide limits change nothing";
  EXPECT_EQ(configs([](const Proposal&) { return false; }).size(), 162U)
      << "that nothing fits is said of the whole space";
}

TEST(Sampler, StudentsAreNamedReadablyWhateverFormTheyCameIn) {
  const graph::Shape input{.height = 8, .width = 8, .channels = 1};
  const std::string list = "[('Conv2D', 8), ('MaxPool2D', None), ('Flatten', None), ('Dense', 3)]";
  const auto proposals = all(*make_sampler(
      with("list", {"1,1,8,0",
                    "[('Conv2D', 8), ('MaxPool2D', None), ('GlobalAveragePooling2D', None), ('Dense', 5), "
                    "('Dense', 3)]",
                    list}),
      input, 3));
  ASSERT_EQ(proposals.size(), 3U);
  EXPECT_EQ(proposals[0].config, "1 block, 1 layer, 8 filters, 0 dense");
  EXPECT_EQ(proposals[1].config, "1 block, 1 layer, 8 filters, 1 dense, 5 units");
  EXPECT_EQ(proposals[2].config, list) << "no point of a grid";
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
      if (proposal.layers.empty()) continue;  // no list of the notebook's kind makes it
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

// What a search knows after exploring: the nearer to a million multiply-accumulates the better, but for every fifth,
// which failed.
std::vector<TrialResult> explored(const std::vector<Proposal>& proposals) {
  std::vector<TrialResult> trials;
  for (const Proposal& proposal : proposals) {
    TrialResult trial{.number = static_cast<int>(trials.size()),
                      .config = proposal.config,
                      .hash = proposal.hash,
                      .effort = Effort::Explore,
                      .parent = proposal.parent,
                      .outcome = trials.size() % 5 == 4 ? Outcome::Failed : Outcome::Complete};
    trial.parameters = graph::parameter_count(proposal.graph);
    trial.footprint.model_bytes = trial.parameters;
    trial.accuracy_int8 =
        1 - std::abs(std::log(static_cast<double>(graph::total_macs(proposal.graph)) / 1e6)) / 10;
    trials.push_back(trial);
  }
  return trials;
}

TEST(Sampler, EvolutionChangesTheBestAndIsTheSameAfterARestart) {
  const graph::Shape input{.height = 28, .width = 28, .channels = 1};
  SearchSettings settings = preset("micro");
  const auto fits = [](const Proposal& proposal) { return graph::parameter_count(proposal.graph) < 20'000; };
  const auto sampler = make_sampler(settings, input, 10, fits);
  std::vector<Proposal> proposals;
  for (int i = 0; i < settings.exploration.first; ++i) proposals.push_back(sampler->propose({}).value());
  EXPECT_FALSE(sampler->propose({})) << "the first generation is over";
  std::vector<double> best;
  for (int generation = 0; generation < 12; ++generation) {
    const std::vector<TrialResult> known = explored(proposals);
    best.push_back(std::ranges::max(known, {}, &TrialResult::accuracy_int8).accuracy_int8);
    const auto restarted = make_sampler(settings, input, 10, fits);
    for (int i = 0; i < settings.exploration.generation; ++i) {
      const auto proposal = sampler->propose(known);
      ASSERT_TRUE(proposal);
      EXPECT_EQ(proposal->hash, restarted->propose(known).value().hash);
      ASSERT_GE(proposal->parent, 0);
      ASSERT_LT(proposal->parent, static_cast<int>(known.size()));
      EXPECT_EQ(known[static_cast<size_t>(proposal->parent)].outcome, Outcome::Complete);
      EXPECT_TRUE(fits(*proposal));
      EXPECT_TRUE(std::ranges::none_of(
          proposals, [&](const Proposal& earlier) { return earlier.hash == proposal->hash; }));
      EXPECT_EQ(graph::graph_from_config(proposal->config, input, 10), proposal->graph);
      proposals.push_back(*proposal);
    }
  }
  EXPECT_GT(best.back(), best.front());
  // A third of the children is for sizes from the largest to a sixty-fourth; half of these sizes are below an eighth.
  const std::span children = std::span(proposals).subspan(static_cast<size_t>(settings.exploration.first));
  const auto small = std::ranges::count_if(
      children, [](const Proposal& proposal) { return graph::parameter_count(proposal.graph) < 20'000 / 8; });
  EXPECT_GE(small, std::ssize(children) / 8);
  settings.seed = 7;
  const auto other = make_sampler(settings, input, 10, fits);
  std::set<std::string> of_other;
  for (const Proposal& proposal : all(*other)) of_other.insert(proposal.hash);
  EXPECT_TRUE(std::ranges::any_of(std::span(proposals).first(of_other.size()), [&](const Proposal& proposal) {
    return !of_other.contains(proposal.hash);
  }));
}

TEST(Sampler, EveryChangeOfANetworkIsAnotherOneThatReadsBack) {
  Rng rng(3);
  const graph::Shape input{.height = 32, .width = 32, .channels = 3};
  std::set<std::string> seen;
  int built = 0;
  for (int i = 0; i < 300; ++i) {
    graph::MicroNetwork network = random_micro_network(rng, input);
    for (int step = 0; step < 6; ++step) {
      const graph::MicroNetwork child = mutated(network, rng);
      EXPECT_NE(child, network);
      EXPECT_EQ(graph::micro_network(to_string(child)), child);
      try {
        graph::build(child, input, 10);
        ++built;
      } catch (const Error&) {
        continue;  // a pool where nothing is left
      }
      seen.insert(to_string(child));
      network = child;
    }
    const graph::MicroNetwork narrower = scaled(network, 0.9);
    EXPECT_LE(graph::parameter_count(graph::build(narrower, input, 10)),
              graph::parameter_count(graph::build(network, input, 10)));
  }
  EXPECT_GT(built, 1700);
  EXPECT_GT(seen.size(), 1500U);
}

TEST(Sampler, MicroNetworksAreSeededFitAndReadBack) {
  SearchSettings settings;
  settings.sampler = "micro";
  const graph::Shape input{32, 32, 3, false};
  const auto fits = [](const Proposal& proposal) { return graph::parameter_count(proposal.graph) < 20'000; };
  const auto configs = [&](uint64_t seed) {
    settings.seed = seed;
    const auto sampler = make_sampler(settings, input, 10, fits);
    std::vector<std::string> texts;
    while (const auto proposal = sampler->propose({})) {
      EXPECT_TRUE(fits(*proposal));
      EXPECT_EQ(graph::graph_from_config(proposal->config, input, 10), proposal->graph);
      texts.push_back(proposal->config);
    }
    return texts;
  };
  const std::vector<std::string> first = configs(1);
  EXPECT_EQ(first.size(), 12U);
  EXPECT_EQ(configs(1), first);
  EXPECT_NE(configs(2), first);
  settings.trials = 30;
  EXPECT_EQ(configs(1).size(), 30U);
  // Where nothing fits, one is proposed all the same: the smallest, so that its excess can be told.
  const auto hopeless = make_sampler(settings, input, 10, [](const Proposal&) { return false; });
  EXPECT_TRUE(hopeless->propose({}));
  EXPECT_FALSE(hopeless->propose({}));
}

}  // namespace
}  // namespace retort::search