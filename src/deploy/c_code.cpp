#include "deploy/c_code.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cost/c_plan.h"
#include "deploy/runtime_text.h"
#include "int8/kernel_parameters.h"

namespace retort::deploy {

namespace {

using int8::Operator;
using int8::QuantGraph;
using int8::Tensor;

constexpr int64_t kQuad = 4;           // the kernels take so many weights of a filter at once
constexpr int64_t kChannelBytes = 12;  // retort_channel
constexpr int64_t kLargestUnsigned = 65535;

std::string upper_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string shape_text(const std::vector<int>& dims) {
  return fmt::format("{}", fmt::join(dims, " x "));
}

// "\"…\"" as a C compiler reads it back.
std::string c_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (byte < 0x20 || byte >= 0x7f || c == '?')  // three digits end the escape; no trigraphs
      quoted += fmt::format("\\{:03o}", byte);
    else
      quoted += c;
  }
  return quoted + "\"";
}

// The most negative int32 has no literal in C.
std::string c_number(int32_t value) {
  return value == std::numeric_limits<int32_t>::min() ? "-2147483647 - 1" : std::to_string(value);
}

// The kernels round without a branch.
bool is_narrow(int shift) {
  constexpr int kLargestRightShift = 22;
  return shift < 0 && shift >= -kLargestRightShift;
}

class Writer {
 public:
  Writer(const QuantGraph& graph, const CCodeOptions& options)
      : graph_(graph), name_(options.name), macro_(upper_case(options.name)), plan_(cost::plan_c(graph)) {}

  CCode run() {
    for (const cost::CStep& step : plan_.steps) write_step(step);
    CCode code;
    code.header = header();
    code.source = source();
    code.weights = fmt::format(
        "/* The numbers of {}.c, which alone includes this file. */\n#ifndef {}_WEIGHTS_H\n#define "
        "{}_WEIGHTS_H\n\n"
        "{}\n#endif\n",
        name_, macro_, macro_, numbers_);
    code.arena_bytes = plan_.arena_bytes;
    code.weight_bytes = weight_bytes_;
    return code;
  }

 private:
  [[nodiscard]] const Tensor& tensor(int index) const { return graph_.tensors[static_cast<size_t>(index)]; }

  // ---- the header

  [[nodiscard]] static std::string_view c_type(const Tensor& tensor) {
    return tensor.type == int8::Type::Float32 ? "float" : "int8_t";
  }

  [[nodiscard]] std::string end_text(const Tensor& end, std::string_view which) const {
    std::string text;
    const auto define = [&](std::string_view what, const std::string& value) {
      text += fmt::format("#define {}_{}_{} {}\n", macro_, which, what, value);
    };
    define("SIZE", fmt::format("{} /* numbers */", end.elements()));
    if (end.dims.size() == 4) {
      define("HEIGHT", std::to_string(end.dims[1]));
      define("WIDTH", std::to_string(end.dims[2]));
      define("CHANNELS", std::to_string(end.dims[3]));
    }
    if (end.type == int8::Type::Int8) {
      define("SCALE", fmt::format("{:.9e}f", int8::tensor_scale(end)));
      define("ZERO_POINT", fmt::format("({})", int8::tensor_zero_point(end)));
    }
    return text;
  }

  [[nodiscard]] std::string header() const {
    const Tensor& input = tensor(graph_.inputs[0]);
    const Tensor& output = tensor(graph_.outputs[0]);
    std::string text = fmt::format(
        "/* {}: a neural network in C, written by retort. */\n"
        "#ifndef {}_H\n#define {}_H\n\n#include <stdint.h>\n\n"
        "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n",
        name_, macro_, macro_);
    text += "/* Input: " + shape_text(input.dims) +
            (input.dims.size() == 4 ? ", height x width x channels in rows" : "") +
            ". A number q stands for (q - ZERO_POINT) * SCALE. */\n";
    text += end_text(input, "INPUT");
    text += "/* Output: " + shape_text(output.dims) + ". */\n";
    text += end_text(output, "OUTPUT");
    text += fmt::format(
        "/* Static memory in all, the input and the output included. */\n#define {}_ARENA_BYTES {}\n\n",
        macro_, plan_.arena_bytes);
    text += fmt::format(
        "/* Where to write an input before {0}_invoke, which uses the same memory for other things: write "
        "all of it\n"
        " * each time. */\n{1} *{0}_input(void);\n"
        "/* Runs the network; not to be called again before it has returned, nor from two threads. */\n"
        "void {0}_invoke(void);\n"
        "/* What {0}_invoke has computed, until the next input is written. */\nconst {2} "
        "*{0}_output(void);\n",
        name_, c_type(input), c_type(output));
    if (has_class_names())
      text += fmt::format(
          "\n/* Names of the outputs (UTF-8). */\n#define {1}_HAS_CLASS_NAMES 1\n"
          "extern const char *const {0}_class_names[{1}_OUTPUT_SIZE];\n",
          name_, macro_);
    text += "\n#ifdef __cplusplus\n}\n#endif\n#endif\n";
    return text;
  }

