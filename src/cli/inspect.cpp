// retort inspect: what a model is made of and what it costs.
#include <fmt/ranges.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/target.h"
#include "cli/terminal.h"
#include "cost/cost.h"
#include "graph/notebook.h"
#include "int8/tflite.h"

namespace retort::cli {
namespace {

struct InspectCommand {
  ModelOptions model;
  std::optional<data::ImageShape> input;
  int classes = 10;
  int8::Ends ends = int8::Ends::Float;
  bool ends_given = false;
  TargetOptions target;
  bool target_given = false;
  OutputOptions output;
};

struct Inspected {
  cost::Cost cost;
  nlohmann::json about;  // what is known beside the cost
};

std::string dims_text(const std::vector<int>& dims) {
  return fmt::format("{}", fmt::join(dims, "x"));
}

nlohmann::json tensor_json(const int8::QuantGraph& graph, const std::vector<int>& indices) {
  nlohmann::json list = nlohmann::json::array();
  for (const int index : indices) {
    const int8::Tensor& tensor = graph.tensors.at(static_cast<size_t>(index));
    const char* type = tensor.type == int8::Type::Int8    ? "int8"
                       : tensor.type == int8::Type::Int32 ? "int32"
                                                          : "float32";
    nlohmann::json one = {{"name", tensor.name}, {"type", type}, {"shape", tensor.dims}};
    if (!tensor.quantization.scales.empty()) {
      one["scale"] = tensor.quantization.scales.front();
      one["zero_point"] =
          tensor.quantization.zero_points.empty() ? 0 : tensor.quantization.zero_points.front();
    }
    list.push_back(std::move(one));
  }
  return list;
}

Inspected inspect_tflite(const std::vector<uint8_t>& bytes, const std::filesystem::path& file,
                         const cost::Target& target) {
  const int8::QuantGraph graph = int8::read_tflite(bytes, file.string());
  return {cost::analyze(graph, static_cast<int64_t>(bytes.size()), target),
          {{"file", file.string()},
           {"inputs", tensor_json(graph, graph.inputs)},
           {"outputs", tensor_json(graph, graph.outputs)},
           {"classes", graph.classes}}};
}

// `classes` travel in the file; a fresh network has none yet.
Inspected inspect_graph(const graph::Graph& graph, int8::Ends ends, const std::vector<std::string>& classes,
                        const cost::Target& target) {
  const graph::Shape input = graph.input_shape();
  return {cost::analyze(graph, {.ends = ends, .classes = classes, .target = target}),
          {{"input", {input.height, input.width, input.channels}},
           {"class_count", graph.classes()},
           {"quantized", is_quantized(graph)},
           {"hash", graph::structural_hash(graph)}}};
}

Inspected inspect(const InspectCommand& command, const cost::Target& target) {
  const bool from_file = !command.model.file.empty();
  if (from_file != command.model.config.empty()) throw_usage("give either a file or --config");
  if (!from_file) {
    if (!command.input) throw_usage("--config needs the network's input: give --input like 32x32x1");
    const graph::Graph graph =
        graph::graph_from_config(command.model.config, input_shape(*command.input), command.classes);
    return inspect_graph(graph, command.ends, {}, target);
  }
  const std::vector<uint8_t> bytes = read_file(command.model.file);
  const bool tflite = bytes.size() >= 8 && std::string(bytes.begin() + 4, bytes.begin() + 8) == "TFL3";
  if (tflite || command.model.file.extension() == ".tflite") {
    if (command.ends_given)
      throw_usage("--ends is for weights and --config: {} has its ends already", command.model.file.string());
    return inspect_tflite(bytes, command.model.file, target);
  }
  const engine::Model model = engine::load_model(command.model.file);
  Inspected inspected = inspect_graph(model.graph, command.ends, model.classes, target);
  inspected.about["file"] = command.model.file.string();
  inspected.about["classes"] = model.classes;
  inspected.about["sparsity"] = graph::kernel_sparsity(model.parameters);
  return inspected;
}

std::string bytes_text(int64_t bytes) {
  return fmt::format("{} ({} bytes)", format_bytes(bytes), format_integer(bytes));
}

std::string table(const cost::Cost& cost) {
  std::string text = fmt::format("{:>3}  {:<18} {:<14} {:>11} {:>13} {:>10} {:>10}\n", "", "operator",
                                 "output", "parameters", "macs", "weights", "live");
  for (size_t i = 0; i < cost.layers.size(); ++i) {
    const cost::LayerCost& layer = cost.layers[i];
    text += fmt::format("{:>3}  {:<18} {:<14} {:>11} {:>13} {:>10} {:>10}\n", i, layer.operator_name,
                        dims_text(layer.output_dims), format_integer(layer.parameters),
                        format_integer(layer.macs), format_integer(layer.weight_bytes),
                        format_integer(layer.live_bytes));
  }
  return text;
}

std::string summary(const Inspected& inspected) {
  const cost::Cost& cost = inspected.cost;
  std::string text =
      fmt::format("parameters       {}\nmacs             {}\nflash            {}\n",
                  format_integer(cost.parameters), format_integer(cost.macs), bytes_text(cost.flash_bytes));
  text += fmt::format("arena cortex-m4  {}\narena host       {}\n", bytes_text(cost.cortex_m4.used_bytes()),
                      bytes_text(cost.host.used_bytes()));
  if (inspected.about.contains("sparsity"))
    text += fmt::format("zeros            {}\n", percent(inspected.about["sparsity"].get<double>()));
  if (inspected.about.contains("classes") && !inspected.about["classes"].empty())
    text += fmt::format("classes          {}\n",
                        fmt::join(inspected.about["classes"].get<std::vector<std::string>>(), ", "));
  return text;
}

void run(const InspectCommand& command) {
  Terminal terminal(command.output);
  const cost::Target target = resolve_target(command.target);
  const Inspected inspected = inspect(command, target);
  nlohmann::json json = inspected.cost;
  json.update(inspected.about);
  json.update(fit_json(inspected.cost, target));
  terminal.result_json(json);
  std::string text = table(inspected.cost) + "\n" + summary(inspected);
  if (command.target_given) text += "\n" + fit_text(inspected.cost, target);
  terminal.result(text);
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  CLI::App* sub =
      app.add_subcommand("inspect", "Operators, shapes, parameters, MACs, flash and arena of a model");
  const auto command = std::make_shared<InspectCommand>();
  add_model_options(*sub, command->model);
  sub->get_option("model")->description("a .tflite file, ours or anyone's, or weights (weights.retort)");
  add_image_shape(*sub, "--input", command->input, "input of the network of --config");
  add_integer(*sub, "--classes", command->classes, 2, 65535, "classes of the network of --config");
  add_ends_option(*sub, command->ends);
  add_target_options(*sub, command->target);
  add_output_options(*sub, command->output);
  add_examples(*sub,
               {"retort inspect best/model.tflite", "retort inspect model.tflite --json",
                "retort inspect model.tflite --board nano33ble --runtime tflm",
                "retort inspect --config '3 blocks, 2 layers, 32 filters' --input 32x32x1 --classes 10"});
  for (const char* name : {"--input", "--classes"}) sub->get_option(name)->needs(sub->get_option("--config"));
  sub->callback([command, sub] {
    command->ends_given = sub->get_option("--ends")->count() > 0;
    command->target_given = !command->target.board.empty() || sub->get_option("--runtime")->count() > 0;
    run(*command);
  });
}

}  // namespace retort::cli
