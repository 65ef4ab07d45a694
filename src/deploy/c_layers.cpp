#include "deploy/c_layers.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "deploy/c_text.h"
#include "int8/kernel_parameters.h"

namespace retort::deploy {

using int8::Operator;
using int8::QuantGraph;
using int8::Tensor;

namespace {

constexpr int64_t kQuad = 4;           // the kernels take so many weights of a filter at once
constexpr int64_t kChannelBytes = 12;  // retort_channel
constexpr int64_t kLargestUnsigned = 65535;

// The kernels round without a branch.
bool is_narrow(int shift) {
  constexpr int kLargestRightShift = 22;
  return shift < 0 && shift >= -kLargestRightShift;
}

class LayerWriter {
 public:
  LayerWriter(const QuantGraph& graph, const std::string& name) : graph_(graph), name_(name) {}

  void write(size_t index) {
    operator_ = index;
    describe(graph_.operators[index]);
  }
  CLayers take() { return std::move(made_); }

 private:
  void need(std::string_view kernel) {
    made_.kernels.insert("prelude.c");
    made_.kernels.insert(std::string(kernel));
  }

  void write_bytes(const std::string& name, std::span<const int8_t> values) {
    made_.numbers += fmt::format("static const int8_t {}[{}] = {{", name, values.size());
    constexpr size_t kColumns = 116;
    std::string line;
    for (const int8_t value : values) {
      const std::string one = fmt::format("{},", value);
      if (line.size() + one.size() > kColumns) {
        made_.numbers += "\n    " + line;
        line.clear();
      }
      line += one;
    }
    made_.numbers += "\n    " + line + "};\n";
    made_.weight_bytes += static_cast<int64_t>(values.size());
  }

  [[nodiscard]] std::string number_name(std::string_view what) const {
    return fmt::format("{}_{}_{}", name_, what, operator_);
  }

  // A row of `length` weights for each output channel, padded by zeros to whole quads unless `tight`;
  // weight(channel, i).
  enum class Rows { Padded, Tight };
  template <typename Weight>
  std::string layer_text(const Operator& op, int64_t length, Rows rows, const Weight& weight) {
    need("layer.c");
    const int8::LayerParameters p = int8::layer_parameters(graph_, op);
    const auto channels = static_cast<int64_t>(p.multipliers.size());
    const int64_t padded = rows == Rows::Padded ? (length + kQuad - 1) / kQuad * kQuad : length;
    std::vector<int8_t> weights;
    weights.reserve(static_cast<size_t>(channels * padded));
    std::string channels_text;
    bool narrow = true;
    const int64_t largest_input =
        std::max(std::abs(-128 - p.input_zero_point), std::abs(127 - p.input_zero_point));
    for (int64_t c = 0; c < channels; ++c) {
      int64_t sum = 0;
      int64_t magnitude = 0;
      for (int64_t i = 0; i < padded; ++i) {
        const int8_t w = i < length ? weight(c, i) : int8_t{0};
        weights.push_back(w);
        sum += w;
        magnitude += std::abs(w);
      }
      const auto index = static_cast<size_t>(c);
      const auto bias = static_cast<int32_t>(
          static_cast<uint32_t>(static_cast<int64_t>(p.bias[index]) - p.input_zero_point * sum));
      // A factor of 0 has no shift; any gives 0.
      const int shift = p.multipliers[index].mantissa == 0 ? -1 : p.multipliers[index].shift;
      channels_text +=
          fmt::format("    {{{}, {}, {}}},\n", c_number(bias), p.multipliers[index].mantissa, shift);
      constexpr int64_t kNarrow = int64_t{1} << 30;
      if (magnitude * largest_input + std::abs(static_cast<int64_t>(p.bias[index])) >= kNarrow ||
          !is_narrow(shift))
        narrow = false;
    }
    write_bytes(number_name("weights"), weights);
    made_.numbers += fmt::format("static const retort_channel {}[{}] = {{\n{}}};\n", number_name("channels"),
                                 channels, channels_text);
    made_.weight_bytes += channels * kChannelBytes;
    return fmt::format(
        "    .layer = {{.weights = {}, .channels = {}, .input_zero_point = {},\n"
        "              .output_zero_point = {}, .minimum = {}, .maximum = {}, .narrow = {}}},\n",
        number_name("weights"), number_name("channels"), p.input_zero_point, p.output_zero_point,
        p.range.minimum, p.range.maximum, narrow ? 1 : 0);
  }

