#include "graph/quantized_form.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace retort::graph {

namespace {

constexpr int kGridSteps = 255;
constexpr int kLowest = -128;

// A step too small to divide by, from a tensor of zeros or nearly so: any grid that holds 0 will do.
bool is_negligible(double scale) {
  return scale < static_cast<double>(std::numeric_limits<float>::min());
}

}  // namespace

QuantGrid quant_grid(float minimum, float maximum) {
  if (!std::isfinite(minimum) || !std::isfinite(maximum))
    throw_failure("an activation's range is [{}, {}]; training has diverged", minimum, maximum);
  const double low = std::min(static_cast<double>(minimum), 0.0);
  const double high = std::max(static_cast<double>(maximum), 0.0);
  const double scale = (high - low) / kGridSteps;
  if (is_negligible(scale)) return {};
  const double zero_point = std::round(kLowest - low / scale);
  return {static_cast<float>(scale), static_cast<int>(std::clamp(zero_point, -128.0, 127.0))};
}

float weight_scale(float absolute_maximum) {
  const float scale = absolute_maximum / 127.0F;
  return is_negligible(static_cast<double>(scale)) ? 1.0F : scale;
}

namespace {

// Numbers are absent (empty) when only the structure is wanted.
using Values = std::vector<float>;

// y = scale · x + shift for each channel.
struct Affine {
  bool present = false;
  Values scale;
  Values shift;
};

struct WorkNode {
  Operator op;
  std::vector<int> inputs;
  Values kernel;
  Values bias;
  // The FakeQuant that already follows, when the graph has been prepared before.
  FakeQuant fake_quant;
  Values range;
};

// What an original node has become: a work node, and for a flat batch norm what its readers must apply.
struct Image {
  int node = -1;
  Affine affine;
};

bool has_kernel(const Operator& op) {
  return std::holds_alternative<Conv>(op) || std::holds_alternative<DepthwiseConv>(op) ||
         std::holds_alternative<Dense>(op);
}

bool is_relu(const Operator& op) {
  return std::holds_alternative<Relu>(op) || std::holds_alternative<Relu6>(op);
}

// Operators whose output has a range of its own.
bool sets_range(const Operator& op) {
  return std::holds_alternative<Input>(op) || has_kernel(op) || std::holds_alternative<Add>(op) ||
         std::holds_alternative<GlobalAvgPool>(op) || is_relu(op);
}

Operator on_int8_grid(Operator op) {
  const auto change = [](auto& layer) {
    layer.bias = Bias::Present;
    layer.grid = WeightGrid::Int8;
  };
  if (auto* conv = std::get_if<Conv>(&op)) change(*conv);
  if (auto* depthwise = std::get_if<DepthwiseConv>(&op)) change(*depthwise);
  if (auto* dense = std::get_if<Dense>(&op)) change(*dense);
  return op;
}

class Rewriter {
 public:
  Rewriter(const Graph& graph, const Parameters* parameters)
      : graph_(graph),
        parameters_(parameters),
        images_(graph.nodes().size()),
        readers_(graph.nodes().size(), 0) {
    const std::vector<bool> used = used_nodes(graph);
    for (size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) continue;
      for (const int input : graph.nodes()[i].inputs) ++readers_[static_cast<size_t>(input)];
    }
    ++readers_.back();  // the caller reads the output
    for (int i = 0; i < graph.size(); ++i)
      if (used[static_cast<size_t>(i)]) rewrite(i);
    if (images_.back().affine.present) refuse_flat_norm(graph.output());
  }

  QuantizedForm emit() {
    QuantizedForm form;
    std::vector<int> source;  // of each node of the form, the work node; −1 for a FakeQuant
    std::vector<int>
        fake_quant;  // of each node of the form that is a FakeQuant, the work node that it follows
    std::vector<int> place(work_.size(), -1);
    const auto emitted = [&](int work) {
      source.resize(static_cast<size_t>(form.graph.size()), -1);
      fake_quant.resize(static_cast<size_t>(form.graph.size()), -1);
      source.back() = work;
    };
    for (size_t i = 0; i < work_.size(); ++i) {
      const WorkNode& node = work_[i];
      const int work = static_cast<int>(i);
      if (std::holds_alternative<Input>(node.op)) {
        form.graph = Graph(graph_.input_shape());
      } else {
        std::vector<int> inputs;
        inputs.reserve(node.inputs.size());
        for (const int input : node.inputs) inputs.push_back(place[static_cast<size_t>(input)]);
        form.graph.add(on_int8_grid(node.op), inputs);
      }
      emitted(work);
      if (sets_range(node.op) && !is_fused_with_next(i)) {
        form.graph.add(node.fake_quant);
        emitted(-1);
        fake_quant.back() = work;
      }
      place[i] = form.graph.output();
    }
    if (parameters_ != nullptr) fill(form, source, fake_quant);
    return form;
  }

