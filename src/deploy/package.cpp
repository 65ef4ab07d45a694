#include "deploy/package.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <regex>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/units.h"
#include "cost/cost.h"
#include "deploy/c_code.h"
#include "deploy/c_text.h"
#include "deploy/runtime_text.h"
#include "int8/kernel_parameters.h"
#include "int8/reference.h"

namespace retort::deploy {

namespace {

constexpr size_t kMostCases = 4;  // of golden inputs

const int8::Tensor& input_of(const int8::QuantGraph& graph) {
  return graph.tensors[static_cast<size_t>(graph.inputs.at(0))];
}
const int8::Tensor& output_of(const int8::QuantGraph& graph) {
  return graph.tensors[static_cast<size_t>(graph.outputs.at(0))];
}

// What the model is given for bytes of an image.
std::vector<uint8_t> model_input(const int8::Tensor& input, std::span<const uint8_t> image) {
  std::vector<uint8_t> bytes;
  if (input.type == int8::Type::Float32) {
    for (const uint8_t byte : image) {
      std::array<uint8_t, sizeof(float)> value{};
      const float real = static_cast<float>(byte) / 255.0F;
      std::memcpy(value.data(), &real, sizeof real);
      bytes.insert(bytes.end(), value.begin(), value.end());
    }
    return bytes;
  }
  const int8::ByteTable table = int8::image_table(input);
  for (const uint8_t byte : image) bytes.push_back(static_cast<uint8_t>(table[byte]));
  return bytes;
}

// Nothing, everything, a ramp, noise.
std::vector<std::vector<uint8_t>> made_up_images(size_t size, size_t count) {
  std::vector<std::vector<uint8_t>> images(count, std::vector<uint8_t>(size));
  Rng rng(1);
  for (size_t i = 0; i < count; ++i)
    for (size_t at = 0; at < size; ++at) {
      uint8_t& byte = images[i][at];
      if (i == 0) byte = static_cast<uint8_t>(rng.next_u32());
      if (i == 1) byte = static_cast<uint8_t>(at * 255 / std::max<size_t>(size - 1, 1));
      if (i == 2) byte = 0;
      if (i == 3) byte = 255;
    }
  return images;
}

std::string joined(const std::vector<int>& dims) {
  // The first is the batch.
  return fmt::format("{}", fmt::join(dims.begin() + (dims.size() > 1 ? 1 : 0), dims.end(), " x "));
}

std::string checked_version(const std::string& version) {
  static const std::regex kThreeNumbers(R"((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*))");
  if (!std::regex_match(version, kThreeNumbers))
    throw_usage("\"{}\" is no version of a package: write three numbers like 1.0.0", version);
  return version;
}

std::string byte_array(std::string_view declaration, std::span<const uint8_t> bytes) {
  constexpr size_t kPerLine = 24;
  std::string text = fmt::format("{}[{}] = {{", declaration, bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i)
    text += fmt::format("{}{},", i % kPerLine == 0 ? "\n    " : "", bytes[i]);
  return text + "};\n";
}

uint32_t crc32_of(uint32_t crc, std::span<const uint8_t> bytes) {
  constexpr uint32_t kPolynomial = 0xedb88320U;
  crc = ~crc;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ (kPolynomial & (0U - (crc & 1U)));
  }
  return ~crc;
}

// How the byte of an image becomes an input value, as C.
std::string quantized_expression(const int8::Tensor& input) {
  if (input.type == int8::Type::Float32) return "(float)byte / 255.0f";
  const int8::ByteTable table = int8::image_table(input);
  const bool plain = [&] {
    for (size_t byte = 0; byte < table.size(); ++byte)
      if (table[byte] != static_cast<int>(byte) - 128) return false;
    return true;
  }();
  if (plain) return "(int8_t)((int32_t)byte - 128)";
  return "byte_values[byte]";
}

std::string byte_table_text(const int8::Tensor& input) {
  if (quantized_expression(input).find('[') == std::string::npos) return {};
  return fmt::format("\nstatic const int8_t byte_values[256] = {{{}}};\n",
                     fmt::join(int8::image_table(input), ","));
}

// As it stands in a cell of a table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += static_cast<uint8_t>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  return escaped;
}