  [[nodiscard]] int64_t small(int64_t value) const {
    if (value < 0 || value > kLargestUnsigned)
      throw_usage("operator {} ({}): {} is too large for C code; at most {} are supported", operator_,
                  int8::operator_name(graph_.operators[operator_].kind), value, kLargestUnsigned);
    return value;
  }

  [[nodiscard]] std::string window_text(const Operator& op, const int8::WindowOp& window, int filter_height,
                                        int filter_width) const {
    const Tensor& in = int8::input_tensor(graph_, op, 0);
    const graph::WindowGeometry geometry =
        int8::window_geometry(window, filter_height, filter_width, in.dims[1], in.dims[2]);
    return fmt::format(
        "    .input_height = {}, .input_width = {}, .output_width = {}, .filter_height = {}, .filter_width = "
        "{},\n"
        "    .stride_height = {}, .stride_width = {}, .pad_top = {}, .pad_left = {},\n",
        small(in.dims[1]), small(in.dims[2]), small(int8::output_tensor(graph_, op).dims[2]),
        small(filter_height), small(filter_width), window.stride_height, window.stride_width,
        small(geometry.pad_top), small(geometry.pad_left));
  }

  void describe(std::string_view type, const std::string& fields) {
    made_.structs +=
        fmt::format("static const {} {} = {{\n{}}};\n\n", type, layer_name(name_, operator_), fields);
  }

  void describe(const Operator& op) {
    const auto weight_at = [&](size_t i) {
      return static_cast<int8_t>(int8::input_tensor(graph_, op, 1).data[i]);
    };
    const Tensor& in = int8::input_tensor(graph_, op, 0);
    const Tensor& out = int8::output_tensor(graph_, op);
    if (const auto* conv = std::get_if<int8::Conv2D>(&op.kind)) {
      need("conv2d.c");
      const std::vector<int>& filter = int8::input_tensor(graph_, op, 1).dims;
      const int64_t length = int64_t{filter[1]} * filter[2] * filter[3];
      describe(
          "retort_conv2d_layer",
          layer_text(op, length, Rows::Padded,
                     [&](int64_t c, int64_t i) { return weight_at(static_cast<size_t>(c * length + i)); }) +
              window_text(op, *conv, filter[1], filter[2]) +
              fmt::format("    .input_channels = {}, .output_channels = {}, .dilation_height = {}, "
                          ".dilation_width = {}\n",
                          small(in.dims[3]), small(out.dims[3]), conv->dilation_height,
                          conv->dilation_width));
    } else if (const auto* depthwise = std::get_if<int8::DepthwiseConv2D>(&op.kind)) {
      need("depthwise_conv2d.c");
      const std::vector<int>& filter = int8::input_tensor(graph_, op, 1).dims;
      const int64_t channels = filter[3];
      describe(
          "retort_depthwise_conv2d_layer",
          layer_text(op, int64_t{filter[1]} * filter[2], Rows::Tight,
                     [&](int64_t c, int64_t i) { return weight_at(static_cast<size_t>(i * channels + c)); }) +
              window_text(op, *depthwise, filter[1], filter[2]) +
              fmt::format("    .output_height = {}, .input_channels = {}, .depth_multiplier = {},\n"
                          "    .dilation_height = {}, .dilation_width = {}\n",
                          small(out.dims[1]), small(in.dims[3]), small(depthwise->depth_multiplier),
                          depthwise->dilation_height, depthwise->dilation_width));
    } else if (std::holds_alternative<int8::FullyConnected>(op.kind)) {
      need("fully_connected.c");
      const std::vector<int>& filter = int8::input_tensor(graph_, op, 1).dims;
      const int64_t length = filter[1];
      describe(
          "retort_fully_connected_layer",
          layer_text(op, length, Rows::Padded,
                     [&](int64_t c, int64_t i) { return weight_at(static_cast<size_t>(c * length + i)); }) +
              fmt::format("    .rows = {}, .inputs = {}, .outputs = {}\n", small(in.elements() / length),
                          small(length), small(filter[0])));
    } else if (is_pool(op)) {
      need("pool.c");
      need(std::holds_alternative<int8::MaxPool2D>(op.kind) ? "max_pool.c" : "average_pool.c");
      describe_pool(op, pool_window(op));
    } else if (std::holds_alternative<int8::AddOp>(op.kind)) {
      need("add.c");
      const int8::AddParameters p = int8::add_parameters(graph_, op);
      describe(
          "retort_add_layer",
          fmt::format("    .multipliers = {{{}, {}}}, .output_multiplier = {},\n"
                      "    .shifts = {{{}, {}}}, .output_shift = {},\n"
                      "    .zero_points = {{{}, {}}}, .output_zero_point = {}, .minimum = {}, .maximum = {}, "
                      ".narrow = {}\n",
                      p.multipliers[0].mantissa, p.multipliers[1].mantissa, p.output_multiplier.mantissa,
                      p.multipliers[0].shift, p.multipliers[1].shift, p.output_multiplier.shift,
                      p.zero_points[0], p.zero_points[1], p.output_zero_point, p.range.minimum,
                      p.range.maximum, is_narrow(p.output_multiplier.shift) ? 1 : 0));
    } else if (std::holds_alternative<int8::Mean>(op.kind)) {
      need("mean.c");
      const int8::MeanParameters p = int8::mean_parameters(graph_, op);
      describe(
          "retort_mean_layer",
          fmt::format("    .multiplier = {}, .shift = {}, .input_zero_point = {}, .output_zero_point = {},\n"
                      "    .cells = {}, .channels = {}\n",
                      p.multiplier.mantissa, p.multiplier.shift, p.input_zero_point, p.output_zero_point,
                      p.cells, small(out.elements())));
    } else if (std::holds_alternative<int8::SoftmaxOp>(op.kind)) {
      need("softmax.c");
      const int8::SoftmaxParameters p = int8::softmax_parameters(graph_, op);
      const int64_t classes = in.dims.back();
      describe(
          "retort_softmax_layer",
          fmt::format("    .multiplier = {}, .difference_min = {}, .shift = {}, .rows = {}, .classes = {}\n",
                      p.multiplier.mantissa, p.difference_min, p.multiplier.shift,
                      small(in.elements() / classes), small(classes)));
    } else if (is_look_up(graph_, op)) {
      need("look_up.c");
      const int8::ByteTable table = int8::unary_table(graph_, op);
      write_bytes(table_name(name_, operator_), table);
    } else if (std::holds_alternative<int8::Quantize>(op.kind)) {
      need("quantize.c");
    } else if (std::holds_alternative<int8::Dequantize>(op.kind)) {
      need("dequantize.c");
    }  // RESHAPE: the same bytes
  }

