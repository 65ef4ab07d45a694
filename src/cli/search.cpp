// retort search: from images to int8 models.
#include "search/search.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/target.h"
#include "cli/terminal.h"
#include "report/report.h"
#include "search/sampler.h"
#include "search/settings.h"

namespace retort::cli {
namespace {

using search::Finalist;
using search::StudyResult;
using search::TrialResult;

constexpr const char* kDefaultPreset = "quick";

struct SearchCommand {
  std::filesystem::path folder;
  DataOptions data;
  OutputOptions output;
  search::SearchSettings settings = search::preset(kDefaultPreset);
  TargetOptions target;
  study::Place storage;
  double lease_seconds = 60;
  int workers = 0;
  int teacher_threads = 0;
  std::string command_line;
};

const TrialResult& trial_of(const StudyResult& study, int number) {
  return *search::find_trial(study, number);
}

const search::FinalistRun& best_run(const Finalist& finalist) {
  return finalist.runs.at(static_cast<size_t>(finalist.best_run));
}

// Writes what people look at, at most every few seconds while the search runs.
class Reporter {
 public:
  Reporter(std::filesystem::path folder, Terminal& terminal)
      : folder_(std::move(folder)), terminal_(terminal) {}

  // Called from one thread at a time.
  void changed(const StudyResult& study) {
    latest_ = study;
    if (!study.top.empty()) {
      const TrialResult& best = trial_of(study, study.top.front());
      terminal_.set_best(fmt::format("best {:.2f}%, {} of flash: {}", best.accuracy_int8 * 100,
                                     format_bytes(best.flash_bytes), best.config));
    }
    const auto now = std::chrono::steady_clock::now();
    if (last_ && now - *last_ < std::chrono::seconds(5)) return;
    write();
  }
  // A search that stops early leaves a report of what it has.
  void write() {
    if (!latest_) return;
    last_ = std::chrono::steady_clock::now();
    write_text_atomic(folder_ / "report.html", report::html_report(*latest_));
    write_text_atomic(folder_ / "trials.csv", report::trials_csv(*latest_));
    write_text_atomic(folder_ / "study.json", report::study_json(*latest_));
  }