  [[nodiscard]] bool has_class_names() const {
    return !graph_.classes.empty() &&
           static_cast<int64_t>(graph_.classes.size()) == tensor(graph_.outputs[0]).elements();
  }

  // ---- the source

  [[nodiscard]] std::string source() const {
    std::string text = fmt::format(
        "/* {0}.c: written by retort; the comments at each layer tell its operator. C99 and no library.\n"
        " *\n"
        " * Right shifts of negative numbers are taken to be arithmetic, as every compiler for "
        "microcontrollers has\n"
        " * them. */\n"
        "#include \"{0}.h\"\n\n",
        name_);
    // In the order in which they need each other.
    for (const char* file : {"prelude.c", "layer.c", "conv2d.c", "depthwise_conv2d.c", "fully_connected.c",
                             "pool.c", "max_pool.c", "average_pool.c", "add.c", "mean.c", "look_up.c",
                             "softmax.c", "quantize.c", "dequantize.c"})
      if (kernels_.contains(file)) text += std::string(runtime_text(file)) + "\n";
    text += fmt::format("#include \"{}_weights.h\"\n\n", name_);
    text += layers_;
    text += fmt::format(
        "static uint32_t {}_arena[{}];\n#define {}_AT(offset) ((int8_t *){}_arena + (offset))\n\n", name_,
        std::max<int64_t>(plan_.arena_bytes / 4, 1), macro_, name_);
    text += end_function(graph_.inputs[0], "input", "");
    text += end_function(graph_.outputs[0], "output", "const ");
    if (has_class_names()) {
      text += fmt::format("const char *const {}_class_names[{}_OUTPUT_SIZE] = {{\n", name_, macro_);
      for (const std::string& name : graph_.classes) text += "    " + c_string(name) + ",\n";
      text += "};\n\n";
    }
    text += fmt::format("void {}_invoke(void) {{\n", name_);
    if (needs_row_) text += "  int32_t row;\n";
    return text + calls_ + "}\n\n#undef " + macro_ + "_AT\n";
  }

  [[nodiscard]] std::string end_function(int index, std::string_view which, std::string_view constant) const {
    const std::string at = fmt::format("{}_AT({})", macro_, plan_.tensor_offset(index));
    const bool is_float = tensor(index).type == int8::Type::Float32;
    return fmt::format("{}{} *{}_{}(void) {{ return {}; }}\n\n", constant, c_type(tensor(index)), name_,
                       which, is_float ? fmt::format("({}float *)(void *){}", constant, at) : at);
  }

  void need(std::string_view kernel) {
    kernels_.insert("prelude.c");
    kernels_.insert(std::string(kernel));
  }

  // ---- numbers

