#include "deploy/c_calls.h"

#include <fmt/format.h>

#include <string_view>
#include <variant>

#include "deploy/c_layers.h"
#include "deploy/c_text.h"
#include "int8/kernel_parameters.h"

namespace retort::deploy {

using int8::Operator;
using int8::QuantGraph;
using int8::Tensor;

namespace {

class CallWriter {
 public:
  CallWriter(const QuantGraph& graph, const std::string& name, const cost::CPlan& plan)
      : graph_(graph), name_(name), macro_(macro_prefix(name)), plan_(plan) {}

  std::string run() {
    for (const cost::CStep& step : plan_.steps) write_step(step);
    return (needs_row_ ? "  int32_t row;\n" : "") + calls_;
  }

 private:
  [[nodiscard]] std::string at(int64_t offset) const { return fmt::format("{}_AT({})", macro_, offset); }
  [[nodiscard]] std::string at_tensor(int index) const { return at(plan_.tensor_offset(index)); }
  [[nodiscard]] std::string at_buffer(int buffer) const {
    return buffer < 0 ? "0" : at(plan_.buffers[static_cast<size_t>(buffer)].offset);
  }

  // One line a layer, for those who read the code.
  void comment(size_t index) {
    const Operator& op = graph_.operators[index];
    calls_ += fmt::format("  /* {} {}: {} -> {} */\n", index, int8::operator_name(op.kind),
                          shape_text(int8::input_tensor(graph_, op, 0).dims),
                          shape_text(int8::output_tensor(graph_, op).dims));
  }

  void write_step(const cost::CStep& step) {
    const Operator& op = graph_.operators[step.op];
    comment(step.op);
    if (step.reader) {
      write_bands(step);
      return;
    }
    const std::string in = at_tensor(op.inputs[0]);
    const std::string out = at_tensor(op.outputs[0]);
    const Tensor& output = int8::output_tensor(graph_, op);
    const std::string scratch = at_buffer(step.scratch_buffer);
    const std::string layer = layer_name(name_, step.op);
    const auto call = [&](const std::string& text) { calls_ += "  " + text + ";\n"; };
    if (std::holds_alternative<int8::Conv2D>(op.kind)) {
      call(fmt::format("retort_conv2d(&{}, {}, {}, 0, {}, {})", layer, in, out, output.dims[1], scratch));
    } else if (std::holds_alternative<int8::DepthwiseConv2D>(op.kind)) {
      call(fmt::format("retort_depthwise_conv2d(&{}, {}, {}, {})", layer, in, out, scratch));
    } else if (std::holds_alternative<int8::FullyConnected>(op.kind)) {
      call(fmt::format("retort_fully_connected(&{}, {}, {})", layer, in, out));
    } else if (is_pool(op)) {
      call(fmt::format("{}(&{}, {}, 0, {}, 0, {})", pool_function(op), layer, in, out, output.dims[1]));
    } else if (std::holds_alternative<int8::AddOp>(op.kind)) {
      call(fmt::format("retort_add(&{}, {}, {}, {}, {})", layer, in, at_tensor(op.inputs[1]), out,
                       output.elements()));
    } else if (std::holds_alternative<int8::Mean>(op.kind)) {
      call(fmt::format("retort_mean(&{}, {}, {})", layer, in, out));
    } else if (std::holds_alternative<int8::SoftmaxOp>(op.kind)) {
      call(fmt::format("retort_softmax(&{}, {}, {})", layer, in, out));
    } else if (is_look_up(graph_, op)) {
      call(fmt::format("retort_look_up({}, {}, {}, {})", table_name(name_, step.op), in, out,
                       output.elements()));
    } else if (std::holds_alternative<int8::Quantize>(op.kind)) {
      call(fmt::format("retort_quantize({:.9e}f, {}, (const float *)(const void *){}, {}, {})",
                       int8::tensor_scale(output), int8::tensor_zero_point(output), in, out,
                       output.elements()));
    } else if (std::holds_alternative<int8::Dequantize>(op.kind)) {
      const Tensor& input = int8::input_tensor(graph_, op, 0);
      call(fmt::format("retort_dequantize({:.9e}f, {}, {}, (float *)(void *){}, {})",
                       int8::tensor_scale(input), int8::tensor_zero_point(input), in, out,
                       output.elements()));
    }  // RESHAPE: the same bytes
  }

