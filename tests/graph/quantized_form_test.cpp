#include "graph/quantized_form.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"

namespace retort::graph {
namespace {

using Values = std::vector<double>;

// Inference of a graph in plain loops of doubles; Dropout and FakeQuant are the identity.
class Reference {
 public:
  Reference(const Graph& graph, const Parameters& parameters) : graph_(graph), parameters_(parameters) {}

  Values run(const Values& input) {
    std::vector<Values> outputs(graph_.nodes().size());
    outputs[0] = input;
    for (int i = 1; i < graph_.size(); ++i) {
      const Node& node = graph_.node(i);
      index_ = i;
      in_shape_ = graph_.node(node.inputs[0]).shape;
      out_shape_ = node.shape;
      in_ = &outputs[static_cast<size_t>(node.inputs[0])];
      second_ = &outputs[static_cast<size_t>(node.inputs.back())];
      outputs[static_cast<size_t>(i)] = std::visit(*this, node.op);
    }
    return outputs.back();
  }

  Values operator()(const Input& /*op*/) const { return *in_; }
  Values operator()(const Conv& op) const {
    const auto kernel = parameters_.at(index_, Role::Kernel);
    return windowed(op.window, [&](int o, auto visit_cells) {
      double sum = bias(op.bias, o);
      visit_cells([&](int cell, size_t at) {
        for (int c = 0; c < in_shape_.channels; ++c) {
          const int weight =
              (o * op.window.kernel_height * op.window.kernel_width + cell) * in_shape_.channels + c;
          sum +=
              static_cast<double>(kernel[static_cast<size_t>(weight)]) * (*in_)[at + static_cast<size_t>(c)];
        }
      });
      return sum;
    });
  }
  Values operator()(const DepthwiseConv& op) const {
    const auto kernel = parameters_.at(index_, Role::Kernel);
    return windowed(op.window, [&](int o, auto visit_cells) {
      double sum = bias(op.bias, o);
      visit_cells([&](int cell, size_t at) {
        const int weight = cell * in_shape_.channels + o;
        sum += static_cast<double>(kernel[static_cast<size_t>(weight)]) * (*in_)[at + static_cast<size_t>(o)];
      });
      return sum;
    });
  }
  Values operator()(const Dense& op) const {
    const auto kernel = parameters_.at(index_, Role::Kernel);
    Values out;
    for (int o = 0; o < op.units; ++o) {
      double sum = bias(op.bias, o);
      for (size_t i = 0; i < in_->size(); ++i)
        sum += static_cast<double>(kernel[static_cast<size_t>(o) * in_->size() + i]) * (*in_)[i];
      out.push_back(sum);
    }
    return out;
  }
  Values operator()(const BatchNorm& op) const {
    Values out = *in_;
    const auto channels = static_cast<size_t>(in_shape_.channels);
    const auto at = [&](Role role, size_t c) { return static_cast<double>(parameters_.at(index_, role)[c]); };
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t c = i % channels;
      out[i] = at(Role::Gamma, c) * (out[i] - at(Role::Mean, c)) /
                   std::sqrt(at(Role::Variance, c) + static_cast<double>(op.epsilon)) +
               at(Role::Beta, c);
    }
    return out;
  }
  Values operator()(const Relu& /*op*/) const {
    Values out = *in_;
    for (double& value : out) value = std::max(value, 0.0);
    return out;
  }
  Values operator()(const Relu6& /*op*/) const {
    Values out = *in_;
    for (double& value : out) value = std::clamp(value, 0.0, 6.0);
    return out;
  }
  Values operator()(const MaxPool& op) const {
    return windowed(op.window, [&](int o, auto visit_cells) {
      double most = -1e300;
      visit_cells(
          [&](int /*cell*/, size_t at) { most = std::max(most, (*in_)[at + static_cast<size_t>(o)]); });
      return most;
    });
  }
  Values operator()(const AvgPool& op) const {
    return windowed(op.window, [&](int o, auto visit_cells) {
      double sum = 0;
      int count = 0;
      visit_cells([&](int /*cell*/, size_t at) {
        sum += (*in_)[at + static_cast<size_t>(o)];
        ++count;
      });
      return sum / count;
    });
  }
  Values operator()(const GlobalAvgPool& /*op*/) const {
    const auto channels = static_cast<size_t>(in_shape_.channels);
    Values out(channels, 0.0);
    for (size_t i = 0; i < in_->size(); ++i) out[i % channels] += (*in_)[i];
    for (double& value : out) value *= static_cast<double>(channels) / static_cast<double>(in_->size());
    return out;
  }
  Values operator()(const Add& /*op*/) const {
    Values out = *in_;
    for (size_t i = 0; i < out.size(); ++i) out[i] += (*second_)[i];
    return out;
  }
  Values operator()(const Softmax& /*op*/) const {
    Values out = *in_;
    const double most = *std::max_element(out.begin(), out.end());
    double sum = 0;
    for (double& value : out) sum += value = std::exp(value - most);
    for (double& value : out) value /= sum;
    return out;
  }
  Values operator()(const Flatten& /*op*/) const { return *in_; }
  Values operator()(const Dropout& /*op*/) const { return *in_; }
  Values operator()(const FakeQuant& /*op*/) const { return *in_; }

