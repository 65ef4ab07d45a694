#include "cost/cost.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"
#include "int8/tflite.h"

namespace retort::cost {
namespace {

int64_t graph_macs(const graph::Graph& graph) {
  int64_t sum = 0;
  for (int i = 0; i < graph.size(); ++i) sum += graph::node_macs(graph, i);
  return sum;
}

void expect_equal(const Cost& a, const Cost& b) {
  EXPECT_EQ(Json(a), Json(b));
}

// The size is found without writing the weights; it must be the written file's all the same.
TEST(Cost, FlashIsTheFilesSize) {
  Rng rng(1);
  graph::RandomGraphOptions options;
  options.maximum_channels = 40;
  for (int i = 0; i < 150; ++i) {
    const graph::Graph graph = graph::random_graph(rng, options);
    CostOptions cost_options;
    cost_options.ends = i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float;
    if (i % 3 == 0) cost_options.classes = {"cat", "dog", std::string(static_cast<size_t>(i), 'x')};
    const auto file =
        int8::write_tflite(int8::lower_structure(graph, {cost_options.ends, cost_options.classes}));
    const Cost cost = analyze(graph, cost_options);
    ASSERT_EQ(cost.flash_bytes, static_cast<int64_t>(file.size())) << graph::graph_to_json(graph);
    // Reading the file back gives the same costs.
    expect_equal(analyze(int8::read_tflite(file, "file")), cost);
  }
  for (const std::string& name : graph::reference_network_names()) {
    const graph::Graph graph = graph::reference_network(name);
    EXPECT_EQ(analyze(graph, {}).flash_bytes,
              static_cast<int64_t>(int8::write_tflite(int8::lower_structure(graph, {})).size()))
        << name;
  }
}

// Trained numbers change neither the file's size nor the arena.
TEST(Cost, DoesNotDependOnTheNumbers) {
  Rng rng(2);
  for (int i = 0; i < 50; ++i) {
    const graph::Graph graph = graph::random_graph(rng, {});
    graph::QuantizedForm form = graph::quantized_form(graph, graph::initialize(graph, rng));
    for (const graph::ParameterSpec& spec : form.parameters.specs()) {
      if (spec.role != graph::Role::Range || spec.node == 1) continue;
      form.parameters.at(spec.node, spec.role)[0] = -rng.uniform(0.1F, 2.0F);
      form.parameters.at(spec.node, spec.role)[1] = rng.uniform(0.1F, 2.0F);
    }
    expect_equal(analyze(int8::lower(form.graph, form.parameters, {})), analyze(graph, {}));
  }
}

TEST(Cost, CountsWhatTheGraphCounts) {
  for (const char* name : {"s11_16", "s21_16", "s22_32", "s32_64"}) {
    const graph::Graph graph = graph::reference_network(name);
    const Cost cost = analyze(graph, {});
    EXPECT_EQ(cost.parameters, graph::parameter_count(graph)) << name;
    EXPECT_EQ(cost.macs, graph_macs(graph)) << name;
  }
  // Batch norms have been folded: each conv without bias has one instead of four numbers a channel.
  const Cost separable = analyze(graph::reference_network("ds16"), {});
  EXPECT_EQ(separable.parameters, 4'010 - 3 * (16 + 4 * 16 + 16 + 32 + 32 + 32));
  EXPECT_EQ(separable.macs, graph_macs(graph::reference_network("ds16")));
}

TEST(Cost, LayersAddUp) {
  const Cost cost = analyze(graph::reference_network("s21_16"), {});
  ASSERT_EQ(cost.layers.size(), 8U);
  int64_t parameters = 0;
  int64_t macs = 0;
  int64_t weight_bytes = 0;
  int64_t live_bytes = 0;
  for (const LayerCost& layer : cost.layers) {
    parameters += layer.parameters;
    macs += layer.macs;
    weight_bytes += layer.weight_bytes;
    live_bytes = std::max(live_bytes, layer.live_bytes);
  }
  EXPECT_EQ(parameters, cost.parameters);
  EXPECT_EQ(macs, cost.macs);
  EXPECT_EQ(weight_bytes, cost.weight_bytes);
  EXPECT_LE(live_bytes, cost.host.head_bytes);
  EXPECT_EQ(cost.layers[0].operator_name, "CONV_2D");
  EXPECT_EQ(cost.layers[0].output_dims, (std::vector<int>{1, 32, 32, 16}));
  EXPECT_EQ(cost.layers[0].macs, 32 * 32 * 16 * 9);
  EXPECT_EQ(cost.layers[0].weight_bytes, 16 * 9 + 4 * 16);
  EXPECT_EQ(cost.layers[0].output_bytes, 16'384);
  EXPECT_EQ(cost.layers[0].live_bytes, 16'384 + 1'024);
}

TEST(Cost, LayersTellShapesWindowsAndLives) {
  const Cost cost = analyze(graph::reference_network("s11_16"), {});  // conv, pool, mean, dense, softmax
  EXPECT_EQ(cost.layers[0].inputs_dims, (std::vector<std::vector<int>>{{1, 32, 32, 1}}));  // not the kernel
  ASSERT_TRUE(cost.layers[0].window && cost.layers[1].window);
  EXPECT_EQ(cost.layers[0].window->height, 3);
  EXPECT_EQ(cost.layers[0].window->stride_height, 1);
  EXPECT_EQ(cost.layers[1].window->width, 2);
  EXPECT_EQ(cost.layers[1].window->stride_width, 2);
  EXPECT_FALSE(cost.layers[3].window);
  // The head is what each layer says of its output, the input before them, and scratch.
  const auto buffer_of = [&](size_t layer) {
    return cost.head.at(static_cast<size_t>(cost.layers[layer].output_buffer));
  };
  int64_t top = 0;
  for (const HeadBuffer& buffer : cost.head) top = std::max(top, buffer.offset + buffer.bytes);
  EXPECT_EQ(top, cost.host.head_bytes);
  EXPECT_EQ(cost.head.front().kind, HeadBuffer::Kind::Input);
  EXPECT_EQ(cost.head.front().first_used, kBeforeTheFirst);
  EXPECT_EQ(cost.head.front().last_used, 0);
  EXPECT_EQ(buffer_of(0).kind, HeadBuffer::Kind::Activation);
  EXPECT_EQ(buffer_of(0).first_used, 0);
  EXPECT_EQ(buffer_of(0).last_used, 1);
  EXPECT_EQ(buffer_of(0).bytes, 16'384);
  EXPECT_EQ(buffer_of(4).kind, HeadBuffer::Kind::Output);
  EXPECT_EQ(buffer_of(4).last_used, 4);
  EXPECT_EQ(cost.head.back().kind, HeadBuffer::Kind::Scratch);
  EXPECT_EQ(cost.head.back().name, "MEAN");
  EXPECT_EQ(cost.head.back().first_used, 2);
  for (size_t k = 0; k < cost.layers.size(); ++k) {
    int64_t live = 0;
    for (const HeadBuffer& buffer : cost.head)
      if (buffer.first_used <= static_cast<int>(k) && static_cast<int>(k) <= buffer.last_used)
        live += buffer.bytes;
    EXPECT_EQ(cost.layers[k].live_bytes, live) << k;
  }
}

TEST(Cost, ActivationsAreCountedWithoutTheInputAndScratch) {
  // The largest step: the convolution's output and the pool's.
  EXPECT_EQ(analyze(graph::reference_network("s11_16"), {}).activation_bytes, 32 * 32 * 16 + 16 * 16 * 16);
  // What is added, and both outputs of the step before.
  const graph::Graph skip =
      graph::graph_from_config("conv 16, res 16, gap", {.height = 32, .width = 32, .channels = 1}, 10);
  EXPECT_EQ(analyze(skip, {}).activation_bytes, 3 * 32 * 32 * 16);
}

TEST(Cost, FloatEndsCostMore) {
  const graph::Graph graph = graph::reference_network("s11_16");
  const Cost int8_ends = analyze(graph, {});
  const Cost float_ends = analyze(graph, {int8::Ends::Float, {}});
  EXPECT_EQ(float_ends.layers.size(), int8_ends.layers.size() + 2);
  EXPECT_EQ(float_ends.layers.front().operator_name, "QUANTIZE");
  EXPECT_EQ(float_ends.layers.back().operator_name, "DEQUANTIZE");
  EXPECT_GT(float_ends.flash_bytes, int8_ends.flash_bytes);
  EXPECT_GT(float_ends.cortex_m4.used_bytes(), int8_ends.cortex_m4.used_bytes());
}

TEST(Cost, JsonHasWhatScriptsRelyOn) {
  const Cost cost = analyze(graph::reference_network("s11_16"), {});
  const Json json = cost;
  EXPECT_EQ(json["operators"], (Json{"CONV_2D", "MAX_POOL_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}));
  EXPECT_EQ(json["parameters"], 330);
  EXPECT_EQ(json["macs"], cost.macs);
  EXPECT_EQ(json["flash_bytes"], cost.flash_bytes);
  EXPECT_EQ(json["arena_bytes"]["cortex-m4"], cost.cortex_m4.used_bytes());
  EXPECT_EQ(json["arena_bytes"]["host"], 20'480 + 1'968);
  EXPECT_EQ(json["layers"].size(), 5U);
  EXPECT_EQ(json["layers"][1]["inputs"], Json::parse("[[1,32,32,16]]"));
  EXPECT_EQ(json["layers"][1]["kernel"], (Json{2, 2}));
  EXPECT_EQ(json["layers"][1]["stride"], (Json{2, 2}));
  EXPECT_FALSE(json["layers"][4].contains("kernel"));
  const Json& input = json["arena_buffers"][0];
  EXPECT_EQ(input["kind"], "input");
  EXPECT_EQ(input["tensor"], 0);
  EXPECT_EQ(input["bytes"], 1'024);
  EXPECT_EQ(input["offset"], 16'384);
  EXPECT_EQ(input["first_used"], -1);
  EXPECT_EQ(input["last_used"], 0);
  EXPECT_FALSE(json["arena_buffers"].back().contains("tensor"));
}

TEST(Cost, RefusesWhatNoFileHolds) {
  graph::Graph graph({1, 1, 16'384, true});
  try {
    for (int i = 0; i < 3; ++i) graph.add(graph::Dense{16'384});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_STREQ(error.what(), "the graph's kernels have more than 268435456 weights");
  }
}

}  // namespace
}  // namespace retort::cost