  [[nodiscard]] static std::string_view pool_function(const Operator& op) {
    return std::holds_alternative<int8::MaxPool2D>(op.kind) ? "retort_max_pool" : "retort_average_pool";
  }

  // A convolution and its reader, a few rows at a time.
  void write_bands(const cost::CStep& step) {
    const Operator& conv = graph_.operators[step.op];
    const Operator& reader = graph_.operators[step.reader.value()];
    const std::string conv_layer = layer_name(name_, step.op);
    const std::string reader_layer = layer_name(name_, step.reader.value());
    comment(step.reader.value());
    const std::string band = at_buffer(step.band_buffer);
    const Tensor& output = int8::output_tensor(graph_, reader);
    const int rows = output.dims[1];
    const int64_t row_bytes = output.bytes() / rows;
    const std::string out = fmt::format("{} + row * {}", at_tensor(reader.outputs[0]), row_bytes);
    needs_row_ = true;
    calls_ += fmt::format("  for (row = 0; row < {}; row += {}) {{\n", rows, step.band_rows);
    if (is_pool(reader)) {
      const auto& [window, filter_height, filter_width] = pool_window(reader);
      const Tensor& between = int8::input_tensor(graph_, reader, 0);
      const int height = between.dims[1];
      const graph::WindowGeometry geometry =
          int8::window_geometry(window, filter_height, filter_width, height, between.dims[2]);
      calls_ +=
          fmt::format("    const int32_t top = row * {} - {};\n", window.stride_height, geometry.pad_top);
      calls_ += fmt::format(
          "    const int32_t first = top > 0 ? top : 0, last = top + {0} < {1} ? top + {0} : {1};\n",
          filter_height, height);
      calls_ += fmt::format("    retort_conv2d(&{}, {}, {}, first, last, {});\n", conv_layer,
                            at_tensor(conv.inputs[0]), band, at_buffer(step.scratch_buffer));
      calls_ += fmt::format("    {}(&{}, {}, first, {}, row, row + 1);\n", pool_function(reader),
                            reader_layer, band, out);
    } else {
      const bool whole = rows % step.band_rows == 0;
      const std::string count = whole ? std::to_string(step.band_rows) : "count";
      if (!whole)
        calls_ += fmt::format("    const int32_t count = {0} - row < {1} ? {0} - row : {1};\n", rows,
                              step.band_rows);
      calls_ += fmt::format("    retort_conv2d(&{}, {}, {}, row, row + {}, {});\n", conv_layer,
                            at_tensor(conv.inputs[0]), band, count, at_buffer(step.scratch_buffer));
      const bool first = reader.inputs[0] == conv.outputs[0];
      const std::string other =
          fmt::format("{} + row * {}", at_tensor(reader.inputs[first ? 1 : 0]), row_bytes);
      calls_ += fmt::format("    retort_add(&{}, {}, {}, {}, {} * {});\n", reader_layer, first ? band : other,
                            first ? other : band, out, count, row_bytes);
    }
    calls_ += "  }\n";
  }

  const QuantGraph& graph_;
  const std::string& name_;
  std::string macro_;
  const cost::CPlan& plan_;
  std::string calls_;
  bool needs_row_ = false;
};

}  // namespace

std::string c_calls(const QuantGraph& graph, const std::string& name, const cost::CPlan& plan) {
  return CallWriter(graph, name, plan).run();
}

}  // namespace retort::deploy