  void describe_pool(const Operator& op, const PoolWindow& pool) {
    const int8::ValueRange range =
        int8::activation_range(pool.window.activation, int8::output_tensor(graph_, op));
    describe("retort_pool",
             window_text(op, pool.window, pool.filter_height, pool.filter_width) +
                 fmt::format("    .channels = {}, .minimum = {}, .maximum = {}\n",
                             small(int8::output_tensor(graph_, op).dims[3]), range.minimum, range.maximum));
  }

  const QuantGraph& graph_;
  const std::string& name_;
  size_t operator_ = 0;
  CLayers made_;
};

}  // namespace

CLayers describe_layers(const QuantGraph& graph, const std::string& name, const cost::CPlan& plan) {
  LayerWriter writer(graph, name);
  for (const cost::CStep& step : plan.steps) {
    writer.write(step.op);
    if (step.reader) writer.write(*step.reader);
  }
  return writer.take();
}

std::string layer_name(const std::string& name, size_t index) {
  return fmt::format("{}_layer_{}", name, index);
}

std::string table_name(const std::string& name, size_t index) {
  return fmt::format("{}_table_{}", name, index);
}

bool is_look_up(const QuantGraph& graph, const Operator& op) {
  return std::holds_alternative<int8::ReluOp>(op.kind) || std::holds_alternative<int8::Relu6Op>(op.kind) ||
         (std::holds_alternative<int8::Quantize>(op.kind) &&
          int8::input_tensor(graph, op, 0).type == int8::Type::Int8);
}

bool is_pool(const Operator& op) {
  return std::holds_alternative<int8::MaxPool2D>(op.kind) ||
         std::holds_alternative<int8::AveragePool2D>(op.kind);
}

PoolWindow pool_window(const Operator& op) {
  if (const auto* pool = std::get_if<int8::MaxPool2D>(&op.kind))
    return {*pool, pool->filter_height, pool->filter_width};
  const auto& pool = std::get<int8::AveragePool2D>(op.kind);
  return {pool, pool.filter_height, pool.filter_width};
}

}  // namespace retort::deploy
