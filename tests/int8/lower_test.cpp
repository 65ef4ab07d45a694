#include "int8/lower.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "base/error.h"
#include "graph/notebook.h"
#include "int8/check.h"
#include "int8/random_networks.h"
#include "int8/reference.h"
#include "int8/tflite.h"

namespace retort::int8 {
namespace {

std::vector<std::string> names_of(const QuantGraph& graph) {
  std::vector<std::string> names;
  for (const Operator& op : graph.operators) names.push_back(operator_name(op.kind));
  return names;
}

graph::QuantizedForm form_of(const graph::Graph& network) {
  Rng rng(30);
  return random_form(network, rng);
}

TEST(Lower, FusesActivationsAndKeepsTheOrder) {
  graph::Graph network({8, 8, 1, false});
  network.add(graph::Conv{4, {3, 3, 1, 1, graph::Padding::Same}});
  const int first = network.add(graph::Relu{});
  network.add(graph::DepthwiseConv{{3, 3, 1, 1, graph::Padding::Same}});
  network.add(graph::BatchNorm{});
  network.add(graph::Add{}, {first, network.output()});
  network.add(graph::Relu6{});
  network.add(graph::AvgPool{});
  network.add(graph::MaxPool{});
  network.add(graph::Flatten{});
  network.add(graph::Dropout{});
  network.add(graph::Dense{5});
  network.add(graph::Softmax{});
  const graph::QuantizedForm form = form_of(network);
  const QuantGraph lowered = lower(form.graph, form.parameters, {});
  EXPECT_EQ(names_of(lowered),
            (std::vector<std::string>{"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D",
                                      "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}));
  EXPECT_EQ(std::get<Conv2D>(lowered.operators[0].kind).activation, Activation::Relu);
  EXPECT_EQ(std::get<DepthwiseConv2D>(lowered.operators[1].kind).activation, Activation::None);
  EXPECT_EQ(std::get<AddOp>(lowered.operators[2].kind).activation, Activation::Relu6);
  const Tensor& input = lowered.tensors[static_cast<size_t>(lowered.inputs[0])];
  EXPECT_EQ(input.quantization, (Quantization{{1.0F / 255}, {-128}, 0}));
  const Tensor& output = lowered.tensors[static_cast<size_t>(lowered.outputs[0])];
  EXPECT_EQ(output.quantization, (Quantization{{1.0F / 256}, {-128}, 0}));
  const QuantGraph with_floats = lower(form.graph, form.parameters, {Ends::Float, {}});
  EXPECT_EQ(names_of(with_floats).front(), "QUANTIZE");
  EXPECT_EQ(names_of(with_floats).back(), "DEQUANTIZE");
}

TEST(Lower, WeightsAreTheNearestPointsOfTheirGrid) {
  Rng rng(31);
  for (int i = 0; i < 30; ++i) {
    const graph::QuantizedForm form = random_form(rng);
    const QuantGraph lowered = lower(form.graph, form.parameters, {});
    size_t kernels = 0;
    for (const graph::ParameterSpec& spec : form.parameters.specs()) {
      if (spec.role != graph::Role::Kernel) continue;
      const std::string name = std::string(graph::operator_name(form.graph.node(spec.node).op)) + "_" +
                               std::to_string(spec.node) + "/kernel";
      const auto found = std::find_if(lowered.tensors.begin(), lowered.tensors.end(),
                                      [&](const Tensor& t) { return t.name == name; });
      if (found == lowered.tensors.end()) continue;
      ++kernels;
      EXPECT_EQ(found->dims, spec.dims);
      const auto weights = form.parameters.at(spec.node, spec.role);
      const bool last = found->quantization.axis == 3;
      const size_t channels = found->quantization.scales.size();
      const size_t per_channel = weights.size() / channels;
      for (size_t w = 0; w < weights.size(); ++w) {
        const float scale = found->quantization.scales[last ? w % channels : w / per_channel];
        const auto q = static_cast<int8_t>(found->data[w]);
        ASSERT_LE(std::abs(static_cast<float>(q) * scale - weights[w]), 0.5001F * scale);
        ASSERT_GE(q, -127);
      }
    }
    EXPECT_GT(kernels, 0U);
  }
}

// The file that costs are computed from has the size of the one that training leads to.
TEST(Lower, StructureHasTheSizeAndOperatorsOfTheTrained) {
  for (int i = 0; i < 200; ++i) {
    Rng rng = Rng(32).fork("network", static_cast<uint64_t>(i));
    const graph::Graph network = graph::random_graph(rng, {});
    const graph::QuantizedForm form = random_form(network, rng);
    const LowerOptions options{i % 2 == 0 ? Ends::Int8 : Ends::Float, {"x"}};
    const QuantGraph trained = lower(form.graph, form.parameters, options);
    const QuantGraph structure = lower_structure(network, options);
    EXPECT_NO_THROW(check(structure, "structure"));
    EXPECT_EQ(names_of(structure), names_of(trained));
    EXPECT_EQ(write_tflite(structure).size(), write_tflite(trained).size()) << i;
    // The quantised form itself has the same structure.
    EXPECT_EQ(write_tflite(lower_structure(form.graph, options)).size(), write_tflite(trained).size()) << i;
  }
}

// A layer's values in int8 stand for what the float layer gives, within the grids' steps.
TEST(Lower, ConvIsTheFloatConvWithinAStep) {
  Rng rng(33);
  graph::Graph network({5, 5, 2, false});
  network.add(graph::Conv{3, {3, 3, 1, 1, graph::Padding::Valid}});
  graph::QuantizedForm form = form_of(network);
  const int fake_quant = form.graph.output();
  const int conv = form.graph.node(fake_quant).inputs[0];
  const auto range = form.parameters.at(fake_quant, graph::Role::Range);
  range[0] = -4;
  range[1] = 4;
  const auto kernel = form.parameters.at(conv, graph::Role::Kernel);
  const auto bias = form.parameters.at(conv, graph::Role::Bias);
  Interpreter interpreter(lower(form.graph, form.parameters, {Ends::Float, {}}));
  std::vector<float> image(50);
  for (float& value : image) value = std::round(rng.uniform() * 255) / 255;
  std::vector<uint8_t> input(image.size() * sizeof(float));
  std::memcpy(input.data(), image.data(), input.size());
  std::vector<float> output(27);
  std::vector<uint8_t> raw(output.size() * sizeof(float));
  interpreter.invoke(input, raw);
  std::memcpy(output.data(), raw.data(), raw.size());
  for (size_t y = 0; y < 3; ++y)
    for (size_t x = 0; x < 3; ++x)
      for (size_t o = 0; o < 3; ++o) {
        float sum = bias[o];
        for (size_t k = 0; k < 9; ++k)
          for (size_t c = 0; c < 2; ++c)
            sum += kernel[(o * 9 + k) * 2 + c] * image[((y + k / 3) * 5 + x + k % 3) * 2 + c];
        EXPECT_NEAR(output[(y * 3 + x) * 3 + o], sum, 0.05);
      }
}

// Layers that training left dead, or nearly: the file must still be one that every runtime takes.
TEST(Lower, DegenerateNumbersGiveValidFiles) {
  Rng rng(34);
  for (int i = 0; i < 200; ++i) {
    graph::QuantizedForm form = random_form(rng);
    for (const graph::ParameterSpec& spec : form.parameters.specs()) {
      if (spec.role == graph::Role::Range && spec.node == 1) continue;
      if (rng.below(2) == 0) continue;
      const float factor = std::exp2(rng.uniform(-120.0F, 10.0F));
      for (float& value : form.parameters.at(spec.node, spec.role))
        value = rng.below(4) == 0 ? 0.0F : value * factor;
    }
    const QuantGraph lowered = lower(form.graph, form.parameters, {});
    ASSERT_NO_THROW(check(lowered, "degenerate")) << i;
  }
}

// A channel whose weights are all pruned still gives its bias.
TEST(Lower, DeadChannelsKeepTheirBias) {
  graph::Graph network({1, 1, 8, true});
  network.add(graph::Dense{2});
  graph::QuantizedForm form = form_of(network);
  const int fake_quant = form.graph.output();
  const int dense = form.graph.node(fake_quant).inputs[0];
  for (float& weight : form.parameters.at(dense, graph::Role::Kernel)) weight = 0;
  form.parameters.at(dense, graph::Role::Bias)[0] = 0.7F;
  form.parameters.at(dense, graph::Role::Bias)[1] = -0.3F;
  form.parameters.at(fake_quant, graph::Role::Range)[0] = -1;
  form.parameters.at(fake_quant, graph::Role::Range)[1] = 1;
  Interpreter interpreter(lower(form.graph, form.parameters, {Ends::Float, {}}));
  const std::vector<uint8_t> input(8 * sizeof(float));
  std::vector<uint8_t> raw(2 * sizeof(float));
  interpreter.invoke(input, raw);
  float output[2];
  std::memcpy(output, raw.data(), sizeof(output));
  EXPECT_NEAR(output[0], 0.7, 1.0 / 255);
  EXPECT_NEAR(output[1], -0.3, 1.0 / 255);
}

TEST(Lower, RefusesWhatIsNotInQuantisedForm) {
  graph::Graph network({8, 8, 1, false});
  network.add(graph::Conv{4, {3, 3, 1, 1, graph::Padding::Same}});
  network.add(graph::BatchNorm{});
  network.add(graph::Flatten{});
  network.add(graph::Dense{5});
  Rng rng(35);
  const graph::Parameters parameters = graph::initialize(network, rng);
  const auto message = [](const graph::Graph& g, const graph::Parameters& p) -> std::string {
    try {
      lower(g, p, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message(network, parameters).find("node 2 (batch_norm)"), std::string::npos)
      << message(network, parameters);
  graph::QuantizedForm form = graph::quantized_form(network, parameters);
  EXPECT_NO_THROW(lower(form.graph, form.parameters, {}));
  form.parameters.at(1, graph::Role::Range)[1] = 2;
  EXPECT_NE(message(form.graph, form.parameters).find("must be [0, 1]"), std::string::npos);
  form.parameters.at(1, graph::Role::Range)[1] = 1;
  form.parameters.at(2, graph::Role::Kernel)[0] = NAN;
  try {
    lower(form.graph, form.parameters, {});
    FAIL() << "lowers what is not finite";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Failure) << "a search goes on with its next candidate";
    EXPECT_NE(std::string(error.what()).find("diverged"), std::string::npos);
  }
}

TEST(Lower, StructureOfAStudentTakesUnderAMillisecond) {
  const graph::Graph student =
      graph::create_model(graph::student_layers({3, 2, 32, 1, 128}, 10), {32, 32, 1, false}, 10);
  double best = 1;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const QuantGraph lowered = lower_structure(student, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
    ASSERT_FALSE(lowered.operators.empty());
  }
#ifdef NDEBUG
  EXPECT_LT(best, 1e-3);
#endif
}

}  // namespace
}  // namespace retort::int8
