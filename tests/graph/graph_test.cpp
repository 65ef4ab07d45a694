#include "graph/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/rng.h"
#include "graph/notebook.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"

namespace retort::graph {
namespace {

std::string usage_message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "no error";
}

// TensorFlow's documented formulas, written with real numbers.
TEST(WindowGeometry, FollowsTensorFlowForAnySizes) {
  for (const int in : {1, 2, 3, 5, 7, 8, 13, 32, 49}) {
    for (int kernel = 1; kernel <= 11; ++kernel) {
      for (int stride = 1; stride <= 5; ++stride) {
        const WindowGeometry same = window_geometry({kernel, 3, stride, 1, Padding::Same}, in, 9);
        const int out = static_cast<int>(std::ceil(static_cast<double>(in) / stride));
        const int total = in % stride == 0 ? std::max(kernel - stride, 0) : std::max(kernel - in % stride, 0);
        EXPECT_EQ(same.out_height, out);
        EXPECT_EQ(same.pad_top, total / 2) << in << " " << kernel << " " << stride;
        EXPECT_EQ(same.pad_top + same.pad_bottom, total);
        EXPECT_EQ(same.out_width, 9);
        EXPECT_EQ(same.pad_left, 1);
        EXPECT_EQ(same.pad_right, 1);
        if (kernel <= in) {
          const WindowGeometry valid = window_geometry({1, kernel, 1, stride, Padding::Valid}, 4, in);
          EXPECT_EQ(valid.out_width,
                    static_cast<int>(std::ceil((in - kernel + 1) / static_cast<double>(stride))));
          EXPECT_EQ(valid.pad_left + valid.pad_right + valid.pad_top + valid.pad_bottom, 0);
        } else {
          EXPECT_THROW(window_geometry({1, kernel, 1, stride, Padding::Valid}, 4, in), Error);
        }
      }
    }
  }
}

TEST(Graph, InfersShapes) {
  Graph graph({32, 31, 3, false});
  graph.add(Conv{16, {3, 5, 2, 2, Padding::Same}});
  EXPECT_EQ(graph.node(1).shape, (Shape{16, 16, 16, false}));
  graph.add(DepthwiseConv{{3, 3, 1, 1, Padding::Valid}});
  EXPECT_EQ(graph.node(2).shape, (Shape{14, 14, 16, false}));
  graph.add(MaxPool{});
  EXPECT_EQ(graph.node(3).shape, (Shape{7, 7, 16, false}));
  graph.add(Flatten{});
  EXPECT_EQ(graph.node(4).shape, (Shape{1, 1, 784, true}));
  graph.add(Dense{10});
  graph.add(Softmax{});
  EXPECT_EQ(graph.logits(), 5);
  EXPECT_EQ(graph.classes(), 10);
  EXPECT_EQ(graph.consumer_counts(), (std::vector<int>{1, 1, 1, 1, 1, 1, 0}));
}

TEST(Graph, RefusesWhatDoesNotFit) {
  const auto message = [](const Shape& input, Operator op, std::vector<int> inputs = {0}) {
    return usage_message([&] { Graph(input).add(op, inputs); });
  };
  const Shape image{8, 8, 3, false};
  EXPECT_NE(message(image, Dense{4}).find("flat input"), std::string::npos);
  EXPECT_NE(message({1, 1, 5, true}, Conv{4}).find("spatial"), std::string::npos);
  EXPECT_NE(message(image, Conv{0}).find("filters is 0"), std::string::npos);
  EXPECT_NE(message(image, Conv{4, {9, 1, 1, 1, Padding::Valid}}).find("does not fit"), std::string::npos);
  EXPECT_NE(message(image, Conv{4, {3, 3, 0, 1, Padding::Same}}).find("stride height is 0"),
            std::string::npos);
  EXPECT_NE(message(image, Relu{}, {1}).find("not an earlier node"), std::string::npos);
  EXPECT_NE(message(image, Relu{}, {-1}).find("not an earlier node"), std::string::npos);
  EXPECT_NE(message(image, Add{}).find("takes 2 inputs"), std::string::npos);
  EXPECT_NE(message(image, Dropout{1.0F}).find("rate is 1"), std::string::npos);
  EXPECT_NE(message(image, Dropout{std::nanf("")}).find("rate"), std::string::npos);
  EXPECT_NE(message(image, Input{}, {}).find("one input"), std::string::npos);
  EXPECT_NE(message(image, Conv{65536, {65536, 65536, 1, 1, Padding::Same}}).find("too large"),
            std::string::npos);
  EXPECT_NE(usage_message([] { Graph({65536, 65536, 65536, false}); }).find("too large"), std::string::npos);
  EXPECT_NE(usage_message([] { Graph({65537, 1, 1, false}); }).find("height is 65537"), std::string::npos);
  EXPECT_NE(usage_message([] { Graph({2, 1, 1, true}); }).find("flat shape"), std::string::npos);
  Graph branches(image);
  branches.add(Conv{4});
  EXPECT_NE(usage_message([&] { branches.add(Add{}, {0, 1}); }).find("one shape"), std::string::npos);
}

TEST(Graph, RefusesMoreWeightsThanAGraphMayHave) {
  Graph graph({.height = 1, .width = 1, .channels = 16384, .flat = true});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(graph.add(Dense{.units = 4096}, {0}), i + 1);
  EXPECT_NE(usage_message([&] { graph.add(Dense{.units = 1}, {0}); }).find("more than 268435456 weights"),
            std::string::npos);
  EXPECT_EQ(graph.size(), 5);
  graph.add(Relu{});  // which has none
}

TEST(Graph, CountsMultiplyAccumulates) {
  // Figures of the papers and the benchmark: 12.5 M, 2.7 M, 7.5 M, 264 K.
  const auto total = [](std::string_view name) {
    const Graph graph = reference_network(name);
    int64_t sum = 0;
    for (int i = 0; i < graph.size(); ++i) sum += node_macs(graph, i);
    return sum;
  };
  EXPECT_EQ(total("resnet8"), 12'501'632);
  EXPECT_EQ(total("dscnn"), 2'656'768);
  EXPECT_EQ(total("mobilenet"), 7'489'664);
  EXPECT_EQ(total("autoencoder"), 264'192);
}

TEST(Json, RoundTripsRandomGraphs) {
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    const Graph graph = random_graph(rng, {});
    const std::string text = graph_to_json(graph);
    const Graph again = graph_from_json(text);
    ASSERT_EQ(again, graph) << text;
    EXPECT_EQ(structural_hash(again), structural_hash(graph));
  }
}

TEST(Json, FillsInDefaults) {
  const Graph graph = graph_from_json(R"({"format":"retort-graph","version":1,"nodes":[
    {"op":"input","shape":[8,8,1]}, {"op":"conv","filters":4,"kernel":5,"strides":[2,1]},
    {"op":"fake_quant"}, {"op":"global_avg_pool"}, {"op":"dense","units":3,"grid":"int8","bias":false}]})");
  Graph expected({8, 8, 1, false});
  expected.add(Conv{4, {5, 5, 2, 1, Padding::Same}});
  expected.add(FakeQuant{});
  expected.add(GlobalAvgPool{});
  expected.add(Dense{3, Bias::Absent, Initializer::GlorotUniform, WeightGrid::Int8});
  EXPECT_EQ(graph, expected);
}