 private:
  WorkNode& work(int index) { return work_[static_cast<size_t>(index)]; }
  int& work_readers(int index) { return work_readers_[static_cast<size_t>(index)]; }

  void rewrite(int index) {
    const Node& node = graph_.node(index);
    Image& image = images_[static_cast<size_t>(index)];
    std::vector<Image> inputs;
    inputs.reserve(node.inputs.size());
    for (const int input : node.inputs) inputs.push_back(images_[static_cast<size_t>(input)]);

    if (std::holds_alternative<Dropout>(node.op)) {
      become(index, std::move(inputs[0]));
      return;
    }
    if (std::holds_alternative<FakeQuant>(node.op)) {
      if (inputs[0].affine.present) refuse_flat_norm(index);
      WorkNode& before = work(inputs[0].node);
      before.fake_quant = std::get<FakeQuant>(node.op);
      before.range = numbers(index, Role::Range);
      become(index, std::move(inputs[0]));
      return;
    }
    if (std::holds_alternative<BatchNorm>(node.op)) {
      rewrite_norm(index, std::move(inputs[0]));
      return;
    }
    if (!std::holds_alternative<Dense>(node.op))
      for (size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].affine.present) refuse_flat_norm(node.inputs[i]);
    if (is_relu(node.op) && merges_with_relu(inputs[0].node, node.op)) {
      become(index, std::move(inputs[0]));
      return;
    }