 private:
  std::filesystem::path folder_;
  Terminal& terminal_;
  std::optional<StudyResult> latest_;
  std::optional<std::chrono::steady_clock::time_point> last_;
};

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

// A finalist's figures are those of its best run; mean and spread over all its seeds stand beside them.
nlohmann::json model_json(const StudyResult& study, const TrialResult& trial,
                          const std::filesystem::path& file) {
  nlohmann::json model = {
      {"accuracy_int8", number(trial.accuracy_int8)},
      {"accuracy_float", number(trial.accuracy_float)},
      {"flash_bytes", trial.flash_bytes},
      {"arena_bytes", {{"cortex-m4", trial.arena_bytes_cortex_m4}, {"host", trial.arena_bytes_host}}},
      {"footprint", trial.footprint},
      {"macs", trial.macs},
      {"parameters", trial.parameters},
      {"sparsity", trial.sparsity},
      {"config", trial.config},
      {"trial", trial.number},
      {"seed", trial.seed},
      {"file", file.string()}};
  if (trial.latency) model["latency"] = *trial.latency;
  if (const Finalist* finalist = search::find_finalist(study, trial.number)) {
    model["test_accuracy_int8"] = number(best_run(*finalist).test_accuracy);
    model["validation_mean"] = number(finalist->validation_mean);
    model["validation_spread"] = number(finalist->validation_spread);
    model["test_mean"] = number(finalist->test_mean);
    model["test_spread"] = number(finalist->test_spread);
    model["seeds"] = finalist->runs.size();
  }
  return model;
}

nlohmann::json result_of(const StudyResult& study, const cost::Target& target,
                         const std::filesystem::path& folder) {
  nlohmann::json trials = {{"left_out", study.left_out}};
  for (const search::Outcome outcome : {search::Outcome::Complete, search::Outcome::Skipped,
                                        search::Outcome::Infeasible, search::Outcome::Failed})
    trials[std::string(search::to_string(outcome))] =
        std::ranges::count(study.trials, outcome, &TrialResult::outcome);
  nlohmann::json best;
  if (const TrialResult* trial = search::best_model(study).trial)
    best = model_json(study, *trial, folder / "best" / "model.tflite");
  nlohmann::json top = nlohmann::json::array();
  for (const int trial : study.top) {
    const TrialResult& result = trial_of(study, trial);
    top.push_back(model_json(study, result, folder / result.file));
  }
  return {{"best", best},
          {"top", top},
          {"runtime", cost::to_string(target.runtime)},
          {"board", target.board ? nlohmann::json(target.board->name) : nlohmann::json()},
          {"teacher",
           {{"source", study.teacher.source},
            {"validation_accuracy", number(study.teacher.validation_accuracy)},
            {"test_accuracy", number(study.teacher.test_accuracy)}}},
          {"trials", trials},
          {"report", (folder / "report.html").string()},
          {"seconds", study.seconds}};
}

// "91.67% on validation, test 90.10% (seed 43); over 3 seeds 90.11 ± 0.52%, test 89.97 ± 0.31%"
std::string accuracy_text(const StudyResult& study, const TrialResult& trial) {
  std::string text = fmt::format("{:.2f}% on validation", trial.accuracy_int8 * 100);
  const Finalist* finalist = search::find_finalist(study, trial.number);
  if (finalist == nullptr) return text;
  text += fmt::format(", test {:.2f}% (seed {})", best_run(*finalist).test_accuracy * 100, trial.seed);
  if (finalist->runs.size() > 1)
    text += fmt::format("; over {} seeds {:.2f} ± {:.2f}%, test {:.2f} ± {:.2f}%", finalist->runs.size(),
                        finalist->validation_mean * 100, finalist->validation_spread * 100,
                        finalist->test_mean * 100, finalist->test_spread * 100);
  return text;
}

// "as generated C: 96.2 KB of flash, 40.1 KB of RAM, 41.2 ms ± 20 % on nano33ble"
std::string chip_text(const TrialResult& trial, const cost::Target& target) {
  std::string text =
      fmt::format("as {}: {} of flash, {} of RAM", cost::title(target.runtime),
                  format_bytes(trial.footprint.flash_bytes()), format_bytes(trial.footprint.ram_bytes()));
  if (trial.latency && target.board)
    text += fmt::format(", {} on {}", cost::latency_text(*trial.latency), target.board->name);
  return text;
}

std::string summary(const StudyResult& study, const cost::Target& target,
                    const std::filesystem::path& folder) {
  std::string out;
  const auto line = [&out]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    out += fmt::format(format, std::forward<Args>(args)...) + "\n";
  };
  if (study.top.empty()) {
    line("No candidate was completed: {} were tried. See {}", study.trials.size(),
         (folder / "report.html").string());
    return out;
  }
  line("Top {} models ({}):", study.top.size(),
       study.finalists.empty()
           ? "int8 accuracy on validation, then smaller file"
           : "those of most seeds first, then mean int8 accuracy on validation over them");
  for (size_t i = 0; i < study.top.size(); ++i) {
    const TrialResult& trial = trial_of(study, study.top[i]);
    line("Model {}:", i + 1);
    line("  Accuracy: {:.4f}: {}", trial.accuracy_int8, accuracy_text(study, trial));
    line("  Size: {:.2f} MB ({} bytes of flash, {} of arena on a Cortex-M4)",
         static_cast<double>(trial.flash_bytes) / (1024.0 * 1024.0), format_integer(trial.flash_bytes),
         format_integer(trial.arena_bytes_cortex_m4));
    line("  Parameters: {} ({:.0f}% zeros)", trial.parameters, trial.sparsity * 100);
    line("  Epochs: {}", search::epochs_text(trial));
    line("  Configuration: {}", trial.layers.empty() ? trial.config : trial.layers);
  }
  if (const TrialResult* trial = search::best_model(study).trial) {
    line("");
    line("Best model found: {}", trial->config);
    line("  Accuracy    int8 {}", accuracy_text(study, *trial));
    line("  Flash       {} ({} bytes)", format_bytes(trial->flash_bytes), format_integer(trial->flash_bytes));
    line("  Arena       {} ({} bytes) on a Cortex-M4", format_bytes(trial->arena_bytes_cortex_m4),
         format_integer(trial->arena_bytes_cortex_m4));
    line("  On chip     {}", chip_text(*trial, target));
    line("  Parameters  {}, {:.0f}% of the weights zero, {} multiply-accumulates",
         format_integer(trial->parameters), trial->sparsity * 100, format_count(trial->macs));
    line("  File        {}", (folder / "best" / "model.tflite").string());
  }
  if (std::isfinite(study.teacher.validation_accuracy))
    line("  Teacher     {:.2f}% on validation{}", study.teacher.validation_accuracy * 100,
         std::isfinite(study.teacher.test_accuracy)
             ? fmt::format(", test {:.2f}%", study.teacher.test_accuracy * 100)
             : std::string());
  if (study.left_out > 0)
    line("  Left out    {} structures for lack of time: the same command with a longer --time takes them up",
         study.left_out);
  line("  Report      {}", (folder / "report.html").string());
  line("  Time        {}", format_duration(study.seconds));
  return out;
}

// ---- options that would be without effect are refused ----------------------------------------------------

bool given(const CLI::App& app, const std::string& name) {
  return app.get_option(name)->count() > 0;
}

void refuse_all_without_effect(const CLI::App& app, const search::SearchSettings& settings) {
  const search::PipelineSettings& pipeline = settings.pipeline;
  const auto refuse = [&](const std::vector<std::string>& beginnings, std::string_view because) {
    refuse_without_effect(app, beginnings, because);
  };
  const auto lacks = [&](std::string_view stage) {
    return std::ranges::find(pipeline.stages, stage) == pipeline.stages.end();
  };
  const std::string teacher = search::to_string(settings.teacher);
  if (settings.teacher.kind != search::TeacherKind::Train)
    refuse({"--teacher-epochs", "--teacher-batch", "--teacher-learning-rate", "--teacher-schedule",
            "--teacher-config", "--teacher-optimizer", "--teacher-momentum", "--teacher-weight-decay",
            "--teacher-beta", "--teacher-epsilon"},
           fmt::format("it is for a teacher that is trained here, and --teacher is {}", teacher));
  if (settings.teacher.kind == search::TeacherKind::None) {
    refuse({"--teacher-threads", "--distill-temperature"}, "--teacher is none");
    for (const auto& [name, alpha] :
         {std::pair{"--distill-alpha", pipeline.alpha}, std::pair{"--prune-alpha", pipeline.prune_alpha},
          std::pair{"--qat-alpha", pipeline.qat_alpha}})
      if (given(app, name) && alpha < 1)
        throw_usage("{} {} leaves a part of the loss to a teacher, and --teacher is none", name, alpha);
  }
  if (pipeline.curriculum == compress::Curriculum::None)
    refuse({"--curriculum-start", "--curriculum-end"}, "--curriculum is none");
  if (settings.exploration.epochs == 0)
    refuse({"--explore-first", "--explore-generation", "--explore-population", "--explore-tournament",
            "--explore-start", "--explore-heats", "--explore-heat-epochs", "--explore-candidates",
            "--explore-share"},
           "--explore-epochs is 0: nothing is explored");
  if (settings.sampler != "evolution")
    refuse({"--explore-population", "--explore-tournament", "--explore-start"},
           fmt::format("--sampler {} knows no parents", settings.sampler));
  if (settings.exploration.heats == 0) refuse({"--explore-heat-epochs"}, "--explore-heats is 0");
  if (settings.sampler != "evolution" && settings.sampler != "micro")
    refuse({"--space"}, fmt::format("--sampler {} has its own structures", settings.sampler));
  if (!settings.seconds) refuse({"--explore-share"}, "there is no limit of time");
  if (settings.sampler == "list")
    refuse({"--blocks", "--layers", "--filters", "--dense", "--units"}, "--config lists the structures");
  else if (settings.sampler == "micro" || settings.sampler == "evolution")
    refuse({"--blocks", "--layers", "--filters", "--dense", "--units"},
           fmt::format("--sampler {} draws its own structures", settings.sampler));
  if (settings.sampler != "list" && !settings.configs.empty())
    throw_usage("--config is without effect: --sampler {} proposes structures of its own", settings.sampler);
  const auto refuse_stage = [&](std::string_view stage, const std::vector<std::string>& beginnings) {
    if (lacks(stage)) refuse(beginnings, fmt::format("--stages lacks {}", stage));
  };
  refuse_stage("quick", {"--quick-"});
  refuse_stage("gate", {"--gate"});
  refuse_stage("distill", {"--distill-epochs", "--distill-alpha", "--curriculum-"});
  refuse_stage("prune", {"--prune-"});
  refuse_stage("quantize", {"--qat-"});
  refuse_optimizer_without_effect(app, pipeline.optimizer);
  refuse_optimizer_without_effect(app, settings.teacher.optimizer, "teacher-");
}

// What the target leaves to a model, unless --flash and --ram say otherwise.
void settle_target(const CLI::App& app, const TargetOptions& options, search::SearchSettings& settings) {
  settings.target = resolve_target(options);
  if (!settings.target.board) {
    refuse_without_effect(app, {"--latency"}, "it is estimated for a board, and --board names none");
    return;
  }
  search::Limits& limits = settings.limits;
  if (!limits.flash_bytes) limits.flash_bytes = settings.target.board->flash_for_model();
  if (!limits.ram_bytes) limits.ram_bytes = settings.target.board->ram_for_model();
}

// What bounds the search: the preset's time unless candidates are counted, and every structure that is
// listed.
void settle(const CLI::App& app, search::SearchSettings& settings) {
  if (given(app, "--trials") && !given(app, "--time")) settings.seconds.reset();
  if (!settings.configs.empty()) {
    if (!given(app, "--sampler")) settings.sampler = "list";
    if (!given(app, "--trials")) settings.trials.reset();
  }
  if (!given(app, "--storage"))
    refuse_without_effect(app, {"--study", "--artefacts", "--lease"},
                          "it is for a study that several machines share, and --storage names none");
  refuse_all_without_effect(app, settings);
  search::validate(settings);
}

void run(SearchCommand& command, const CLI::App& app) {
  search::SearchSettings& settings = command.settings;
  settle_target(app, command.target, settings);
  settle(app, settings);
  Terminal terminal(command.output);
  std::string epochs;
  for (const char* name :
       {"--quick-epochs", "--distill-epochs", "--prune-epochs", "--qat-epochs", "--teacher-epochs"})
    if (epochs.empty() && given(app, name)) epochs = name;
  if (settings.seconds && !epochs.empty())
    terminal.message(fmt::format("{}: epochs are scaled to --time {}; --time none keeps them as given.",
                                 epochs, format_duration(*settings.seconds)));
  const auto dataset = load(command.data, terminal);
  Reporter reporter(command.folder, terminal);
  const search::RunOptions options{.folder = command.folder,
                                   .storage = command.storage,
                                   .lease_seconds = command.lease_seconds,
                                   .workers = command.workers,
                                   .teacher_threads = command.teacher_threads,
                                   .command = command.command_line,
                                   .progress = terminal,
                                   .stop = interrupt_token(),
                                   .changed = [&](const StudyResult& study) { reporter.changed(study); },
                                   .time_left = [&](double seconds) { terminal.set_seconds_left(seconds); }};
  std::optional<StudyResult> study;
  try {
    search::leave_crash_marks();
    study = search::run_search(settings, *dataset, options);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted) reporter.write();
    throw;
  }
  reporter.changed(*study);
  reporter.write();
  terminal.result_json(result_of(*study, settings.target, command.folder));
  terminal.result(summary(*study, settings.target, command.folder));
  if (study->best < 0)
    throw_failure("no candidate was completed; {} says why", (command.folder / "report.html").string());
}