  void write_bytes(const std::string& name, std::span<const int8_t> values) {
    numbers_ += fmt::format("static const int8_t {}[{}] = {{", name, values.size());
    constexpr size_t kColumns = 116;
    std::string line;
    for (const int8_t value : values) {
      const std::string one = fmt::format("{},", value);
      if (line.size() + one.size() > kColumns) {
        numbers_ += "\n    " + line;
        line.clear();
      }
      line += one;
    }
    numbers_ += "\n    " + line + "};\n";
    weight_bytes_ += static_cast<int64_t>(values.size());
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
    numbers_ += fmt::format("static const retort_channel {}[{}] = {{\n{}}};\n", number_name("channels"),
                            channels, channels_text);
    weight_bytes_ += channels * kChannelBytes;
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

  // ---- layers

  void describe(std::string_view type, const std::string& fields) {
    layers_ += fmt::format("static const {} {} = {{\n{}}};\n\n", type, layer_name(), fields);
  }
  [[nodiscard]] std::string layer_name() const { return fmt::format("{}_layer_{}", name_, operator_); }

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
    } else if (is_look_up(op)) {
      need("look_up.c");
      const int8::ByteTable table = int8::unary_table(graph_, op);
      write_bytes(number_name("table"), table);
    }
  }

  [[nodiscard]] bool is_look_up(const Operator& op) const {
    return std::holds_alternative<int8::ReluOp>(op.kind) || std::holds_alternative<int8::Relu6Op>(op.kind) ||
           (std::holds_alternative<int8::Quantize>(op.kind) &&
            int8::input_tensor(graph_, op, 0).type == int8::Type::Int8);
  }

  struct PoolWindow {
    int8::WindowOp window;
    int filter_height = 0;
    int filter_width = 0;
  };
  void describe_pool(const Operator& op, const PoolWindow& pool) {
    const int8::ValueRange range =
        int8::activation_range(pool.window.activation, int8::output_tensor(graph_, op));
    describe("retort_pool",
             window_text(op, pool.window, pool.filter_height, pool.filter_width) +
                 fmt::format("    .channels = {}, .minimum = {}, .maximum = {}\n",
                             small(int8::output_tensor(graph_, op).dims[3]), range.minimum, range.maximum));
  }

  // ---- calls

  [[nodiscard]] std::string at(int64_t offset) const { return fmt::format("{}_AT({})", macro_, offset); }
  [[nodiscard]] std::string at_tensor(int index) const { return at(plan_.tensor_offset(index)); }
  [[nodiscard]] std::string at_buffer(int buffer) const {
    return buffer < 0 ? "0" : at(plan_.buffers[static_cast<size_t>(buffer)].offset);
  }

  // One line a layer, for those who read the code.
  void comment(const Operator& op) {
    calls_ += fmt::format("  /* {} {}: {} -> {} */\n", operator_, int8::operator_name(op.kind),
                          shape_text(int8::input_tensor(graph_, op, 0).dims),
                          shape_text(int8::output_tensor(graph_, op).dims));
  }

  void write_step(const cost::CStep& step) {
    const Operator& op = graph_.operators[step.op];
    operator_ = step.op;
    describe(op);
    comment(op);
    if (step.reader) {
      write_bands(step);
      return;
    }
    const std::string in = at_tensor(op.inputs[0]);
    const std::string out = at_tensor(op.outputs[0]);
    const Tensor& output = int8::output_tensor(graph_, op);
    const std::string scratch = at_buffer(step.scratch_buffer);
    const auto call = [&](const std::string& text) { calls_ += "  " + text + ";\n"; };
    if (std::holds_alternative<int8::Conv2D>(op.kind)) {
      call(fmt::format("retort_conv2d(&{}, {}, {}, 0, {}, {})", layer_name(), in, out, output.dims[1],
                       scratch));
    } else if (std::holds_alternative<int8::DepthwiseConv2D>(op.kind)) {
      call(fmt::format("retort_depthwise_conv2d(&{}, {}, {}, {})", layer_name(), in, out, scratch));
    } else if (std::holds_alternative<int8::FullyConnected>(op.kind)) {
      call(fmt::format("retort_fully_connected(&{}, {}, {})", layer_name(), in, out));
    } else if (is_pool(op)) {
      call(
          fmt::format("{}(&{}, {}, 0, {}, 0, {})", pool_function(op), layer_name(), in, out, output.dims[1]));
    } else if (std::holds_alternative<int8::AddOp>(op.kind)) {
      call(fmt::format("retort_add(&{}, {}, {}, {}, {})", layer_name(), in, at_tensor(op.inputs[1]), out,
                       output.elements()));
    } else if (std::holds_alternative<int8::Mean>(op.kind)) {
      call(fmt::format("retort_mean(&{}, {}, {})", layer_name(), in, out));
    } else if (std::holds_alternative<int8::SoftmaxOp>(op.kind)) {
      call(fmt::format("retort_softmax(&{}, {}, {})", layer_name(), in, out));
    } else if (is_look_up(op)) {
      call(fmt::format("retort_look_up({}, {}, {}, {})", number_name("table"), in, out, output.elements()));
    } else if (std::holds_alternative<int8::Quantize>(op.kind)) {
      need("quantize.c");
      call(fmt::format("retort_quantize({:.9e}f, {}, (const float *)(const void *){}, {}, {})",
                       int8::tensor_scale(output), int8::tensor_zero_point(output), in, out,
                       output.elements()));
    } else if (std::holds_alternative<int8::Dequantize>(op.kind)) {
      need("dequantize.c");
      const Tensor& input = int8::input_tensor(graph_, op, 0);
      call(fmt::format("retort_dequantize({:.9e}f, {}, {}, (float *)(void *){}, {})",
                       int8::tensor_scale(input), int8::tensor_zero_point(input), in, out,
                       output.elements()));
    }  // RESHAPE: the same bytes
  }

  [[nodiscard]] static bool is_pool(const Operator& op) {
    return std::holds_alternative<int8::MaxPool2D>(op.kind) ||
           std::holds_alternative<int8::AveragePool2D>(op.kind);
  }
  [[nodiscard]] static std::string_view pool_function(const Operator& op) {
    return std::holds_alternative<int8::MaxPool2D>(op.kind) ? "retort_max_pool" : "retort_average_pool";
  }

  // A convolution and its reader, a few rows at a time.
  void write_bands(const cost::CStep& step) {
    const Operator& conv = graph_.operators[step.op];
    const Operator& reader = graph_.operators[step.reader.value()];
    const std::string conv_layer = layer_name();
    operator_ = step.reader.value();
    describe(reader);
    comment(reader);
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
                            layer_name(), band, out);
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
      calls_ += fmt::format("    retort_add(&{}, {}, {}, {}, {} * {});\n", layer_name(), first ? band : other,
                            first ? other : band, out, count, row_bytes);
    }
    calls_ += "  }\n";
  }
  [[nodiscard]] static PoolWindow pool_window(const Operator& op) {
    if (const auto* pool = std::get_if<int8::MaxPool2D>(&op.kind))
      return {*pool, pool->filter_height, pool->filter_width};
    const auto& pool = std::get<int8::AveragePool2D>(op.kind);
    return {pool, pool.filter_height, pool.filter_width};
  }

  const QuantGraph& graph_;
  std::string name_;
  std::string macro_;
  cost::CPlan plan_;
  size_t operator_ = 0;
  std::set<std::string> kernels_;
  std::string numbers_;
  std::string layers_;
  std::string calls_;
  bool needs_row_ = false;
  int64_t weight_bytes_ = 0;
};

}  // namespace