 private:
  [[nodiscard]] double bias(Bias present, int o) const {
    return present == Bias::Present
               ? static_cast<double>(parameters_.at(index_, Role::Bias)[static_cast<size_t>(o)])
               : 0.0;
  }
  // Calls cell_value(channel, visit) for each output; visit(f) calls f(kernel cell, input offset) inside the
  // image.
  template <typename CellValue>
  Values windowed(const Window& window, CellValue cell_value) const {
    const WindowGeometry geometry = window_geometry(window, in_shape_.height, in_shape_.width);
    Values out;
    for (int y = 0; y < out_shape_.height; ++y)
      for (int x = 0; x < out_shape_.width; ++x)
        for (int o = 0; o < out_shape_.channels; ++o)
          out.push_back(cell_value(o, [&](auto visit) {
            for (int ky = 0; ky < window.kernel_height; ++ky)
              for (int kx = 0; kx < window.kernel_width; ++kx) {
                const int iy = y * window.stride_height + ky - geometry.pad_top;
                const int ix = x * window.stride_width + kx - geometry.pad_left;
                if (iy < 0 || iy >= in_shape_.height || ix < 0 || ix >= in_shape_.width) continue;
                const int offset = (iy * in_shape_.width + ix) * in_shape_.channels;
                visit(ky * window.kernel_width + kx, static_cast<size_t>(offset));
              }
          }));
    return out;
  }

