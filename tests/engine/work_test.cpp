#include "engine/work.h"

#include <gtest/gtest.h>

#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "graph/micro.h"

namespace retort::engine {
namespace {

graph::Graph network(const char* text, int side = 16) {
  return graph::build(graph::micro_network(text), {.height = side, .width = side, .channels = 1}, 3);
}

TEST(Work, ChannelsCountInBlocks) {
  // But for the values after the mean, and the dense layer's three weights for each of them.
  const Work four = work_of(network("conv 4, conv 4, gap"));
  const Work eight = work_of(network("conv 8, conv 8, gap"));
  EXPECT_EQ(four.activations, eight.activations - 4);
  EXPECT_NEAR(four.macs, eight.macs, 20);
  EXPECT_LT(eight.macs, 0.6 * work_of(network("conv 9, conv 9, gap")).macs);
  EXPECT_LT(work_of(network("conv 16, gap")).macs, work_of(network("conv 17, gap")).macs / 1.4);
}

TEST(Work, NarrowNetworksHaveShortBlocks) {
  EXPECT_EQ(choose_block(network("conv 8, res 8 s2, sep 8, gap"), Precision::Float32), 8);
  EXPECT_EQ(choose_block(network("conv 4, conv 24, gap"), Precision::Bfloat16), 8);
  const int longest = onednn::channel_block();
  for (const char* text : {"conv 16, conv 32 s2, conv 32, gap", "conv 12, res 16 s2, res 32 s2, gap"}) {
    EXPECT_EQ(choose_block(network(text), Precision::Float32), longest) << text;
    EXPECT_EQ(choose_block(network(text), Precision::Bfloat16), longest) << text;
  }
}

TEST(Work, BothBlocksAreComputedByKernelsOfTheirOwn) {
  const auto plan = [](const char* text) {
    return backend("cpu").compile(network(text), {})->describe_plan();
  };
  for (const std::string& line : plan("conv 8, res 8 s2, sep 8, gap"))
    EXPECT_EQ(line.find("avx512"), std::string::npos) << line;
  if (onednn::channel_block() == 16) {
    int quick = 0;
    for (const std::string& line : plan("conv 16, res 32 s2, gap"))
      quick += line.find("avx512") != std::string::npos;
    EXPECT_GT(quick, 0);
  }
}

}  // namespace
}  // namespace retort::engine
