#include "cli/stage.h"

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/interrupt.h"
#include "cli/split.h"
#include "cli/terminal.h"
#include "cli/unfinished.h"
#include "compress/pruning.h"
#include "cost/cost.h"
#include "int8/tflite.h"
#include "search/pipeline.h"

namespace retort::cli {
namespace {

// A trained network has hardly a weight that is exactly zero.
constexpr double kPruned = 0.01;

Json layers_json(const std::vector<compress::LayerSparsity>& layers) {
  Json list = Json::array();
  for (const compress::LayerSparsity& layer : layers)
    list.push_back({{"node", layer.node},
                    {"name", layer.name},
                    {"weights", layer.weights},
                    {"sparsity", layer.sparsity}});
  return list;
}

std::string layers_table(const std::vector<compress::LayerSparsity>& layers) {
  std::string text = fmt::format("\n{:<24} {:>11} {:>8}\n", "layer", "weights", "zeros");
  for (const compress::LayerSparsity& layer : layers)
    text += fmt::format("{:<24} {:>11} {:>8}\n", layer.name, format_integer(layer.weights),
                        percent(layer.sparsity));
  return text;
}

Json identity(const StageCommand& command, std::string_view stage, const data::Dataset& dataset,
              const data::SplitOptions& split, const engine::Model& model,
              const engine::TeacherLogits* teacher) {
  return {{"command", stage},
          {"data", dataset.content_hash},
          {"split", identity_of(split)},
          {"settings", command.settings},
          {"seed", command.seed},
          {"network", identity_of(model.graph)},
          {"weights", identity_of(model.parameters.values())},
          {"teacher", teacher == nullptr ? "none" : identity_of(teacher->values)}};
}

// model.json beside model.tflite, with the names that a search's has.
Json about_json(const search::ExportedModel& exported, const search::StageResult& stage,
                const data::Dataset& dataset, const data::SplitRecord& split, uint64_t seed) {
  return {{"file", "model.tflite"},
          {"sha256", sha256_hex(exported.tflite)},
          {"accuracy_int8", exported.validation_accuracy},
          {"accuracy_float", stage.validation_accuracy},
          {"sparsity", exported.sparsity},
          {"classes", dataset.classes},
          {"data", {{"spec", dataset.spec}, {"content_hash", dataset.content_hash}}},
          {"split", split},
          {"seed", seed}};
}

}  // namespace

void add_stage_command_options(CLI::App& app, StageCommand& command, const std::string& writes) {
  add_model_options(app, command.model);
  add_data_options(app, command.data, Presence::Required);
  add_output_path(app, "--out", command.out, "DIR", writes)->required();
  add_stage_options(app, command.settings);
  add_model_split_options(app, command.split);
  add_seed_option(app, command.seed);
  add_training_threads_option(app, command.threads);
  add_output_options(app, command.output);
}

CLI::Option* add_teacher_option(CLI::App& app, StageCommand& command) {
  return app
      .add_option("--teacher", command.teacher,
                  "weights of a teacher, logits:FILE.npy (images x classes in the data's order), or none")
      ->type_name("FILE");
}

void add_optional_teacher(CLI::App& app, StageCommand& command) {
  add_teacher_option(app, command)->default_str("none");
  add_number(app, "--temperature", command.settings.temperature, 0.01, 1000,
             "how far the teacher's answers are softened");
}

void check_optional_teacher(const CLI::App& app, const StageCommand& command, float alpha) {
  if (alpha < 1) {
    if (command.teacher == "none")
      throw_usage("--alpha {} leaves a part of the loss to a teacher: give --teacher", alpha);
    return;
  }
  if (command.teacher != "none") throw_usage("--teacher has no part in the loss while --alpha is 1");
  if (app.get_option("--temperature")->count() > 0)
    throw_usage(
        "--temperature softens a teacher's answers, which have no part in the loss while --alpha is 1");
}

void run_stage(const CLI::App& app, const StageCommand& command, std::string_view stage) {
  refuse_optimizer_without_effect(app, command.settings.optimizer);
  search::validate(command.settings);
  const std::filesystem::path weights = command.out / "weights.retort";
  const std::filesystem::path tflite = command.out / "model.tflite";
  require_writable("--out", weights);
  require_not_read("--out", weights, command.model.file, "the model");
  require_not_read("--out", weights, command.teacher, "the teacher");
  std::filesystem::path about;
  if (stage == "quantize") {
    require_writable("--out", tflite);
    about = about_path(tflite);
  }
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  const int threads = resolve_threads(command.threads);
  const Rng rng(command.seed);
  engine::Model model = obtain_model(command.model, *dataset, rng);
  const auto [split_options, split] =
      divide(*dataset, app, command.split, model.split, command.model.file.string(), terminal);
  const auto teacher =
      obtain_teacher(command.teacher, *dataset, command.settings.views, threads, terminal, interrupt_token());
  const engine::TeacherLogits* logits = teacher ? &*teacher : nullptr;
  const auto order = search::curriculum_order(command.settings.curriculum, split, logits, rng);

  const double zeros = graph::kernel_sparsity(model.parameters);
  if (stage == "distill" && zeros >= kPruned)
    terminal.message(
        fmt::format("{} of the model's weights are zeros, which this trains again: prune after distilling.",
                    percent(zeros)));

  search::PipelineSettings settings = command.settings;
  settings.stages = {std::string(stage)};
  Unfinished unfinished(command.out, identity(command, stage, *dataset, split_options, model, logits),
                        terminal);
  search::Candidate candidate =
      search::adopt_candidate("model", model.graph, std::move(model.parameters), rng, unfinished.folder());
  const search::Context context{.dataset = *dataset,
                                .split = split,
                                .settings = settings,
                                .teacher = logits,
                                .curriculum = order,
                                .threads = threads,
                                .progress = terminal,
                                .stop = interrupt_token()};
  try {
    search::run_stages(candidate, context);
  } catch (const Error& error) {
    unfinished.rethrow(error);
  }
  const search::StageResult& result = candidate.stages.back();
  const data::SplitRecord record = data::record_of(split_options, split);
  engine::save_model(through_link(weights),
                     {candidate.graph, candidate.parameters, dataset->classes, record});

  Json json = {{"stage", stage},
               {"validation_accuracy", result.validation_accuracy},
               {"sparsity", result.sparsity},
               {"seconds", result.seconds},
               {"parameters", graph::parameter_count(candidate.graph)},
               {"epochs", history_json(result.history)},
               {"file", weights.string()}};
  std::string text = fmt::format("{:<11} validation {}, {} zeros, {} in {}\nweights     {}\n", stage,
                                 percent(result.validation_accuracy), percent(result.sparsity),
                                 format_counted(static_cast<int64_t>(result.history.epochs.size()), "epoch"),
                                 format_duration(result.seconds), weights.string());
  if (stage == "prune") {
    const auto layers = compress::sparsity_by_layer(candidate.graph, candidate.parameters);
    json["layers"] = layers_json(layers);
    text += layers_table(layers);
  }
  if (stage == "quantize") {
    search::export_model(candidate, context);
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): value() checks
    const search::ExportedModel& exported = candidate.exported.value();
    const std::vector<uint8_t>& bytes = exported.tflite;
    write_file_atomic(through_link(tflite), bytes);
    write_text_atomic(through_link(about),
                      dump_json(about_json(exported, result, *dataset, record, command.seed), 2) + "\n");
    const cost::Cost cost =
        cost::analyze(int8::read_tflite(bytes, tflite.string()), static_cast<int64_t>(bytes.size()));
    json["accuracy_int8"] = exported.validation_accuracy;
    json["sparsity_int8"] = exported.sparsity;
    json["flash_bytes"] = bytes.size();
    json["arena_bytes"] = Json(cost)["arena_bytes"];
    json["tflite"] = tflite.string();
    text += fmt::format("int8 file   {}, validation {}, {} zeros, {} flash, {} arena on a Cortex-M4\n",
                        tflite.string(), percent(exported.validation_accuracy), percent(exported.sparsity),
                        format_bytes(static_cast<int64_t>(bytes.size())),
                        format_bytes(cost.cortex_m4.used_bytes()));
  }
  unfinished.finish();
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace retort::cli