  const Graph& graph_;
  const Parameters& parameters_;
  int index_ = 0;
  Shape in_shape_;
  Shape out_shape_;
  const Values* in_ = nullptr;
  const Values* second_ = nullptr;
};

// Weights as training might leave them: nothing at its initial value.
Parameters trained_like(const Graph& graph, Rng& rng) {
  Parameters parameters = initialize(graph, rng);
  for (const ParameterSpec& spec : parameters.specs()) {
    if (spec.role == Role::Kernel) continue;
    for (float& value : parameters.at(spec.node, spec.role)) {
      value = rng.uniform(-0.5F, 0.5F);
      if (spec.role == Role::Variance) value = rng.uniform(0.2F, 2.0F);
      if (spec.role == Role::Gamma) value = rng.uniform(0.5F, 1.5F) * (rng.below(8) == 0 ? -1.0F : 1.0F);
    }
  }
  return parameters;
}

Values random_input(const Graph& graph, Rng& rng) {
  Values input(static_cast<size_t>(graph.input_shape().size()));
  for (double& value : input) value = static_cast<double>(rng.uniform());
  return input;
}

// The rules of the form, checked node by node.
void expect_quantized(const Graph& graph) {
  const std::vector<int> readers = graph.consumer_counts();
  EXPECT_TRUE(std::holds_alternative<FakeQuant>(graph.node(1).op));
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.node(i);
    const bool has_kernel = std::holds_alternative<Conv>(node.op) ||
                            std::holds_alternative<DepthwiseConv>(node.op) ||
                            std::holds_alternative<Dense>(node.op);
    const bool relu = std::holds_alternative<Relu>(node.op) || std::holds_alternative<Relu6>(node.op);
    EXPECT_FALSE(std::holds_alternative<BatchNorm>(node.op));
    EXPECT_FALSE(std::holds_alternative<Dropout>(node.op));
    std::visit(
        [&](const auto& op) {
          if constexpr (requires { op.grid; }) {
            EXPECT_EQ(op.grid, WeightGrid::Int8);
            EXPECT_EQ(op.bias, Bias::Present);
          }
        },
        node.op);
    if (!has_kernel && !relu && !std::holds_alternative<Add>(node.op) &&
        !std::holds_alternative<GlobalAvgPool>(node.op))
      continue;
    // Exactly one reader: a FakeQuant, or the ReLU that it fuses with.
    ASSERT_EQ(readers[static_cast<size_t>(i)], 1);
    const Node& next = graph.node(i + 1);
    ASSERT_EQ(next.inputs[0], i);
    if (std::holds_alternative<FakeQuant>(next.op)) continue;
    EXPECT_FALSE(relu);
    EXPECT_TRUE(std::holds_alternative<Relu>(next.op) || std::holds_alternative<Relu6>(next.op));
  }
}

TEST(QuantizedForm, KeepsTheFunctionOfRandomGraphs) {
  Rng rng(4);
  double largest = 0;
  for (int i = 0; i < 300; ++i) {
    const Graph graph = random_graph(rng, {});
    const Parameters parameters = trained_like(graph, rng);
    const QuantizedForm form = quantized_form(graph, parameters);
    expect_quantized(form.graph);
    ASSERT_EQ(quantized_form(graph), form.graph);
    const Values input = random_input(graph, rng);
    const Values before = Reference(graph, parameters).run(input);
    const Values after = Reference(form.graph, form.parameters).run(input);
    ASSERT_EQ(before.size(), after.size());
    double magnitude = 1;
    for (const double value : before) magnitude = std::max(magnitude, std::abs(value));
    for (size_t k = 0; k < before.size(); ++k) {
      largest = std::max(largest, std::abs(before[k] - after[k]) / magnitude);
      ASSERT_NEAR(before[k], after[k], 2e-5 * magnitude) << graph_to_json(graph);
    }
  }
  EXPECT_GT(largest, 0.0);  // folding did round somewhere, so that something was compared
}

TEST(QuantizedForm, IsIdempotentAndKeepsRanges) {
  Rng rng(5);
  for (int i = 0; i < 100; ++i) {
    const Graph graph = random_graph(rng, {});
    QuantizedForm once = quantized_form(graph, trained_like(graph, rng));
    for (const ParameterSpec& spec : once.parameters.specs())
      if (spec.role == Role::Range && spec.node != 1) {
        once.parameters.at(spec.node, Role::Range)[0] = -rng.uniform();
        once.parameters.at(spec.node, Role::Range)[1] = rng.uniform();
      }
    const QuantizedForm twice = quantized_form(once.graph, once.parameters);
    ASSERT_EQ(twice.graph, once.graph);
    ASSERT_TRUE(std::equal(once.parameters.values().begin(), once.parameters.values().end(),
                           twice.parameters.values().begin()));
  }
}

