#include "int8/random_quant_graph.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "int8/kernel_parameters.h"

namespace retort::int8 {

namespace {

class Maker {
 public:
  explicit Maker(Rng& rng) : rng_(rng) {}

  QuantGraph run() {
    graph_.inputs = {activation({1, number(1, 12), number(1, 12), number(1, 8)})};
    graph_.tensors.back().name = "input";
    here_ = graph_.inputs[0];
    images_ = {here_};
    const int count = number(1, 7);
    for (int i = 0; i < count; ++i) add_image_operator();
    switch (rng_.below(4)) {
      case 0:
        break;  // an image is the output
      case 1:
        mean();
        dense();
        break;
      default:
        reshape();
        dense();
        break;
    }
    if (here().dims.size() == 2 && rng_.below(2) == 0) softmax();
    graph_.outputs = {here_};
    return std::move(graph_);
  }

 private:
  int number(int least, int most) {
    return least + static_cast<int>(rng_.below(static_cast<uint32_t>(most - least + 1)));
  }
  bool one_in(uint32_t n) { return rng_.below(n) == 0; }
  [[nodiscard]] const Tensor& tensor(int index) const { return graph_.tensors[static_cast<size_t>(index)]; }
  [[nodiscard]] const Tensor& here() const { return tensor(here_); }
  float scale() { return std::exp2(rng_.uniform(-8.0F, -1.0F)); }

  int add(Tensor made) {
    made.name = std::to_string(graph_.tensors.size());
    graph_.tensors.push_back(std::move(made));
    return static_cast<int>(graph_.tensors.size()) - 1;
  }
  int activation(std::vector<int> dims) {
    Tensor made;
    made.dims = std::move(dims);
    made.quantization = {{scale()}, {number(-128, 127)}, 0};
    return add(std::move(made));
  }
  // On the grid of another one.
  int activation_like(std::vector<int> dims, int other) {
    const int index = activation(std::move(dims));
    graph_.tensors[static_cast<size_t>(index)].quantization = tensor(other).quantization;
    return index;
  }
  void append(const OperatorKind& kind, std::vector<int> inputs, int output) {
    graph_.operators.push_back({kind, std::move(inputs), {output}});
    here_ = output;
    if (tensor(output).dims.size() == 4) images_.push_back(output);
  }
  Activation any_activation() {
    return one_in(2) ? Activation::None : one_in(2) ? Activation::Relu : Activation::Relu6;
  }

  WindowOp window(int filter_height, int filter_width) {
    WindowOp made;
    made.stride_height = number(1, 3);
    made.stride_width = number(1, 3);
    if (one_in(3)) {
      made.dilation_height = number(1, 3);
      made.dilation_width = number(1, 3);
    }
    const bool fits = (filter_height - 1) * made.dilation_height < here().dims[1] &&
                      (filter_width - 1) * made.dilation_width < here().dims[2];
    made.padding = fits && one_in(2) ? graph::Padding::Valid : graph::Padding::Same;
    made.activation = any_activation();
    return made;
  }
  [[nodiscard]] std::vector<int> windowed(const WindowOp& op, int filter_height, int filter_width,
                                          int channels) const {
    const graph::WindowGeometry geometry =
        window_geometry(op, filter_height, filter_width, here().dims[1], here().dims[2]);
    return {1, geometry.out_height, geometry.out_width, channels};
  }

  // A kernel and a bias, with one scale or one a channel along `axis`, such that the output uses its grid.
  std::pair<int, int> weights(std::vector<int> dims, int axis, int channels, int output) {
    Tensor kernel;
    kernel.dims = std::move(dims);
    const int64_t fan_in = kernel.elements() / channels;
    const float input_scale = tensor_scale(here());
    const float typical =
        tensor_scale(tensor(output)) / (input_scale * 40 * std::sqrt(static_cast<float>(fan_in)));
    const size_t scales = one_in(3) ? 1 : static_cast<size_t>(channels);
    for (size_t c = 0; c < scales; ++c) {
      kernel.quantization.scales.push_back(typical * std::exp2(rng_.uniform(-2.0F, 2.0F)) *
                                           (one_in(12) ? 300.0F : 1.0F));
      kernel.quantization.zero_points.push_back(0);
    }
    kernel.quantization.axis = axis;
    kernel.data.resize(static_cast<size_t>(kernel.elements()));
    for (uint8_t& byte : kernel.data) byte = static_cast<uint8_t>(rng_.next_u32());
    const std::vector<float> kernel_scales = kernel.quantization.scales;
    const int kernel_index = add(std::move(kernel));
    if (one_in(4)) return {kernel_index, -1};
    Tensor bias;
    bias.type = Type::Int32;
    bias.dims = {channels};
    for (const float kernel_scale : kernel_scales) {  // TFLM compares them with the product
      bias.quantization.scales.push_back(input_scale * kernel_scale);
      bias.quantization.zero_points.push_back(0);
    }
    for (int c = 0; c < channels; ++c) {
      const auto value = static_cast<uint32_t>(number(-20'000, 20'000));
      for (uint32_t shift = 0; shift < 32; shift += 8)
        bias.data.push_back(static_cast<uint8_t>(value >> shift));
    }
    return {kernel_index, add(std::move(bias))};
  }