TEST(Json, NamesTheNodeAndField) {
  const auto message = [](std::string_view nodes) {
    const std::string text = R"({"format":"retort-graph","version":1,"nodes":[)" + std::string(nodes) + "]}";
    return usage_message([&] { graph_from_json(text); });
  };
  const std::string input = R"({"op":"input","shape":[8,8,1]},)";
  EXPECT_NE(message(R"({"op":"relu"})").find("node 0, field \"op\""), std::string::npos);
  EXPECT_NE(message(R"({"op":"input"})").find("node 0, field \"shape\": it is missing"), std::string::npos);
  EXPECT_NE(message(R"({"op":"input","shape":[0,1,1]})").find("node 0, field \"shape\""), std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conw","filters":3})").find("\"conw\" is not an operator"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv"})").find("node 1, field \"filters\": it is missing"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":3.5})").find("3.5 is not a whole number"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":18446744073709551615})").find("too large"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":-1})").find("negative"), std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":1,"kernal":3})").find("field \"kernal\""),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":1,"kernel":[1,2,3]})").find("\"kernel\""),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":1,"padding":"full"})").find("\"padding\""),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"conv","filters":1,"bias":1})").find("\"bias\""), std::string::npos);
  EXPECT_NE(message(input + R"({"op":"dropout","rate":2})").find("node 1 (dropout): rate is 2"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"relu","inputs":[7]})").find("node 1 (relu): input 7"),
            std::string::npos);
  EXPECT_NE(message(input + R"({"op":"relu","inputs":[0,0]})").find("takes 1 input"), std::string::npos);
  EXPECT_NE(message(input + R"({"op":"relu","inputs":"0"})").find("\"inputs\""), std::string::npos);
  EXPECT_NE(message(input + "7").find("node 1: it must be an object"), std::string::npos);
  EXPECT_NE(message("").find("at least an input"), std::string::npos);
}