TEST(QuantizedForm, FixesTheInputsRange) {
  const Graph graph = reference_network("ds16");
  const QuantizedForm form = quantized_form(graph, Parameters(graph));
  EXPECT_EQ(form.parameters.at(1, Role::Range)[0], 0.0F);
  EXPECT_EQ(form.parameters.at(1, Role::Range)[1], 1.0F);
  EXPECT_EQ(form.parameters.at(4, Role::Range)[1], 0.0F);
}

// Where each batch norm of the notebook's teacher (after its ReLU) and of a depthwise network (before it)
// goes.
TEST(QuantizedForm, PlacesBatchNorms) {
  const auto count = [](const Graph& graph, std::string_view name) {
    return std::count_if(graph.nodes().begin(), graph.nodes().end(),
                         [&](const Node& node) { return operator_name(node.op) == name; });
  };
  const Graph teacher = quantized_form(reference_network("teacher"));
  EXPECT_EQ(count(teacher, "depthwise_conv"), 6);
  EXPECT_EQ(count(teacher, "conv"), 6);
  const Graph separable = quantized_form(reference_network("ds16"));
  EXPECT_EQ(count(separable, "depthwise_conv"), 4);
  EXPECT_EQ(count(separable, "fake_quant"), 1 + 9 + 1 + 1);
}

TEST(QuantizedForm, MergesActivationsInARow) {
  Graph graph({4, 4, 1, false});
  graph.add(Conv{2});
  graph.add(Relu{});
  graph.add(Dropout{});
  graph.add(Relu6{});
  graph.add(Relu{});
  Graph expected({4, 4, 1, false});
  expected.add(FakeQuant{});
  expected.add(Conv{2, {}, Bias::Present, Initializer::GlorotUniform, WeightGrid::Int8});
  expected.add(Relu6{});
  expected.add(FakeQuant{});
  EXPECT_EQ(quantized_form(graph), expected);
}

TEST(QuantizedForm, RefusesAFlatNormThatNoDenseLayerReads) {
  Graph graph({4, 4, 1, false});
  graph.add(GlobalAvgPool{});
  graph.add(BatchNorm{});
  EXPECT_THROW(quantized_form(graph), Error);
  graph.add(Dense{2});
  EXPECT_NO_THROW(quantized_form(graph));
  Graph activated({4, 4, 1, false});
  activated.add(GlobalAvgPool{});
  activated.add(BatchNorm{});
  activated.add(Relu{});
  EXPECT_THROW(quantized_form(activated), Error);
}

TEST(QuantGrid, HoldsZeroExactly) {
  const QuantGrid input = quant_grid(0.0F, 1.0F);
  EXPECT_EQ(input.scale, 1.0F / 255.0F);
  EXPECT_EQ(input.zero_point, -128);
  Rng rng(6);
  for (int i = 0; i < 1000; ++i) {
    const float low = rng.uniform(-3.0F, 1.0F);
    const float high = low + rng.uniform(0.0F, 4.0F);
    const QuantGrid grid = quant_grid(low, high);
    EXPECT_GE(grid.zero_point, -128);
    EXPECT_LE(grid.zero_point, 127);
    const float bottom = grid.scale * static_cast<float>(-128 - grid.zero_point);
    const float top = grid.scale * static_cast<float>(127 - grid.zero_point);
    EXPECT_NEAR(bottom, std::min(low, 0.0F), grid.scale);
    EXPECT_NEAR(top, std::max(high, 0.0F), grid.scale);
  }
  EXPECT_GT(quant_grid(0.0F, 0.0F).scale, 0.0F);
  EXPECT_GT(quant_grid(0.0F, 1e-40F).scale, 0.0F);
  EXPECT_EQ(quant_grid(-2.0F, -1.0F).zero_point, 127);
  EXPECT_THROW(quant_grid(0.0F, std::nanf("")), Error);
  EXPECT_EQ(weight_scale(0.0F), 1.0F);
  EXPECT_EQ(weight_scale(127.0F), 1.0F);
}

}  // namespace
}  // namespace retort::graph
