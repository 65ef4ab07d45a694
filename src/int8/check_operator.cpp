#include "int8/check_operator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "int8/check_tensor.h"
#include "int8/kernel_parameters.h"
#include "int8/problem.h"

namespace retort::int8 {

namespace {

constexpr int kMaximumStep = 1 << 12;  // strides, dilations
// A left shift above 30 is outside what the format's arithmetic defines.
constexpr double kMaximumFactor = 1 << 30;

// Leading ones carry no meaning for element-wise operators.
std::vector<int> without_leading_ones(const std::vector<int>& dims) {
  const auto first = std::find_if(dims.begin(), dims.end(), [](int size) { return size != 1; });
  return {first, dims.end()};
}

class OperatorChecker {
 public:
  OperatorChecker(const QuantGraph& graph, size_t index, const std::vector<bool>& available)
      : graph_(graph), operator_(index), available_(available) {}

  void run() const {
    std::visit([this](const auto& kind) { check_kind(kind); }, op().kind);
  }

 private:
  template <typename... Args>
  [[noreturn]] void operator_error(fmt::format_string<Args...> format, Args&&... args) const {
    throw_operator(fmt::format(format, std::forward<Args>(args)...), "");
  }
  [[noreturn]] void throw_operator(std::string why, std::string remedy) const {
    throw Problem{Problem::Place::Operator, static_cast<int>(operator_),
                  operator_subject(operator_, operator_name(op().kind)), std::move(why), std::move(remedy)};
  }

  [[nodiscard]] const Operator& op() const { return graph_.operators[operator_]; }
  [[nodiscard]] const Tensor& in(size_t i) const { return input_tensor(graph_, op(), i); }
  [[nodiscard]] const Tensor& out() const { return output_tensor(graph_, op()); }

  void check_activation(int index, std::string_view what) const {
    const Tensor& tensor = graph_.tensors[static_cast<size_t>(index)];
    if (tensor.type == Type::Float32)
      throw_operator(fmt::format("{} is float32; it must be int8", what),
                     "quantise the network to int8, activations as well as weights");
    if (tensor.type != Type::Int8) operator_error("{} is {}; it must be int8", what, type_name(tensor.type));
    check_grid(graph_, index);
  }
  void check_activation_input(size_t i) const { check_activation(op().inputs[i], "its input"); }
  void check_activation_output() const { check_activation(op().outputs[0], "its output"); }

  void check_counts(size_t least_inputs, size_t most_inputs) const {
    const size_t count = op().inputs.size();
    if (count < least_inputs || count > most_inputs)
      operator_error("it has {} inputs; {} are expected", count,
                     least_inputs == most_inputs ? fmt::format("{}", least_inputs)
                                                 : fmt::format("{} to {}", least_inputs, most_inputs));
    if (op().outputs.size() != 1) operator_error("it has {} outputs; 1 is expected", op().outputs.size());
    for (size_t i = 0; i < count; ++i) {
      const int index = op().inputs[i];
      if (index == -1 && i == 2) continue;  // no bias
      if (index == -1) operator_error("it has no input {}", i);
      if (!available_[static_cast<size_t>(index)])
        operator_error("its input, tensor {} ('{}'), is computed by no operator before it", index,
                       graph_.tensors[static_cast<size_t>(index)].name);
    }
    const int output = op().outputs[0];
    if (available_[static_cast<size_t>(output)])
      operator_error("its output, tensor {} ('{}'), already has a value", output, out().name);
  }

  void check_shape(const std::vector<int>& expected) const {
    if (out().dims != expected)
      operator_error("its output has shape {}; {} is expected", shape_text(out().dims), shape_text(expected));
  }

  void check_rank_4(const Tensor& tensor, std::string_view what) const {
    if (tensor.dims.size() != 4 || tensor.dims[0] != 1)
      operator_error("{} has shape {}; [1, height, width, channels] is expected", what,
                     shape_text(tensor.dims));
  }

  void check_window(const WindowOp& window, int filter_height, int filter_width) const {
    for (const int step :
         {window.stride_height, window.stride_width, window.dilation_height, window.dilation_width})
      if (step < 1 || step > kMaximumStep)
        operator_error("a stride or dilation is {}; 1 to {} are supported", step, kMaximumStep);
    check_rank_4(in(0), "its input");
    check_rank_4(out(), "its output");
    const int height = in(0).dims[1];
    const int width = in(0).dims[2];
    const int64_t extent_height = int64_t{filter_height - 1} * window.dilation_height + 1;
    const int64_t extent_width = int64_t{filter_width - 1} * window.dilation_width + 1;
    if (std::max(extent_height, extent_width) > graph::kMaximumDimension)
      operator_error("its window spans {} × {} cells, which is too large", extent_height, extent_width);
    if (window.padding == graph::Padding::Valid && (extent_height > height || extent_width > width))
      operator_error("its window of {} × {} cells does not fit its input of {} × {}", extent_height,
                     extent_width, height, width);
  }

