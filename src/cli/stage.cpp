#include "cli/stage.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cost/cost.h"
#include "int8/tflite.h"
#include "search/pipeline.h"

namespace retort::cli {

void add_stage_command_options(CLI::App& app, StageCommand& command) {
  add_model_options(app, command.model);
  add_data_options(app, command.data, Presence::Required);
  app.add_option("--out", command.out, "folder for weights.retort")->type_name("DIR")->required();
  add_stage_options(app, command.settings);
  add_split_options(app, command.split);
  add_seed_option(app, command.seed);
  add_threads_option(app, command.threads);
  add_output_options(app, command.output);
}

CLI::Option* add_teacher_option(CLI::App& app, StageCommand& command) {
  return app
      .add_option("--teacher", command.teacher,
                  "weights of a teacher, logits:FILE.npy (images x classes in the data's order), or none")
      ->type_name("FILE");
}

void run_stage(const StageCommand& command, std::string_view stage) {
  search::validate(command.settings);
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  const data::Split split = data::stratified_split(*dataset, command.split);
  const int threads = resolve_threads(command.threads);
  const Rng rng(command.seed);
  engine::Model model = obtain_model(command.model, *dataset, rng);
  const auto teacher =
      obtain_teacher(command.teacher, *dataset, command.settings.views, threads, terminal, interrupt_token());
  const engine::TeacherLogits* logits = teacher ? &*teacher : nullptr;
  const auto order = search::curriculum_order(command.settings.curriculum, split, logits, rng);

  search::Candidate candidate =
      search::adopt_candidate("model", std::move(model.graph), std::move(model.parameters), rng);
  const search::Context context{.dataset = *dataset,
                                .split = split,
                                .settings = command.settings,
                                .teacher = logits,
                                .curriculum = order,
                                .threads = threads,
                                .progress = terminal,
                                .stop = interrupt_token()};
  search::stage(stage).run(candidate, context);
  const search::StageResult& result = candidate.stages.back();
  const std::filesystem::path weights = command.out / "weights.retort";
  engine::save_model(weights, {candidate.graph, candidate.parameters});

  nlohmann::json json = {{"stage", stage},
                         {"validation_accuracy", result.validation_accuracy},
                         {"sparsity", result.sparsity},
                         {"seconds", result.seconds},
                         {"parameters", graph::parameter_count(candidate.graph)},
                         {"epochs", history_json(result.history)},
                         {"file", weights.string()}};
  std::string text =
      fmt::format("{:<11} validation {}, {} zeros, {} epochs in {}\nweights     {}\n", stage,
                  percent(result.validation_accuracy), percent(result.sparsity), result.history.epochs.size(),
                  format_duration(result.seconds), weights.string());
  if (stage == "quantize") {
    search::export_model(candidate, context);
    const std::filesystem::path file = command.out / "model.tflite";
    const std::vector<uint8_t>& bytes = candidate.exported->tflite;
    write_file_atomic(file, bytes);
    const cost::Cost cost =
        cost::analyze(int8::read_tflite(bytes, file.string()), static_cast<int64_t>(bytes.size()));
    json["accuracy_int8"] = candidate.exported->validation_accuracy;
    json["sparsity_int8"] = candidate.exported->sparsity;
    json["flash_bytes"] = bytes.size();
    json["arena_bytes"] = nlohmann::json(cost)["arena_bytes"];
    json["tflite"] = file.string();
    text += fmt::format(
        "int8 file   {}, validation {}, {} zeros, {} flash, {} arena on a Cortex-M4\n", file.string(),
        percent(candidate.exported->validation_accuracy), percent(candidate.exported->sparsity),
        format_bytes(static_cast<int64_t>(bytes.size())), format_bytes(cost.cortex_m4.used_bytes()));
  }
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace retort::cli