void add_limits(CLI::App& app, SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  add_target_options(app, command.target);
  add_bytes(app, "--flash", settings.limits.flash_bytes,
            "most flash of model and runtime, such as 64K; instead of what the board leaves");
  add_bytes(app, "--ram", settings.limits.ram_bytes,
            "most RAM of arena, static data and stack, such as 32K; instead of what the board leaves");
  add_duration(app, "--latency", settings.limits.latency_seconds,
               "longest inference as estimated for --board, such as 100ms");
  add_count(app, "--macs", settings.limits.macs, "most multiply-accumulates an image, such as 2M");
  add_parsed(app, "--time", "TIME",
             "plan for this time, such as 30m: structures and epochs follow from it; none: epochs as given",
             settings.seconds ? format_duration(*settings.seconds) : std::string(),
             [&settings](const std::string& text) {
               settings.seconds.reset();
               if (text == "none") return;
               const double seconds = parse_duration(text);
               if (seconds < 1) throw_usage("\"{}\" is too short: write a duration like 30m, or none", text);
               settings.seconds = seconds;
             });
  add_parsed(app, "--trials", "N", "most candidates; without --time no limit of time then", "",
             [&settings](const std::string& text) {
               const int64_t value = parse_count(text);
               if (value < 1 || value > 1'000'000)
                 throw_usage("\"{}\" is not a number of candidates from 1 to 1000000", text);
               settings.trials = static_cast<int>(value);
             });
}