// What is text alone, whatever names it has: no HTML, no words that are links, no code.
std::string plain(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else {
      if (c == '[' || c == ']' || c == '`' || c == '\\') escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

// Between more backticks than it has in a row itself.
std::string code_span(std::string_view text) {
  size_t most = 0;
  size_t row = 0;
  for (const char c : text) {
    row = c == '`' ? row + 1 : 0;
    most = std::max(most, row);
  }
  const std::string ticks(most + 1, '`');
  const std::string_view space = most > 0 ? " " : "";
  return fmt::format("{0}{1}{2}{1}{0}", ticks, space, text);
}

// What is none, stands there as what nobody knows.
std::string share(const Json& value) {
  const double part = value.is_number() ? value.get<double>() : -1;
  return part >= 0 && part <= 1 ? fmt::format("{:.2f} %", part * 100) : "not known";
}

// A command line without --storage and its URL: whoever gets the package has no use for the name of its maker's server.
std::string without_storage(std::string_view command) {
  constexpr std::string_view kOption = "--storage";
  std::string out;
  bool skip_next = false;
  while (!command.empty()) {
    // A word of a shell's: spaces within quotes are its own.
    size_t end = 0;
    for (char quote = '\0'; end < command.size() && (quote != '\0' || command[end] != ' '); ++end) {
      const char c = command[end];
      if (c == '\\' && quote != '\'')
        ++end;
      else if (quote == '\0' ? c == '\'' || c == '"' : c == quote)
        quote = quote == '\0' ? c : '\0';
    }
    const std::string_view word = command.substr(0, end);
    command.remove_prefix(std::min(end + 1, command.size()));
    const std::string_view bare = word.starts_with('\'') ? word.substr(1) : word;
    const bool is_option = bare.starts_with(kOption) && (bare == kOption || bare.at(kOption.size()) == '=');
    if (!skip_next && !is_option) out += (out.empty() ? "" : " ") + std::string(word);
    skip_next = bare == kOption;
  }
  return out;
}

// What a search's model.json tells, whoever wrote it: text alone.
std::string training_text(const Json& about) {
  std::string text;
  const auto row = [&](std::string_view what, const std::string& markdown) {
    if (!markdown.empty()) text += fmt::format("| {} | {} |\n", what, cell(markdown));
  };
  const auto line = [&](std::string_view what, const std::string& value) { row(what, plain(value)); };
  const auto string_at = [&](const Json& in, const char* key) {
    const auto found = in.find(key);
    return found != in.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  static const Json kNone = Json::object();
  const auto object_at = [&](const char* key) -> const Json& {
    const auto found = about.find(key);
    return found != about.end() && found->is_object() ? *found : kNone;
  };
  text += "\n## Accuracy and making\n\n| | |\n|---|---|\n";
  const Json& test = object_at("test");
  if (test.contains("mean"))
    line("test accuracy, int8",
         fmt::format("{}; over all seeds {} ± {}", share(test.value("accuracy_int8", Json())),
                     share(test["mean"]), share(test.value("spread", Json()))));
  line("validation accuracy, int8", share(about.value("accuracy_int8", Json())));
  line("validation accuracy before quantising", share(about.value("accuracy_float", Json())));
  line("structure", string_at(about, "config"));
  line("layers", string_at(about, "layers"));
  if (about.contains("sparsity")) line("zeros among the weights", share(about["sparsity"]));
  const Json& data = object_at("data");
  line("data", string_at(data, "spec"));
  line("SHA-256 of the data", string_at(data, "content_hash"));
  const Json& input = object_at("input");
  line("input", string_at(input, "meaning"));
  // Images go from 0 to 1, as the sentence says; what low and high are of other values, it does not.
  if (const auto range = input.find("range"); range != input.end() && range->is_object()) {
    const Json low = range->value("low", Json());
    const Json high = range->value("high", Json());
    if (low.is_number() && high.is_number() && (low != 0 || high != 1))
      line("range of the input",
           fmt::format("low = {:.9g}, high = {:.9g}", low.get<double>(), high.get<double>()));
  }
  line("teacher", string_at(about, "teacher"));
  if (const auto runs = about.find("runs"); runs != about.end() && runs->is_array()) {
    std::string seeds;
    for (const Json& run : *runs)
      if (run.is_object() && run.contains("seed"))
        seeds += (seeds.empty() ? "" : ", ") + dump_json(run["seed"]);
    line("seeds", seeds);
  }
  if (about.contains("seed")) line("seed of this file", dump_json(about["seed"]));
  const std::string command = string_at(about, "command");
  row("command", command.empty() ? "" : code_span(without_storage(command)));
  return text;
}

// "(value + 128)" for −128.
std::string less(int64_t zero_point) {
  if (zero_point == 0) return "value";
  return fmt::format("(value {} {})", zero_point < 0 ? "+" : "−", std::abs(zero_point));
}

}  // namespace

bool takes_images(const int8::QuantGraph& graph) {
  constexpr int kLargestSide = 4096;  // as in runtime/image.c
  const std::vector<int>& dims = input_of(graph).dims;
  return dims.size() == 4 && (dims[3] == 1 || dims[3] == 3) && dims[1] <= kLargestSide &&
         dims[2] <= kLargestSide;
}

std::vector<ExampleImage> example_images(std::span<const uint32_t> indices,
                                         const std::function<ExampleImage(uint32_t)>& take) {
  std::vector<ExampleImage> images;
  std::set<int> labels;
  for (const uint32_t index : indices) {
    if (images.size() == kMostCases) break;
    ExampleImage image = take(index);
    if (labels.insert(image.label).second) images.push_back(std::move(image));
  }
  return images;
}

Golden golden(const ModelToExport& model) {
  constexpr size_t kMostBytes = 16384;  // of inputs, which a board's flash must hold beside the model
  int8::Interpreter interpreter(model.graph);
  const int8::Tensor& input = input_of(model.graph);
  const auto size = static_cast<size_t>(input.elements());
  const size_t count =
      std::clamp<size_t>(kMostBytes / static_cast<size_t>(interpreter.input_bytes()), 1, kMostCases);
  std::vector<std::vector<uint8_t>> images;
  for (const ExampleImage& image : model.images) {
    if (image.bytes.size() != size)
      throw_usage("an example image has {} bytes; the model takes {}", image.bytes.size(), size);
    if (images.size() < count) images.push_back(image.bytes);
  }
  if (images.empty()) images = made_up_images(size, count);
  Golden golden;
  golden.count = images.size();
  golden.image = images.front();
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  for (const std::vector<uint8_t>& image : images) {
    const std::vector<uint8_t> bytes = model_input(input, image);
    interpreter.invoke(bytes, output);
    golden.inputs.insert(golden.inputs.end(), bytes.begin(), bytes.end());
    golden.outputs.insert(golden.outputs.end(), output.begin(), output.end());
  }
  return golden;
}

size_t predicted_class(const ModelToExport& model, const Golden& golden, size_t index) {
  const int8::Tensor& output = output_of(model.graph);
  const auto count = static_cast<size_t>(output.elements());
  const auto value = [&](size_t i) {
    const size_t at = index * count + i;
    if (output.type != int8::Type::Float32)
      return static_cast<float>(static_cast<int8_t>(golden.outputs[at]));
    float real = 0;
    std::memcpy(&real, golden.outputs.data() + at * sizeof real, sizeof real);
    return real;
  };
  size_t best = 0;
  for (size_t i = 1; i < count; ++i)
    if (value(i) > value(best)) best = i;
  return best;
}

std::string filled_in(std::string_view file, const Words& words) {
  std::string text(runtime_text(file));
  for (const auto& [word, value] : words) {
    const std::string mark = fmt::format("@{}@", word);
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  return text;
}

Words words_of(const ModelToExport& model) {
  check_for_code(model.graph, model.name);
  const int8::Tensor& input = input_of(model.graph);
  const int8::Tensor& output = output_of(model.graph);
  return {{"name", model.name},
          {"MACRO", macro_prefix(model.name)},
          {"version", checked_version(model.version)},
          {"sentence", fmt::format("An int8 neural network as C code: {} in, {} out.", joined(input.dims),
                                   joined(output.dims))},
          {"type", std::string(c_type(input))},
          {"output_type", std::string(c_type(output))},
          {"quantized", quantized_expression(input)},
          {"byte_table", byte_table_text(input)},
          {"crc32", std::string(runtime_text("crc32.c"))},
          {"cortex_m", std::string(runtime_text("example_cortex_m.c"))}};
}

std::string golden_text(const ModelToExport& model, const Golden& golden) {
  const std::string macro = macro_prefix(model.name);
  std::string text = fmt::format(
      "/* Inputs of {0} and what it must answer, to the bit: raw bytes, one case after the other. */\n"
      "#ifndef {1}_GOLDEN_H\n#define {1}_GOLDEN_H\n\n#include <stdint.h>\n\n",
      model.name, macro);
  text += fmt::format("#define {}_GOLDEN_COUNT {}\n", macro, golden.count);
  text += fmt::format("#define {}_GOLDEN_INPUT_BYTES {}\n", macro, golden.inputs.size() / golden.count);
  text += fmt::format("#define {}_GOLDEN_OUTPUT_BYTES {}\n", macro, golden.outputs.size() / golden.count);
  text += fmt::format("#define {}_GOLDEN_CRC32 {:#010x}u /* of all inputs, then all outputs */\n", macro,
                      crc32_of(crc32_of(0, golden.inputs), golden.outputs));
  text += "/* The class that it answers for the first input";
  if (!model.images.empty() && model.images[0].label >= 0)
    text += fmt::format(", an image whose label is {}", model.images[0].label);
  text += fmt::format(". */\n#define {}_GOLDEN_CLASS {}\n\n", macro, predicted_class(model, golden, 0));
  text += byte_array(fmt::format("static const uint8_t {}_golden_inputs", model.name), golden.inputs);
  text += byte_array(fmt::format("static const uint8_t {}_golden_outputs", model.name), golden.outputs);
  return text + "\n#endif\n";
}

std::string stored_image_text(const ModelToExport& model, const Golden& golden) {
  const int8::Tensor& input = input_of(model.graph);
  std::string text = fmt::format("/* An image of {} bytes in rows", joined(input.dims));
  if (!model.images.empty() && model.images[0].label >= 0)
    text += fmt::format("; its label is {}", model.images[0].label);
  return text + ". */\n#include <stdint.h>\n\n" +
         byte_array(fmt::format("static const uint8_t {}_stored_image", model.name), golden.image);
}

std::string card_text(const ModelToExport& model) {
  const auto file_bytes = static_cast<int64_t>(model.tflite.size());
  const cost::Cost cost = cost::analyze(model.graph, file_bytes);
  std::string text = fmt::format("# Model card: {}\n\n", model.name);
  text += "A neural network in int8, made by Retort.\n\n## What it takes and gives\n\n| | |\n|---|---|\n";
  const int8::Tensor& input = input_of(model.graph);
  const int8::Tensor& output = output_of(model.graph);
  const auto describe = [](const int8::Tensor& tensor) {
    std::string words = fmt::format("{} of {}", tensor.type == int8::Type::Float32 ? "float32" : "int8",
                                    fmt::join(tensor.dims, " × "));
    if (tensor.type == int8::Type::Int8)
      words += fmt::format(", real = {:.9g} · {}", int8::tensor_scale(tensor),
                           less(int8::tensor_zero_point(tensor)));
    return words;
  };
  text += fmt::format("| input | {} |\n| output | {} |\n", describe(input), describe(output));
  if (!model.graph.classes.empty())
    text += fmt::format("| classes | {} |\n",
                        cell(plain(fmt::format("{}", fmt::join(model.graph.classes, ", ")))));
  text += "\n## Size\n\n| | |\n|---|---|\n";
  text += fmt::format("| parameters | {} |\n| multiply-accumulates | {} |\n| .tflite file | {} bytes |\n",
                      format_integer(cost.parameters), format_integer(cost.macs), format_integer(file_bytes));
  for (const cost::Runtime runtime : {cost::Runtime::C, cost::Runtime::Tflm}) {
    const cost::Footprint footprint = cost::analyze(model.graph, file_bytes, {.runtime = runtime}).footprint;
    const auto line = [&](std::string_view what, int64_t bytes, const std::string& parts) {
      text += fmt::format("| {} as {} (Cortex-M4) | {} bytes = {} |\n", what, cost::title(runtime),
                          format_integer(bytes), parts);
    };
    line("flash", footprint.flash_bytes(), cost::flash_parts(footprint));
    line("RAM", footprint.ram_bytes(), cost::ram_parts(footprint));
  }
  text += fmt::format("| SHA-256 of the .tflite file | {} |\n", sha256_hex(model.tflite));
  if (const Json about = parse_json_object(model.about_json); !about.empty()) {
    text += training_text(about);
  } else {
    text +=
        "\n## Accuracy and making\n\nNot known: the model was exported without the `model.json` of a "
        "search.\n";
  }
  if (!model.command.empty()) text += fmt::format("\nExported by {}.\n", code_span(model.command));
  return text;
}

void add_c_code(Files& files, const ModelToExport& model, const Golden& golden, const std::string& headers,
                const std::string& sources) {
  CCode code = generate_c(model.graph, {.name = model.name});
  const Words words = words_of(model);
  files[headers + model.name + ".h"] = std::move(code.header);
  files[sources + model.name + ".c"] = std::move(code.source);
  files[sources + model.name + "_weights.h"] = std::move(code.weights);
  files[sources + model.name + "_golden.h"] = golden_text(model, golden);
  files[headers + model.name + "_self_test.h"] = filled_in("self_test.h", words);
  files[sources + model.name + "_self_test.c"] = filled_in("self_test.c", words);
  if (!takes_images(model.graph)) return;
  files[headers + model.name + "_image.h"] = filled_in("image.h", words);
  files[sources + model.name + "_image.c"] = filled_in("image.c", words);
}

}  // namespace retort::deploy