TEST(Json, RefusesWhatIsNoGraph) {
  EXPECT_NE(usage_message([] { graph_from_json("{"); }).find("not a JSON graph"), std::string::npos);
  EXPECT_NE(usage_message([] { graph_from_json("{}"); }).find("not a JSON graph"), std::string::npos);
  EXPECT_NE(usage_message([] {
              graph_from_json(R"({"format":"retort-graph","version":9,"nodes":[]})");
            }).find("version 9"),
            std::string::npos);
  EXPECT_NE(usage_message([] {
              graph_from_json(R"({"format":"retort-graph","version":1,"x":1,"nodes":[]})");
            }).find("no field \"x\""),
            std::string::npos);
  const std::string deep(1'000'000, '[');
  EXPECT_NE(usage_message([&] { graph_from_json(deep); }).find("nested"), std::string::npos);
  std::string many = R"({"format":"retort-graph","version":1,"nodes":[{"op":"input","shape":[1]})";
  for (int i = 0; i < kMaximumNodes; ++i) many += R"(,{"op":"relu"})";
  EXPECT_NE(usage_message([&] { graph_from_json(many + "]}"); }).find("10001 nodes"), std::string::npos);
}

TEST(Hash, SeesTheNetworkAndNothingElse) {
  const auto build = [](const std::function<void(Graph&)>& body) {
    Graph graph({8, 8, 2, false});
    body(graph);
    return structural_hash(graph);
  };
  const Conv conv{4};
  const std::string base = build([&](Graph& g) {
    const int a = g.add(conv, {0});
    const int b = g.add(Conv{4, {5, 5, 1, 1, Padding::Same}}, {0});
    g.add(Add{}, {a, b});
  });
  EXPECT_EQ(base.size(), 32U);
  // Another order of writing, another order of summands, an unused node.
  EXPECT_EQ(base, build([&](Graph& g) {
              const int b = g.add(Conv{4, {5, 5, 1, 1, Padding::Same}}, {0});
              g.add(MaxPool{}, {b});
              const int a = g.add(conv, {0});
              g.add(Add{}, {b, a});
            }));
  // One layer read twice is not two equal layers.
  const std::string shared = build([&](Graph& g) {
    const int a = g.add(conv, {0});
    g.add(Add{}, {a, a});
  });
  const std::string twins = build([&](Graph& g) {
    const int a = g.add(conv, {0});
    const int b = g.add(conv, {0});
    g.add(Add{}, {a, b});
  });
  EXPECT_NE(shared, twins);
  // Everything that training sees.
  std::vector<std::string> hashes = {base, shared, twins};
  hashes.push_back(build([](Graph& g) { g.add(Conv{4}); }));
  hashes.push_back(build([](Graph& g) { g.add(Conv{5}); }));
  hashes.push_back(build([](Graph& g) { g.add(Conv{4, {}, Bias::Absent}); }));
  hashes.push_back(build([](Graph& g) { g.add(Conv{4, {}, Bias::Present, Initializer::HeUniform}); }));
  hashes.push_back(build([](Graph& g) { g.add(Conv{4, {3, 3, 1, 1, Padding::Valid}}); }));
  hashes.push_back(build([](Graph& g) { g.add(Dropout{0.1F}); }));
  hashes.push_back(build([](Graph& g) { g.add(Dropout{0.2F}); }));
  hashes.push_back(structural_hash(Graph({8, 8, 2, false})));
  hashes.push_back(structural_hash(Graph({8, 8, 3, false})));
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
}

}  // namespace
}  // namespace retort::graph