  void check_kernel(size_t axis) const {
    const Tensor& kernel = in(1);
    const int index = op().inputs[1];
    if (!kernel.constant() || kernel.type != Type::Int8)
      tensor_error(graph_, index, "is a kernel; it must be constant int8");
    const Quantization& q = kernel.quantization;
    if (q.scales.empty()) tensor_error(graph_, index, "is a kernel without scales");
    if (q.scales.size() > 1 && static_cast<size_t>(q.axis) != axis)
      tensor_error(graph_, index, "has its scales along dimension {}; {} expects them along {}", q.axis,
                   operator_name(op().kind), axis);
    if (std::any_of(q.zero_points.begin(), q.zero_points.end(), [](int64_t zero) { return zero != 0; }))
      tensor_error(graph_, index, "is a kernel with a zero point other than 0");
  }

  void check_bias(int channels) const {
    if (op().inputs.size() < 3 || op().inputs[2] < 0) return;
    const Tensor& bias = in(2);
    if (!bias.constant() || bias.type != Type::Int32 || bias.elements() != channels)
      tensor_error(graph_, op().inputs[2], "is a bias; it must be constant int32 with {} elements", channels);
  }

  void check_factors() const {
    for (const float scale : in(1).quantization.scales)
      check_factor(static_cast<double>(tensor_scale(in(0))) * static_cast<double>(scale) /
                   static_cast<double>(tensor_scale(out())));
  }
  void check_factor(double factor) const {
    if (!(factor < kMaximumFactor))
      operator_error("its scales ask for a factor of {:.3g} between input and output, beyond int32", factor);
  }
  void check_rescale() const {
    check_factor(static_cast<double>(tensor_scale(in(0))) / static_cast<double>(tensor_scale(out())));
  }

  void check_unary(bool same_elements) const {
    check_activation_input(0);
    check_activation_output();
    if (same_elements) check_shape(in(0).dims);
  }

  void check_same_grid() const {
    const float difference = std::abs(tensor_scale(in(0)) - tensor_scale(out()));
    if (difference > 1e-6F || tensor_zero_point(in(0)) != tensor_zero_point(out()))
      operator_error("its input and output must have the same scale and zero point");
  }

