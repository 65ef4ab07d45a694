// retort export: a trained model as a file that devices read.
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cost/cost.h"
#include "int8/lower.h"
#include "int8/tflite.h"
#include "search/pipeline.h"

namespace retort::cli {
namespace {

struct ExportCommand {
  std::filesystem::path model;
  std::string to = "tflite";
  int8::Ends ends = int8::Ends::Float;
  std::filesystem::path out;
  DataOptions data;
  data::SplitOptions split;
  OutputOptions output;
};

struct Exported {
  std::vector<uint8_t> tflite;
  double validation_accuracy = search::kUnknown;
};

// The pipeline's own export: it measures the ranges of a model that was not trained for int8.
Exported export_with_data(const ExportCommand& command, engine::Model model, Terminal& terminal) {
  const auto dataset = load(command.data, terminal);
  check_fits(model.graph, *dataset, command.model.string());
  const data::Split split = data::stratified_split(*dataset, command.split);
  search::PipelineSettings settings;
  settings.ends = command.ends;
  search::Candidate candidate =
      search::adopt_candidate("model", model.graph, std::move(model.parameters), Rng(0));  // draws nothing
  search::export_model(candidate, {.dataset = *dataset,
                                   .split = split,
                                   .settings = settings,
                                   .curriculum = {},
                                   .progress = terminal,
                                   .stop = interrupt_token()});
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): value() checks
  search::ExportedModel& exported = candidate.exported.value();
  return {std::move(exported.tflite), exported.validation_accuracy};
}

void run(const ExportCommand& command) {
  if (command.to != "tflite") throw_usage("--to: \"{}\" is unknown: write tflite", command.to);
  require_writable("--out", command.out);
  std::error_code missing;
  if (std::filesystem::equivalent(command.model, command.out, missing))
    throw_usage("--out: {} is the model itself: its weights would be lost", command.out.string());
  Terminal terminal(command.output);
  engine::Model model = engine::load_model(command.model);
  const bool trained_for_int8 = is_quantized(model.graph);
  if (!trained_for_int8 && command.data.spec.empty())
    throw_usage(
        "{} is not quantised: run retort quantize first, or give --data, whose training images then set the "
        "ranges of "
        "the activations",
        command.model.string());
  Exported exported;
  if (command.data.spec.empty()) {
    exported.tflite = int8::write_tflite(
        int8::lower(model.graph, model.parameters, {.ends = command.ends, .classes = model.classes}));
  } else {
    exported = export_with_data(command, std::move(model), terminal);
  }
  write_file_atomic(command.out, exported.tflite);

  const auto flash_bytes = static_cast<int64_t>(exported.tflite.size());
  const cost::Cost cost =
      cost::analyze(int8::read_tflite(exported.tflite, command.out.string()), flash_bytes);
  nlohmann::json json = cost;
  json["file"] = command.out.string();
  std::string text = fmt::format("{}  {} flash, {} arena on a Cortex-M4, {} MACs", command.out.string(),
                                 format_bytes(flash_bytes), format_bytes(cost.cortex_m4.used_bytes()),
                                 format_integer(cost.macs));
  if (!command.data.spec.empty()) {
    json["accuracy_int8"] = exported.validation_accuracy;
    text += fmt::format(", validation {}", percent(exported.validation_accuracy));
  }
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace

void add_export_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("export", "Write a trained model as a .tflite file");
  const auto command = std::make_shared<ExportCommand>();
  sub->add_option("model", command->model, "a file of weights (weights.retort)")
      ->type_name("MODEL")
      ->required();
  sub->add_option("--to", command->to, "tflite")->type_name("FORMAT")->default_str("tflite");
  add_output_path(*sub, "--out", command->out, "FILE", "the file to write")->required();
  add_ends_option(*sub, command->ends);
  add_data_options(*sub, command->data, Presence::Optional);
  add_split_options(*sub, command->split);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort export int8/weights.retort --ends int8 --out model.tflite",
                      "retort export student/weights.retort --data fashion-mnist --out model.tflite"});
  for (const char* name : {"--skip-bad", "--no-cache", "--validation", "--test-fraction", "--split-seed"})
    sub->get_option(name)->needs(sub->get_option("--data"));
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