std::string_view runtime_text(std::string_view name) {
  for (const RuntimeText& text : runtime_texts())
    if (text.name == name) return text.text;
  std::abort();  // a file of this room is missing
}

void check_for_code(const QuantGraph& graph, const std::string& name) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), good) || (name[0] >= '0' && name[0] <= '9'))
    throw_usage("\"{}\" is no name for C code: use lower-case letters, digits and _, a letter first", name);
  // NAME.h lies where compilers look for headers, and some file systems take a.h for A.h.
  constexpr auto kHeaders = std::to_array<std::string_view>(
      {"arduino",   "assert",  "complex", "ctype",  "errno", "fenv",   "float",  "inttypes", "iso646",
       "limits",    "locale",  "math",    "memory", "sched", "setjmp", "signal", "stdalign", "stdarg",
       "stdatomic", "stdbool", "stddef",  "stdint", "stdio", "stdlib", "string", "strings",  "tgmath",
       "threads",   "time",    "uchar",   "unistd", "wchar", "wctype"});
  if (std::ranges::find(kHeaders, name) != kHeaders.end())
    throw_usage("\"{0}\" is no name for C code: {0}.h is a header of the system, which the code's would hide",
                name);
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1)
    throw_usage("the network has {} inputs and {} outputs; code is written for one of each",
                graph.inputs.size(), graph.outputs.size());
}

CCode generate_c(const QuantGraph& graph, const CCodeOptions& options) {
  check_for_code(graph, options.name);
  return Writer(graph, options).run();
}

}  // namespace retort::deploy