  void check_kind(const Conv2D& conv) const {
    check_counts(2, 3);
    check_unary(false);
    check_kernel(0);
    const Tensor& kernel = in(1);
    if (kernel.dims.size() != 4)
      operator_error("its kernel has shape {}; [out, height, width, in] is expected",
                     shape_text(kernel.dims));
    check_window(conv, kernel.dims[1], kernel.dims[2]);
    if (kernel.dims[3] != in(0).dims[3])
      operator_error(
          "its kernel reads {} channels, but its input has {} (grouped convolutions are not supported)",
          kernel.dims[3], in(0).dims[3]);
    check_bias(kernel.dims[0]);
    check_window_shape(conv, kernel.dims[1], kernel.dims[2], kernel.dims[0]);
    check_factors();
  }
  void check_kind(const DepthwiseConv2D& conv) const {
    check_counts(2, 3);
    check_unary(false);
    check_kernel(3);
    const Tensor& kernel = in(1);
    if (kernel.dims.size() != 4 || kernel.dims[0] != 1)
      operator_error("its kernel has shape {}; [1, height, width, out] is expected", shape_text(kernel.dims));
    check_window(conv, kernel.dims[1], kernel.dims[2]);
    const int64_t expected = int64_t{in(0).dims[3]} * conv.depth_multiplier;
    if (conv.depth_multiplier < 1 || expected != kernel.dims[3])
      operator_error("its kernel makes {} channels of {} with a depth multiplier of {}", kernel.dims[3],
                     in(0).dims[3], conv.depth_multiplier);
    check_bias(kernel.dims[3]);
    check_window_shape(conv, kernel.dims[1], kernel.dims[2], kernel.dims[3]);
    check_factors();
  }
  void check_window_shape(const WindowOp& window, int filter_height, int filter_width, int channels) const {
    const graph::WindowGeometry placement =
        window_geometry(window, filter_height, filter_width, in(0).dims[1], in(0).dims[2]);
    check_shape({1, placement.out_height, placement.out_width, channels});
  }
  template <typename Pool>
  void check_pool(const Pool& pool) const {
    check_counts(1, 1);
    check_unary(false);
    for (const int size : {pool.filter_height, pool.filter_width})
      if (size < 1 || size > kMaximumDimension) operator_error("a side of its window is {}", size);
    check_window(pool, pool.filter_height, pool.filter_width);
    if (pool.dilation_height != 1 || pool.dilation_width != 1) operator_error("pools have no dilation");
    check_window_shape(pool, pool.filter_height, pool.filter_width, in(0).dims[3]);
    check_same_grid();
  }
  void check_kind(const MaxPool2D& pool) const { check_pool(pool); }
  void check_kind(const AveragePool2D& pool) const { check_pool(pool); }
  void check_kind(const FullyConnected&) const {
    check_counts(2, 3);
    check_unary(false);
    check_kernel(0);
    const Tensor& kernel = in(1);
    if (kernel.dims.size() != 2)
      operator_error("its kernel has shape {}; [out, in] is expected", shape_text(kernel.dims));
    const int64_t rows = in(0).elements() / kernel.dims[1];
    if (in(0).elements() != rows * kernel.dims[1] || out().elements() != rows * kernel.dims[0] ||
        out().dims.empty() || out().dims.back() != kernel.dims[0])
      operator_error("a kernel of {} cannot take {} to {}", shape_text(kernel.dims), shape_text(in(0).dims),
                     shape_text(out().dims));
    check_bias(kernel.dims[0]);
    check_factors();
    if (kernel.quantization.scales.size() == 1 && op().inputs.size() > 2 && op().inputs[2] >= 0 &&
        in(2).quantization.scales.size() == 1) {
      const double product =
          static_cast<double>(tensor_scale(in(0))) * static_cast<double>(kernel.quantization.scales[0]);
      const double difference = std::abs(product - static_cast<double>(in(2).quantization.scales[0]));
      if (difference / static_cast<double>(tensor_scale(out())) > 0.02)
        operator_error("its bias has scale {}; the product of its input's and its kernel's, {}, is expected",
                       in(2).quantization.scales[0], product);
    }
  }
  void check_kind(const AddOp&) const {
    check_counts(2, 2);
    check_unary(false);
    check_activation_input(1);
    const auto shape = without_leading_ones(out().dims);
    if (without_leading_ones(in(0).dims) != shape || without_leading_ones(in(1).dims) != shape)
      operator_error(
          "its inputs have shapes {} and {} and its output {}; they must be equal (no broadcasting)",
          shape_text(in(0).dims), shape_text(in(1).dims), shape_text(out().dims));
    const double largest = static_cast<double>(std::max(tensor_scale(in(0)), tensor_scale(in(1))));
    if (2 * largest / (1 << AddParameters::kLeftShift) >= static_cast<double>(tensor_scale(out())))
      operator_error("its output's scale {} is too small for its inputs'", tensor_scale(out()));
  }
  void check_kind(const Mean& mean_op) const {
    check_counts(2, 2);
    check_unary(false);
    check_rank_4(in(0), "its input");
    const Tensor& axes = in(1);
    if (!axes.constant() || axes.type != Type::Int32)
      tensor_error(graph_, op().inputs[1], "holds axes; it must be constant int32");
    std::vector<int32_t> values(static_cast<size_t>(axes.elements()));
    std::memcpy(values.data(), axes.data.data(), axes.data.size());
    for (int32_t& axis : values) axis = axis < 0 ? axis + 4 : axis;
    std::sort(values.begin(), values.end());
    if (values != std::vector<int32_t>{1, 2})
      operator_error("only the mean over height and width is supported");
    const int channels = in(0).dims[3];
    check_shape(mean_op.keep_dims ? std::vector<int>{1, 1, 1, channels} : std::vector<int>{1, channels});
    check_rescale();
  }
  void check_kind(const Reshape&) const {
    check_counts(1, 2);
    if (in(0).type != out().type) operator_error("it must not change the type");
    if (in(0).type == Type::Int8) check_unary(false);
    if (in(0).elements() != out().elements())
      operator_error("it makes {} of {}, which has another number of elements", shape_text(out().dims),
                     shape_text(in(0).dims));
  }
  void check_kind(const SoftmaxOp& softmax) const {
    check_counts(1, 1);
    check_unary(true);
    if (in(0).dims.empty()) operator_error("its input has no dimensions");
    if (tensor_scale(out()) != 1.0F / 256 || tensor_zero_point(out()) != -128)
      operator_error("its output's scale must be 1/256 and its zero point −128");
    const double factor =
        static_cast<double>(softmax.beta) * static_cast<double>(tensor_scale(in(0))) * (1 << 26);
    if (!(factor > 1)) operator_error("its input's scale {} is too small", tensor_scale(in(0)));
  }
  void check_kind(const ReluOp&) const {
    check_counts(1, 1);
    check_unary(true);
    check_rescale();
  }
  void check_kind(const Relu6Op&) const {
    check_counts(1, 1);
    check_unary(true);
  }
  void check_kind(const Quantize&) const {
    check_counts(1, 1);
    check_activation_output();
    check_shape(in(0).dims);
    if (in(0).type == Type::Float32) return;
    check_activation_input(0);
    check_rescale();
  }
  void check_kind(const Dequantize&) const {
    check_counts(1, 1);
    check_activation_input(0);
    if (in(0).constant()) operator_error("its input holds data; an operator must compute it");
    check_shape(in(0).dims);
    if (out().type != Type::Float32) operator_error("its output must be float32");
  }

  const QuantGraph& graph_;
  size_t operator_;
  const std::vector<bool>& available_;
};

}  // namespace

void check_operator(const QuantGraph& graph, size_t index, const std::vector<bool>& available) {
  OperatorChecker(graph, index, available).run();
}

}  // namespace retort::int8