void add_structures(CLI::App& app, search::SearchSettings& settings) {
  add_parsed(app, "--sampler", "NAME", fmt::format("{}", fmt::join(search::sampler_names(), ", ")),
             settings.sampler, [&settings](const std::string& text) {
               if (std::ranges::count(search::sampler_names(), text) == 0)
                 throw_usage("\"{}\" is unknown: write one of {}", text,
                             fmt::join(search::sampler_names(), ", "));
               settings.sampler = text;
             });
  constexpr int kMost = graph::kMaximumDimension;
  add_integer_list(app, "--blocks", settings.space.blocks, 1, 16, "blocks of the structures to try");
  add_integer_list(app, "--layers", settings.space.layers, 1, 100, "convolutions a block");
  add_integer_list(app, "--filters", settings.space.filters, 1, kMost, "filters of the first block");
  add_integer_list(app, "--dense", settings.space.dense_layers, 0, 100, "dense layers before the last");
  add_integer_list(app, "--units", settings.space.dense_units, 1, kMost, "units of each of these");
  app.add_option(
         "--config", settings.configs,
         "a structure to try, such as \"3 blocks, 1 layers, 16 filters\", or a .json file with any graph "
         "(a batch norm's momentum and epsilon are set there); repeat for more")
      ->type_name("CONFIG")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_space_file(CLI::App& app, search::SearchSettings& settings) {
  add_parsed(app, "--space", "FILE.toml",
             "which networks micro and evolution may propose, as docs/search.md says", "",
             [&settings](const std::string& file) { settings.micro_space = search::load_micro_space(file); });
}

void add_exploration(CLI::App& app, search::Exploration& exploration) {
  constexpr int kMost = 1'000'000;
  add_integer(
      app, "--explore-epochs", exploration.epochs, 0, search::kMostEpochs,
      "explore: train every structure so long (at most, with --time) and only the best ones as --stages "
      "says; 0: all");
  add_integer(app, "--explore-first", exploration.first, 1, kMost, "structures of the first generation");
  add_integer(app, "--explore-generation", exploration.generation, 1, kMost,
              "structures of each later generation");
  add_integer(app, "--explore-population", exploration.population, 1, kMost,
              "youngest structures that evolution takes parents from");
  add_integer(app, "--explore-tournament", exploration.tournament, 1, kMost,
              "structures of which the best becomes a parent");
  add_parsed(app, "--explore-start", "NAME", "weights that a child begins with: parent or fresh",
             exploration.start == search::Start::Parent ? "parent" : "fresh",
             [&exploration](const std::string& text) {
               if (text != "parent" && text != "fresh")
                 throw_usage("\"{}\" is unknown: write parent or fresh", text);
               exploration.start = text == "parent" ? search::Start::Parent : search::Start::Fresh;
             });
  add_integer(app, "--explore-heats", exploration.heats, 0, 1000,
              "best explored structures that are trained again on equal terms; 0: none");
  add_integer(app, "--explore-heat-epochs", exploration.heat_epochs, 1, search::kMostEpochs,
              "epochs of each of them (at most, with --time)");
  add_integer(app, "--explore-candidates", exploration.candidates, 1, 1000,
              "explored structures that go through --stages");
  add_number(app, "--explore-share", exploration.share, 0.01, 0.95,
             "share of --time, the teacher's apart, that exploring takes");
}

void add_stages(CLI::App& app, search::PipelineSettings& pipeline) {
  add_names(app, "--stages", pipeline.stages, "what a candidate goes through; the last is export");
  add_stage_options(app, pipeline);
  add_integer(app, "--quick-epochs", pipeline.quick_epochs, 1, search::kMostEpochs,
              "most epochs of the quick evaluation");
  add_integer(app, "--quick-patience", pipeline.quick_patience, 1, search::kMostEpochs,
              "epochs without a lower validation loss that end it");
  add_number(app, "--gate", pipeline.gate, 0, 1,
             "candidates whose quick accuracy is not above it are skipped; 0: none");
  add_distill_options(app, pipeline, "distill-");
  add_prune_options(app, pipeline, "prune-");
  add_quantize_options(app, pipeline, "qat-");
  add_number(app, "--qat-rate", pipeline.qat_rate, 1e-6, 1,
             "highest learning rate of quantisation-aware training, as a share of --learning-rate");
  add_ends_option(app, pipeline.ends);
}

void add_teacher(CLI::App& app, SearchCommand& command) {
  search::TeacherSettings& teacher = command.settings.teacher;
  add_parsed(app, "--teacher", "TEACHER",
             "train, none, a weights file, or logits:FILE.npy (images x classes)", search::to_string(teacher),
             [&teacher](const std::string& text) { teacher = search::parse_teacher(text, teacher); });
  app.add_option("--teacher-config", teacher.config, "another network than the notebook's teacher")
      ->type_name("TEXT");
  add_integer(app, "--teacher-epochs", teacher.epochs, 1, search::kMostEpochs, "epochs of a trained teacher");
  add_integer(app, "--teacher-batch", teacher.batch_size, 1, search::kLargestBatch,
              "images a step of the teacher");
  add_schedule_options(app, teacher.schedule, "teacher-");
  add_optimizer_options(app, teacher.optimizer, "teacher-");
  add_integer(app, "--teacher-threads", command.teacher_threads, 0, 4096,
              "threads of the teacher, 0 for all cores");
}

}  // namespace

