#include "search/micro_space.h"

#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "search/micro_sampler.h"
#include "search/mutation.h"
#include "synthetic.h"

namespace retort::search {
namespace {

using graph::Block;
using graph::BlockKind;

TEST(MicroSpace, AFileSaysWhatIsAllowed) {
  const MicroSpace space = parse_micro_space(R"(# plain and residual
blocks = ["conv", "res", "avgpool"]
least_width = 4
most_width = 48
width_step = 4
kernels = [3]
strides = [2, 1, 2]
most_blocks = 5
heads = ["gap"]
most_dense = 0
)",
                                             "mine.toml");
  EXPECT_EQ(space.kinds, (std::vector<BlockKind>{BlockKind::Conv, BlockKind::Residual, BlockKind::AvgPool}));
  EXPECT_EQ(space.strides, (std::vector<int>{1, 2}));
  EXPECT_EQ(space.expansions, MicroSpace{}.expansions) << "what is left out is as usual";
  EXPECT_EQ(Json(space).get<MicroSpace>(), space);
  // Every random network and every change of one is made to lie within.
  Rng rng(4);
  const graph::Shape input{.height = 32, .width = 32, .channels = 1};
  for (int i = 0; i < 200; ++i) {
    graph::MicroNetwork network = within(random_micro_network(rng, input), space, rng);
    for (int step = 0; step < 5; ++step) {
      network = within(mutated(network, rng), space, rng);
      EXPECT_LE(network.blocks.size(), 5U);
      EXPECT_TRUE(network.dense.empty());
      for (const Block& block : network.blocks) {
        EXPECT_NE(std::ranges::find(space.kinds, block.kind), space.kinds.end());
        if (block.kind == BlockKind::AvgPool) continue;
        EXPECT_TRUE(block.width % 4 == 0 && block.width >= 4 && block.width <= 48) << block.width;
        EXPECT_EQ(block.kernel, 3);
        EXPECT_LE(block.stride, 2);
      }
      EXPECT_EQ(within(network, space, rng), network);
      EXPECT_EQ(graph::micro_network(to_string(network)), network);
    }
  }
}

TEST(MicroSpace, TheDefaultAllowsWhatIsDrawnAndItsChanges) {
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    graph::MicroNetwork network = random_micro_network(rng, {.height = 28, .width = 28, .channels = 1});
    for (int step = 0; step < 4; ++step, network = mutated(network, rng))
      EXPECT_EQ(within(network, {}, rng), network) << to_string(network);
  }
}

TEST(MicroSpace, WhatMakesNoSenseIsNamedWithItsLine) {
  const auto sentence = [](const std::string& text) {
    const Thrown thrown = thrown_by([&] { parse_micro_space(text, "mine.toml"); });
    EXPECT_EQ(thrown.code, ErrorCode::Usage);
    return thrown.sentence;
  };
  for (const auto& [text, expected] :
       {std::pair{"\nwidht_step = 2", "mine.toml:2: the unknown key 'widht_step': did you mean width_step?"},
        std::pair{"blocks = [\"conv\", \"lstm\"]", "mine.toml:1: blocks holds \"lstm\": known are conv, sep"},
        std::pair{"blocks = [\"pool\"]", "mine.toml:1: blocks has nothing that learns features"},
        std::pair{"blocks = []", "mine.toml:1: blocks must be a list of at least one"},
        std::pair{"blocks = [3]", "mine.toml:1: blocks holds what is no text"},
        std::pair{"kernels = [3, 99]", "mine.toml:1: kernels must hold a whole number from 1 to 15"},
        std::pair{"most_width = 1.5", "mine.toml:1: most_width must hold a whole number"},
        std::pair{"least_width = 9\nmost_width = 8", "least_width 9 is more than most_width 8"},
        std::pair{"least_width = 9\nmost_width = 15\nwidth_step = 8", "no multiple of width_step 8"},
        std::pair{"heads = [", "mine.toml:1: "}})
    EXPECT_NE(sentence(text).find(expected), std::string::npos) << sentence(text);
}

}  // namespace
}  // namespace retort::search
