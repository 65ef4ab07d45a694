// `tflm`: the file as an array for TensorFlow Lite Micro, with the operators and the arena that it needs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cost/arena.h"
#include "deploy/exporters.h"
#include "deploy/package.h"

namespace retort::deploy {

namespace {

// The resolver's function for each operator.
std::string resolver_function(const std::string& operator_name) {
  static const std::map<std::string, std::string> functions = {
      {"CONV_2D", "AddConv2D"},
      {"DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"},
      {"FULLY_CONNECTED", "AddFullyConnected"},
      {"MAX_POOL_2D", "AddMaxPool2D"},
      {"AVERAGE_POOL_2D", "AddAveragePool2D"},
      {"ADD", "AddAdd"},
      {"MEAN", "AddMean"},
      {"RESHAPE", "AddReshape"},
      {"SOFTMAX", "AddSoftmax"},
      {"RELU", "AddRelu"},
      {"RELU6", "AddRelu6"},
      {"QUANTIZE", "AddQuantize"},
      {"DEQUANTIZE", "AddDequantize"},
  };
  return functions.at(operator_name);
}

std::string array_text(std::span<const uint8_t> bytes) {
  constexpr size_t kPerLine = 24;
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i)
    text += fmt::format("{}{},", i % kPerLine == 0 ? "\n    " : "", bytes[i]);
  return text;
}

class TflmExporter final : public Exporter {
 public:
  [[nodiscard]] Files files(const ModelToExport& model) const override {
    std::set<std::string> operators;
    for (const int8::Operator& op : model.graph.operators) operators.insert(int8::operator_name(op.kind));
    std::string calls;
    for (const std::string& name : operators)
      calls +=
          fmt::format("  if (resolver.{}() != kTfLiteOk) return kTfLiteError;\n", resolver_function(name));
    Words words = words_of(model);
    words.emplace_back("operator_count", std::to_string(operators.size()));
    words.emplace_back("operators", calls);
    words.emplace_back("arena_32",
                       std::to_string(cost::plan_arena(model.graph, cost::Abi::CortexM4).smallest_bytes));
    words.emplace_back("arena_64",
                       std::to_string(cost::plan_arena(model.graph, cost::Abi::Host).smallest_bytes));
    words.emplace_back("file_bytes", std::to_string(model.tflite.size()));
    words.emplace_back("array", array_text(model.tflite));
    Files files;
    files[model.name + ".tflite"] = std::string(model.tflite.begin(), model.tflite.end());
    files[model.name + "_tflm.h"] = filled_in("tflm.h", words);
    files[model.name + "_tflm.cc"] = filled_in("tflm.cc", words);
    files[model.name + "_golden.h"] = golden_text(model, golden(model));
    files["example/main.cc"] = filled_in("tflm_main.cc", words);
    files["README.md"] = filled_in("tflm_readme.md", words);
    files["MODEL_CARD.md"] = card_text(model);
    files["LICENSE"] = filled_in("LICENSE", {});
    return files;
  }
};

}  // namespace

std::unique_ptr<Exporter> make_tflm_exporter() {
  return std::make_unique<TflmExporter>();
}

}  // namespace retort::deploy