void add_search_command(CLI::App& app, const std::string& command_line) {
  CLI::App* sub = app.add_subcommand("search", "Search for the best int8 model, from images to files");
  const auto command = std::make_shared<SearchCommand>();
  command->command_line = command_line;
  search::SearchSettings& settings = command->settings;
  sub->add_option("folder", command->folder, "folder of the search; one that exists is resumed")
      ->type_name("DIR")
      ->required();
  add_data_options(*sub, command->data, Presence::Required);
  // First among the options that are read, so that all others change what it sets.
  add_parsed(*sub, "--preset", "NAME", "quick, micro or notebook; the defaults shown here are quick's",
             kDefaultPreset,
             [command](const std::string& text) { command->settings = search::preset(text); });
  add_structures(*sub, settings);
  add_space_file(*sub, settings);
  add_exploration(*sub, settings.exploration);
  add_limits(*sub, *command);
  add_teacher(*sub, *command);
  add_stages(*sub, settings.pipeline);
  add_integer(*sub, "--top", settings.top, 1, 1000, "finalists");
  add_integer(*sub, "--seeds", settings.finalist_seeds, 1, 1000,
              "runs of each finalist, from different seeds");
  add_split_options(*sub, settings.split);
  add_seed_option(*sub, settings.seed);
  add_workers_option(*sub, command->workers);
  add_storage_options(*sub, command->storage, Presence::Optional);
  add_lease_option(*sub, command->lease_seconds);
  add_output_options(*sub, command->output);
  add_examples(
      *sub,
      {"retort search out --data fashion-mnist", "retort search out --data cifar10:data --preset notebook",
       "retort search out --data images:photos?size=32x32 --flash 64K --ram 32K --time 30m",
       "retort search out --data fashion-mnist --board nano33ble --latency 100ms",
       "retort search out --data fashion-mnist --preset micro --flash 16K --ram 16K --time 10m",
       "retort search out --data fashion-mnist --config '2 blocks, 1 layers, 16 filters' --trials 1"});
  sub->callback([command, sub] { run(*command, *sub); });
}

}  // namespace retort::cli
