// retort teacher: trains the notebook's teacher, or any network that is to teach.
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/unfinished.h"
#include "compress/distillation.h"
#include "data/split_record.h"
#include "engine/checkpoint.h"
#include "graph/notebook.h"
#include "search/teacher_training.h"

namespace retort::cli {
namespace {

enum class TestSet { Unread, Read };

struct TeacherCommand {
  DataOptions data;
  OutputOptions output;
  data::SplitOptions split;
  engine::TrainOptions training;
  engine::OptimizerOptions optimizer;
  engine::Precision precision = engine::Precision::Float32;
  std::string config;
  std::filesystem::path out;
  std::filesystem::path logits;
  uint64_t seed = 42;
  int threads = 0;
  TestSet test = TestSet::Unread;
};

Json identity(const TeacherCommand& command, const data::Dataset& dataset, const graph::Graph& graph) {
  const engine::TrainOptions& training = command.training;
  const engine::OptimizerOptions& optimizer = command.optimizer;
  Json identity = {
      {"command", "teacher"},
      {"data", dataset.content_hash},
      {"split", identity_of(command.split)},
      {"epochs", training.epochs},
      {"batch", training.batch_size},
      {"schedule", engine::to_string(training.schedule.kind)},
      {"learning-rate", training.schedule.peak},
      {"early-stopping", training.early_stopping == engine::MonitorKind::ValidationLoss ? "loss" : "none"},
      {"patience", training.patience},
      {"mirror", training.views.mirror == data::Mirror::Horizontal},
      {"shift", training.views.max_shift},
      {"optimizer", optimizer.kind == engine::OptimizerKind::Adam ? "adam" : "sgd"},
      {"momentum", optimizer.momentum},
      {"weight-decay", optimizer.weight_decay},
      {"beta1", optimizer.beta1},
      {"beta2", optimizer.beta2},
      {"epsilon", optimizer.epsilon},
      {"seed", command.seed},
      {"network", identity_of(graph)}};
  if (command.precision != engine::Precision::Float32)
    identity["precision"] = engine::to_string(command.precision);
  return identity;
}

void run(const TeacherCommand& command) {
  Terminal terminal(command.output);
  if (!command.logits.empty() && command.logits.extension() != ".npy")
    throw_usage("--logits: \"{}\" should end in .npy", command.logits.string());
  require_writable("--out", weights_path(command.out));
  if (!command.logits.empty()) require_writable("--logits", command.logits);
  const auto dataset = load(command.data, terminal);
  const data::Split split = data::stratified_split(*dataset, command.split);
  const auto input = input_shape(dataset->train.shape);
  const auto classes = static_cast<int>(dataset->classes.size());
  const graph::Graph graph = command.config.empty()
                                 ? graph::teacher_graph(input, classes)
                                 : graph::graph_from_config(command.config, input, classes);
  check_fits(graph, *dataset, "the teacher");

  engine::TrainOptions training = command.training;
  if (training.early_stopping == engine::MonitorKind::None) training.validations = search::kStageValidations;
  const Rng rng(command.seed);
  engine::CompileOptions compile;
  compile.batch_size = command.training.batch_size;
  compile.threads = resolve_threads(command.threads);
  compile.precision = command.precision;
  compile.optimizer = command.optimizer;

  Unfinished unfinished(command.out, identity(command, *dataset, graph), terminal);
  search::TrainedTeacher trained;
  try {
    trained = search::train_teacher({.graph = graph,
                                     .compile = compile,
                                     .options = training,
                                     .weights = rng.fork("weights"),
                                     .images = rng.fork("train"),
                                     .folder = unfinished.folder()},
                                    *dataset, split, engine::backend(), terminal, interrupt_token());
  } catch (const Error& error) {
    unfinished.rethrow(error);
  }
  terminal.finish("teacher");
  engine::Network& network = *trained.network;
  const engine::History& history = trained.history;
  const std::filesystem::path weights = weights_path(command.out);
  engine::save_model(through_link(weights),
                     {graph, network.parameters(), dataset->classes, data::record_of(command.split, split)});

  const double validation = history.epochs.back().validation_accuracy;
  Json json = {{"validation_accuracy", validation},
               {"parameters", graph::parameter_count(graph)},
               {"seconds", history.seconds},
               {"epochs", history_json(history)},
               {"file", weights.string()}};
  std::string text = fmt::format("teacher     validation {}, {} parameters, {} in {}\n", percent(validation),
                                 format_integer(graph::parameter_count(graph)),
                                 format_counted(static_cast<int64_t>(history.epochs.size()), "epoch"),
                                 format_duration(history.seconds));
  if (command.test == TestSet::Read) {
    const Part test = part_of(*dataset, "test", [&] { return split; });
    const double accuracy = engine::evaluate(network, test.images, test.indices).accuracy;
    json["test_accuracy"] = accuracy;
    text +=
        fmt::format("test        {} of {} images\n", percent(accuracy), format_integer(test.indices.size()));
  }
  text += fmt::format("weights     {}\n", weights.string());
  if (!command.logits.empty()) {
    const auto logits =
        compress::teacher_logits(network, *dataset, command.training.views, terminal, interrupt_token());
    compress::save_teacher_logits(through_link(command.logits), logits, *dataset);
    json["logits"] = command.logits.string();
    text += fmt::format("logits      {}\n", command.logits.string());
  }
  unfinished.finish();
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace

void add_teacher_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("teacher", "Train a teacher and keep its weights and logits");
  const auto command = std::make_shared<TeacherCommand>();
  command->training.epochs = 20;
  add_data_options(*sub, command->data, Presence::Required);
  add_output_path(*sub, "--out", command->out, "PATH",
                  "folder for weights.retort, or the .retort file itself")
      ->required();
  add_output_path(*sub, "--logits", command->logits, "FILE.npy",
                  "keep the teacher's logits of the training images too");
  add_config_option(*sub, command->config, "another network than the notebook's teacher");
  sub->add_flag_callback(
      "--test", [command] { command->test = TestSet::Read; }, "read the test set, once, after training");
  add_training_options(*sub, command->training);
  add_optimizer_options(*sub, command->optimizer);
  add_view_options(*sub, command->training.views);
  add_precision_option(*sub, command->precision);
  add_split_options(*sub, command->split);
  add_seed_option(*sub, command->seed);
  add_training_threads_option(*sub, command->threads);
  add_output_options(*sub, command->output);
  add_examples(
      *sub,
      {"retort teacher --data fashion-mnist --out teacher.retort",
       "retort teacher --data 'cifar10:cifar?gray=1' --out teacher --logits teacher/logits.npy --test",
       "retort teacher --data images:photos --config '3 blocks, 2 layers, 64 filters' --out big.retort"});
  sub->callback([command, sub] {
    refuse_optimizer_without_effect(*sub, command->optimizer);
    if (command->training.early_stopping == engine::MonitorKind::None)
      refuse_without_effect(*sub, {"--patience"}, "it is for --early-stopping loss");
    run(*command);
  });
}

}  // namespace retort::cli