  void conv() {
    const int height = number(1, 4);
    const int width = number(1, 4);
    const int channels = number(1, 12);
    const Conv2D op{window(height, width)};
    const int output = activation(windowed(op, height, width, channels));
    const auto [kernel, bias] = weights({channels, height, width, here().dims[3]}, 0, channels, output);
    append(op, {here_, kernel, bias}, output);
  }
  void depthwise() {
    const int height = number(1, 4);
    const int width = number(1, 4);
    DepthwiseConv2D op{window(height, width)};
    op.stride_width = op.stride_height;
    op.depth_multiplier = one_in(3) ? number(2, 3) : 1;
    const int channels = here().dims[3] * op.depth_multiplier;
    const int output = activation(windowed(op, height, width, channels));
    const auto [kernel, bias] = weights({1, height, width, channels}, 3, channels, output);
    // TFLM's kernel takes −1 for a tensor here.
    append(op, bias < 0 ? std::vector{here_, kernel} : std::vector{here_, kernel, bias}, output);
  }
  template <typename Pool>
  void pool() {
    Pool op;
    op.filter_height = number(1, 4);
    op.filter_width = number(1, 4);
    static_cast<WindowOp&>(op) = window(op.filter_height, op.filter_width);
    op.dilation_height = op.dilation_width = 1;
    if (op.filter_height > here().dims[1] || op.filter_width > here().dims[2])
      op.padding = graph::Padding::Same;
    append(op, {here_},
           activation_like(windowed(op, op.filter_height, op.filter_width, here().dims[3]), here_));
  }
  void sum() {
    std::vector<int> others;
    for (const int image : images_)
      if (tensor(image).dims == here().dims) others.push_back(image);
    const int other = others[rng_.below(static_cast<uint32_t>(others.size()))];
    const int output = activation(here().dims);
    AddOp op;
    op.activation = any_activation();
    append(op, one_in(2) ? std::vector{here_, other} : std::vector{other, here_}, output);
  }
  void look_up() {
    if (one_in(3)) {
      append(Relu6Op{}, {here_}, activation_like(here().dims, here_));
    } else {
      const int output = activation(here().dims);
      if (one_in(2))
        append(ReluOp{}, {here_}, output);
      else
        append(Quantize{}, {here_}, output);
    }
  }
  void add_image_operator() {
    switch (rng_.below(8)) {
      case 0:
        return depthwise();
      case 1:
        return pool<MaxPool2D>();
      case 2:
        return pool<AveragePool2D>();
      case 3:
        return look_up();
      case 4:
      case 5:
        return sum();
      default:
        return conv();
    }
  }

  int constant(const std::vector<int>& values) {
    Tensor made;
    made.type = Type::Int32;
    made.dims = {static_cast<int>(values.size())};
    for (const int value : values)
      for (uint32_t shift = 0; shift < 32; shift += 8)
        made.data.push_back(static_cast<uint8_t>(static_cast<uint32_t>(value) >> shift));
    return add(std::move(made));
  }
  void mean() {
    const int axes = constant({1, 2});
    append(Mean{}, {here_, axes}, activation({1, here().dims[3]}));
  }
  void reshape() {
    const std::vector<int> dims = {1, static_cast<int>(here().elements())};
    const int shape = constant(dims);
    append(Reshape{}, {here_, shape}, activation_like(dims, here_));
  }
  void dense() {
    const int inputs = here().dims.back();
    const int outputs = number(1, 11);
    const int output = activation({1, outputs});
    const auto [kernel, bias] = weights({outputs, inputs}, 0, outputs, output);
    FullyConnected op;
    op.activation = any_activation();
    append(op, {here_, kernel, bias}, output);
  }
  void softmax() {
    const int output = activation(here().dims);
    graph_.tensors[static_cast<size_t>(output)].quantization = {{1.0F / 256}, {-128}, 0};
    append(SoftmaxOp{}, {here_}, output);
  }

  Rng& rng_;
  QuantGraph graph_;
  int here_ = 0;
  std::vector<int> images_;  // that a sum may take
};

}  // namespace

QuantGraph random_quant_graph(Rng& rng) {
  return Maker(rng).run();
}

}  // namespace retort::int8
