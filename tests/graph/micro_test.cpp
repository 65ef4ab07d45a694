#include "graph/micro.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "graph/notebook.h"
#include "graph/reference_networks.h"

namespace retort::graph {
namespace {

constexpr Shape kGrey{32, 32, 1, false};

std::string message(std::string_view text) {
  try {
    graph_from_config(text, kGrey, 10);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "no error";
}

int count(const Graph& graph, std::string_view name) {
  int found = 0;
  for (const Node& node : graph.nodes()) found += operator_name(node.op) == name ? 1 : 0;
  return found;
}

TEST(Micro, TextComesBack) {
  for (const char* text : {"conv 16, gap", "conv 16, res 16, sep 32 k5 s2, inv 32 e3, pool 2, gap, dense 48",
                           "sep 8 skip, avgpool 4, flatten, dense 32, dense 16", "inv 12 k7 s2 e1, gap",
                           "gray, conv 8 s2, gap"}) {
    const MicroNetwork network = micro_network(text);
    EXPECT_EQ(to_string(network), text);
    EXPECT_EQ(micro_network(to_string(network)), network);
  }
  // What may be left out.
  EXPECT_EQ(to_string(micro_network(" conv  8 k3 s1 ,inv 8 e4")), "conv 8, inv 8, gap");
}

TEST(Micro, BuildsWhatItSays) {
  const Graph graph = graph_from_config(
      "conv 16, sep 16 skip, sep 24 s2, inv 24 e2, res 32 s2, pool 2, gap, dense 20", kGrey, 10);
  EXPECT_EQ(count(graph, "depthwise_conv"), 3);
  // stem 1, sep 1 each, inv 2, res 2 and its shortcut
  EXPECT_EQ(count(graph, "conv"), 8);
  EXPECT_EQ(count(graph, "batch_norm"), 11);
  EXPECT_EQ(count(graph, "add"), 3);
  EXPECT_EQ(count(graph, "max_pool"), 1);
  EXPECT_EQ(count(graph, "dense"), 2);
  EXPECT_EQ(graph.classes(), 10);
  // An inverted residual that changes the shape has no skip, one that does not expand no first convolution.
  EXPECT_EQ(count(graph_from_config("inv 12 e2, inv 16 e2", kGrey, 10), "add"), 0);
  EXPECT_EQ(count(graph_from_config("conv 12, inv 12 e1", kGrey, 10), "conv"), 2);
}

TEST(Micro, MakesAnImageGrey) {
  const Graph graph = graph_from_config("gray, conv 8, gap", {32, 32, 3, false}, 10);
  EXPECT_EQ(graph.node(1).shape, (Shape{32, 32, 1, false}));
  EXPECT_EQ(node_macs(graph, 1), 32 * 32 * 3);
  EXPECT_EQ(count(graph, "batch_norm"), 1);
}

// The same shapes and arithmetic as MLPerf Tiny's networks, whose convolutions have a bias too.
TEST(Micro, ReachesKnownNetworks) {
  const auto macs = [](const Graph& graph) {
    int64_t sum = 0;
    for (int i = 0; i < graph.size(); ++i) sum += node_macs(graph, i);
    return sum;
  };
  EXPECT_EQ(macs(graph_from_config("conv 16, res 16, res 32 s2, res 64 s2, gap", {32, 32, 3, false}, 10)),
            macs(reference_network("resnet8")));
}

TEST(Micro, SaysWhatIsWrong) {
  EXPECT_NE(message("conv, gap").find("entry 1 (\"conv\") lacks its width"), std::string::npos);
  EXPECT_NE(message("conv 16, sepp 3").find("entry 2 begins with \"sepp\""), std::string::npos);
  EXPECT_NE(message("conv 16 k99").find("a kernel is k1 to k15"), std::string::npos);
  EXPECT_NE(message("conv 0").find("no number from 1"), std::string::npos);
  EXPECT_NE(message("conv 16 e2").find("\"e2\"; kN, sN are known"), std::string::npos);
  EXPECT_NE(message("conv 16, sep 20 skip").find("which has 16"), std::string::npos);
  EXPECT_NE(message("conv 16 skip").find("takes no \"skip\""), std::string::npos);
  EXPECT_NE(message("gap, conv 16").find("stands behind the head"), std::string::npos);
  EXPECT_NE(message("gray, conv 8").find("\"gray\": the images are grey already"), std::string::npos);
  EXPECT_NE(message("conv 8, gray").find("stands behind another block"), std::string::npos);
  EXPECT_NE(message("gray 1, conv 8").find("takes nothing more"), std::string::npos);
  EXPECT_NE(message("conv 8, gap, flatten").find("second head"), std::string::npos);
  EXPECT_NE(message("conv 8,, gap").find("entry 2 is empty"), std::string::npos);
  EXPECT_NE(message("conv 8, pool 40").find("larger than what is left, 32 × 32"), std::string::npos);
}

}  // namespace
}  // namespace retort::graph
