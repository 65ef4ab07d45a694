#include "deploy/c_code.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "cost/c_plan.h"
#include "deploy/c_calls.h"
#include "deploy/c_header.h"
#include "deploy/c_layers.h"
#include "deploy/c_text.h"
#include "deploy/runtime_text.h"

namespace retort::deploy {

using int8::QuantGraph;
using int8::Tensor;

namespace {

// NAME_input or NAME_output.
std::string end_function(const QuantGraph& graph, const std::string& name, const cost::CPlan& plan, int index,
                         std::string_view which, std::string_view constant = "") {
  const Tensor& tensor = graph.tensors[static_cast<size_t>(index)];
  const std::string at = fmt::format("{}_AT({})", macro_prefix(name), plan.tensor_offset(index));
  const bool is_float = tensor.type == int8::Type::Float32;
  return fmt::format("{}{} *{}_{}(void) {{ return {}; }}\n\n", constant, c_type(tensor), name, which,
                     is_float ? fmt::format("({}float *)(void *){}", constant, at) : at);
}

std::string c_source(const QuantGraph& graph, const std::string& name, const cost::CPlan& plan,
                     const CLayers& layers) {
  const std::string macro = macro_prefix(name);
  std::string text = fmt::format(
      "/* {0}.c: written by retort; the comments at each layer tell its operator. C99 and no library.\n"
      " *\n"
      " * Right shifts of negative numbers are taken to be arithmetic, as every compiler for "
      "microcontrollers has\n"
      " * them. */\n"
      "#include \"{0}.h\"\n\n",
      name);
  // In the order in which they need each other.
  for (const char* file :
       {"prelude.c", "layer.c", "conv2d.c", "depthwise_conv2d.c", "fully_connected.c", "pool.c", "max_pool.c",
        "average_pool.c", "add.c", "mean.c", "look_up.c", "softmax.c", "quantize.c", "dequantize.c"})
    if (layers.kernels.contains(file)) text += std::string(runtime_text(file)) + "\n";
  text += fmt::format("#include \"{}_weights.h\"\n\n", name);
  text += layers.structs;
  text +=
      fmt::format("static uint32_t {}_arena[{}];\n#define {}_AT(offset) ((int8_t *){}_arena + (offset))\n\n",
                  name, std::max<int64_t>(plan.arena_bytes / 4, 1), macro, name);
  text += end_function(graph, name, plan, graph.inputs[0], "input");
  text += end_function(graph, name, plan, graph.outputs[0], "output", "const ");
  if (has_class_names(graph)) {
    text += fmt::format("const char *const {}_class_names[{}_OUTPUT_SIZE] = {{\n", name, macro);
    for (const std::string& label : graph.classes) text += "    " + c_string(label) + ",\n";
    text += "};\n\n";
  }
  text += fmt::format("void {}_invoke(void) {{\n", name);
  return text + c_calls(graph, name, plan) + "}\n\n#undef " + macro + "_AT\n";
}

}  // namespace

std::string_view runtime_text(std::string_view name) {
  for (const RuntimeText& text : runtime_texts())
    if (text.name == name) return text.text;
  std::abort();  // a file of this room is missing
}

void check_for_code(const QuantGraph& graph, const std::string& name) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto good = [&](char c) { return is_letter(c) || is_digit(c) || c == '_'; };
  // With two _ in a row, as before the _ of name_invoke, C++ keeps a name for itself.
  if (name.empty() || !std::ranges::all_of(name, good) || !is_letter(name.front()) || name.back() == '_' ||
      name.find("__") != std::string::npos)
    throw_usage(
        "\"{}\" is no name for C code: use lower-case letters, digits and _, a letter first, no _ last or "
        "doubled",
        name);
  constexpr auto kDevices = std::to_array<std::string_view>({"aux", "con", "nul", "prn"});
  const bool is_port = name.size() == 4 && (name.starts_with("com") || name.starts_with("lpt")) &&
                       is_digit(name[3]) && name[3] != '0';
  if (is_port || std::ranges::find(kDevices, name) != kDevices.end())
    throw_usage("\"{0}\" is no name for C code: on Windows {0}.h is a device, not a file", name);
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
  const std::string& name = options.name;
  const cost::CPlan plan = cost::plan_c(graph);
  const CLayers layers = describe_layers(graph, name, plan);
  CCode code;
  code.header = c_header(graph, name, plan.arena_bytes);
  code.source = c_source(graph, name, plan, layers);
  code.weights = fmt::format(
      "/* The numbers of {0}.c, which alone includes this file. */\n#ifndef {1}_WEIGHTS_H\n#define "
      "{1}_WEIGHTS_H\n\n"
      "{2}\n#endif\n",
      name, macro_prefix(name), layers.numbers);
  code.arena_bytes = plan.arena_bytes;
  code.weight_bytes = layers.weight_bytes;
  return code;
}

}  // namespace retort::deploy