    WorkNode made{node.op, {}, numbers(index, Role::Kernel), numbers(index, Role::Bias), {}, {}};
    for (const Image& input : inputs) made.inputs.push_back(input.node);
    if (has_kernel(node.op) && parameters_ != nullptr && made.bias.empty())
      made.bias.assign(static_cast<size_t>(node.shape.channels), 0.0F);
    if (!inputs.empty() && inputs[0].affine.present) fold_into_reader(made, inputs[0].affine);
    image.node = append(std::move(made), index);
  }

  // The original node vanishes: those who read it read `image` instead.
  void become(int index, Image image) {
    work_readers(image.node) += readers_[static_cast<size_t>(index)] - 1;
    images_[static_cast<size_t>(index)] = std::move(image);
  }

  int append(WorkNode node, int original) {
    work_.push_back(std::move(node));
    work_readers_.push_back(readers_[static_cast<size_t>(original)]);
    return static_cast<int>(work_.size()) - 1;
  }

  [[nodiscard]] Values numbers(int node, Role role) const {
    if (parameters_ == nullptr || !parameters_->has(node, role)) return {};
    const auto values = parameters_->at(node, role);
    return {values.begin(), values.end()};
  }

  [[noreturn]] void refuse_flat_norm(int index) const {
    throw_usage(
        "node {} ({}): a flat batch norm can be quantised only directly after a dense layer that nothing "
        "else reads, "
        "or when dense layers alone read it",
        index, operator_name(graph_.node(index).op));
  }

  [[nodiscard]] Affine norm_affine(int index) const {
    Affine affine;
    affine.present = true;
    if (parameters_ == nullptr) return affine;
    const float epsilon = std::get<BatchNorm>(graph_.node(index).op).epsilon;
    const Values gamma = numbers(index, Role::Gamma);
    const Values beta = numbers(index, Role::Beta);
    const Values mean = numbers(index, Role::Mean);
    const Values variance = numbers(index, Role::Variance);
    for (size_t c = 0; c < gamma.size(); ++c) {
      affine.scale.push_back(gamma[c] / std::sqrt(variance[c] + epsilon));
      affine.shift.push_back(beta[c] - mean[c] * affine.scale[c]);
    }
    return affine;
  }

  void rewrite_norm(int index, Image input) {
    const Affine affine = norm_affine(index);
    if (input.affine.present) {  // a norm of a flat norm
      for (size_t c = 0; c < affine.scale.size(); ++c) {
        input.affine.scale[c] *= affine.scale[c];
        input.affine.shift[c] = input.affine.shift[c] * affine.scale[c] + affine.shift[c];
      }
      become(index, std::move(input));
      return;
    }
    WorkNode& before = work(input.node);
    if (has_kernel(before.op) && work_readers(input.node) == 1) {
      fold_into_layer(before, affine);
      become(index, std::move(input));
      return;
    }
    const Node& node = graph_.node(index);
    if (node.shape.flat) {
      input.affine = affine;
      become(index, std::move(input));
      return;
    }
    // It can't fold into a layer that follows, since that one's padding is 0 before the norm, not after.
    DepthwiseConv scaling;
    scaling.window = {1, 1, 1, 1, Padding::Same};
    images_[static_cast<size_t>(index)].node =
        append({scaling, {input.node}, affine.scale, affine.shift, {}, {}}, index);
  }

  // The layer's output goes through the affine map.
  static void fold_into_layer(WorkNode& layer, const Affine& affine) {
    layer.fake_quant = {};  // its range was that of the output before the norm
    layer.range.clear();
    const size_t channels = affine.scale.size();
    if (channels == 0) return;
    const bool channels_last = std::holds_alternative<DepthwiseConv>(layer.op);
    const size_t per_channel = layer.kernel.size() / channels;
    for (size_t i = 0; i < layer.kernel.size(); ++i)
      layer.kernel[i] *= affine.scale[channels_last ? i % channels : i / per_channel];
    for (size_t c = 0; c < channels; ++c) layer.bias[c] = layer.bias[c] * affine.scale[c] + affine.shift[c];
  }

  // The dense layer's input goes through the affine map.
  static void fold_into_reader(WorkNode& dense, const Affine& affine) {
    const size_t inputs = affine.scale.size();
    if (inputs == 0) return;
    for (size_t o = 0; o < dense.bias.size(); ++o) {
      double shift = 0;
      for (size_t i = 0; i < inputs; ++i) {
        float& weight = dense.kernel[o * inputs + i];
        shift += static_cast<double>(weight) * static_cast<double>(affine.shift[i]);
        weight *= affine.scale[i];
      }
      dense.bias[o] += static_cast<float>(shift);
    }
  }

  // Whether a ReLU on work node `before` adds nothing, or can be taken over by the ReLU that `before` is.
  bool merges_with_relu(int before, const Operator& relu) {
    Operator& op = work(before).op;
    if (!is_relu(op)) return false;
    if (std::holds_alternative<Relu>(relu) || std::holds_alternative<Relu6>(op)) return true;
    if (work_readers(before) != 1) return false;
    op = Relu6{};
    return true;
  }

  // Whether a ReLU is the only reader, and the FakeQuant therefore comes after that.
  [[nodiscard]] bool is_fused_with_next(size_t index) const {
    const Operator& op = work_[index].op;
    if (is_relu(op) || std::holds_alternative<Input>(op) || work_readers_[index] != 1) return false;
    for (size_t reader = index + 1; reader < work_.size(); ++reader)
      for (const int input : work_[reader].inputs)
        if (input == static_cast<int>(index)) return is_relu(work_[reader].op);
    return false;
  }

  void fill(QuantizedForm& form, const std::vector<int>& source, const std::vector<int>& fake_quant) const {
    form.parameters = Parameters(form.graph);
    const auto copy = [&](int node, Role role, const Values& values) {
      if (values.empty()) return;
      const auto target = form.parameters.at(node, role);
      std::copy(values.begin(), values.end(), target.begin());
    };
    for (int i = 0; i < form.graph.size(); ++i) {
      const int from = source[static_cast<size_t>(i)];
      const int follows = fake_quant[static_cast<size_t>(i)];
      if (from >= 0) {
        copy(i, Role::Kernel, work_[static_cast<size_t>(from)].kernel);
        copy(i, Role::Bias, work_[static_cast<size_t>(from)].bias);
      } else if (follows == 0) {
        copy(i, Role::Range, {0.0F, 1.0F});  // a byte of the image stands for itself / 255
      } else {
        copy(i, Role::Range, work_[static_cast<size_t>(follows)].range);
      }
    }
  }

  const Graph& graph_;
  const Parameters* parameters_;  // null: the structure alone
  std::vector<Image> images_;     // of each original node
  std::vector<int> readers_;      // of each original node
  std::vector<WorkNode> work_;    // in topological order
  std::vector<int> work_readers_;
};

}  // namespace

QuantizedForm quantized_form(const Graph& graph, const Parameters& parameters) {
  return Rewriter(graph, &parameters).emit();
}

Graph quantized_form(const Graph& graph) {
  return Rewriter(graph, nullptr).emit().graph;
}

}  // namespace retort::graph
