#include "deploy/c_header.h"

#include <fmt/format.h>

#include <string_view>

#include "deploy/c_text.h"
#include "int8/kernel_parameters.h"

namespace retort::deploy {

using int8::QuantGraph;
using int8::Tensor;

namespace {

// Size, shape and grid of the input or the output.
std::string end_text(const Tensor& end, std::string_view macro, std::string_view which) {
  std::string text;
  const auto define = [&](std::string_view what, const std::string& value) {
    text += fmt::format("#define {}_{}_{} {}\n", macro, which, what, value);
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

}  // namespace

std::string c_header(const QuantGraph& graph, const std::string& name, int64_t arena_bytes) {
  const std::string macro = macro_prefix(name);
  const Tensor& input = graph.tensors[static_cast<size_t>(graph.inputs[0])];
  const Tensor& output = graph.tensors[static_cast<size_t>(graph.outputs[0])];
  std::string text = fmt::format(
      "/* {}: a neural network in C, written by retort. */\n"
      "#ifndef {}_H\n#define {}_H\n\n#include <stdint.h>\n\n"
      "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n",
      name, macro, macro);
  text += "/* Input: " + shape_text(input.dims) +
          (input.dims.size() == 4 ? ", height x width x channels in rows" : "") +
          ". A number q stands for (q - ZERO_POINT) * SCALE. */\n";
  text += end_text(input, macro, "INPUT");
  text += "/* Output: " + shape_text(output.dims) + ". */\n";
  text += end_text(output, macro, "OUTPUT");
  text += fmt::format(
      "/* Static memory in all, the input and the output included. */\n#define {}_ARENA_BYTES {}\n\n", macro,
      arena_bytes);
  text += fmt::format(
      "/* Where to write an input before {0}_invoke, which uses the same memory for other things: write "
      "all of it\n"
      " * each time. */\n{1} *{0}_input(void);\n"
      "/* Runs the network; not to be called again before it has returned, nor from two threads. */\n"
      "void {0}_invoke(void);\n"
      "/* What {0}_invoke has computed, until the next input is written. */\nconst {2} "
      "*{0}_output(void);\n",
      name, c_type(input), c_type(output));
  if (has_class_names(graph))
    text += fmt::format(
        "\n/* Names of the outputs (UTF-8). */\n#define {1}_HAS_CLASS_NAMES 1\n"
        "extern const char *const {0}_class_names[{1}_OUTPUT_SIZE];\n",
        name, macro);
  text += "\n#ifdef __cplusplus\n}\n#endif\n#endif\n";
  return text;
}

bool has_class_names(const QuantGraph& graph) {
  return !graph.classes.empty() && static_cast<int64_t>(graph.classes.size()) ==
                                       graph.tensors[static_cast<size_t>(graph.outputs[0])].elements();
}

}  // namespace retort::deploy
