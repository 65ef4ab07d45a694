// retort search: from images to int8 models.
#include "search/search.h"

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
#include "cli/terminal.h"
#include "report/report.h"
#include "search/settings.h"

namespace retort::cli {
namespace {

using search::Finalist;
using search::FinalistRun;
using search::StudyResult;
using search::TrialResult;

constexpr const char* kDefaultPreset = "quick";
constexpr int kManyEpochs = 100'000;

struct SearchCommand {
  std::filesystem::path folder;
  DataOptions data;
  OutputOptions output;
  search::SearchSettings settings = search::preset(kDefaultPreset);
  int workers = 0;
  int teacher_threads = 0;
  bool time_given = false;
  bool count_given = false;  // trials or epochs: bounded by count, not by time
};

// Writes what people look at, at most every few seconds while the search runs.
class Reporter {
 public:
  Reporter(std::filesystem::path folder, Terminal& terminal)
      : folder_(std::move(folder)), terminal_(terminal) {}

  // Called from one thread at a time.
  void changed(const StudyResult& study) {
    latest_ = study;
    if (!study.top.empty()) {
      const TrialResult& best = *std::ranges::find(study.trials, study.top.front(), &TrialResult::number);
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

const TrialResult& trial_of(const StudyResult& study, int number) {
  return *std::ranges::find(study.trials, number, &TrialResult::number);
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json model_json(const TrialResult& trial, const std::filesystem::path& file) {
  return {{"accuracy_int8", number(trial.accuracy_int8)},
          {"accuracy_float", number(trial.accuracy_float)},
          {"flash_bytes", trial.flash_bytes},
          {"arena_bytes", {{"cortex-m4", trial.arena_bytes_cortex_m4}, {"host", trial.arena_bytes_host}}},
          {"macs", trial.macs},
          {"parameters", trial.parameters},
          {"sparsity", trial.sparsity},
          {"config", trial.config},
          {"trial", trial.number},
          {"file", file.string()}};
}

nlohmann::json result_of(const StudyResult& study, const std::filesystem::path& folder) {
  const auto count = [&study](search::Outcome outcome) {
    return std::ranges::count(study.trials, outcome, &TrialResult::outcome);
  };
  nlohmann::json best;
  if (study.best >= 0) {
    const Finalist& finalist = *std::ranges::find(study.finalists, study.best, &Finalist::trial);
    const FinalistRun& run = finalist.runs.at(static_cast<size_t>(finalist.best_run));
    best = model_json(trial_of(study, study.best), folder / "best" / "model.tflite");
    best["accuracy_int8"] = number(run.validation_accuracy);
    best["test_accuracy_int8"] = number(run.test_accuracy);
    best["test_mean"] = number(finalist.test_mean);
    best["test_spread"] = number(finalist.test_spread);
    best["seeds"] = finalist.runs.size();
  }
  nlohmann::json top = nlohmann::json::array();
  for (const int trial : study.top) {
    const TrialResult& result = trial_of(study, trial);
    top.push_back(model_json(result, folder / result.file));
  }
  return {{"best", best},
          {"top", top},
          {"teacher",
           {{"source", study.teacher.source},
            {"validation_accuracy", number(study.teacher.validation_accuracy)},
            {"test_accuracy", number(study.teacher.test_accuracy)}}},
          {"trials",
           {{"complete", count(search::Outcome::Complete)},
            {"infeasible", count(search::Outcome::Infeasible)},
            {"pruned", count(search::Outcome::Skipped)},
            {"failed", count(search::Outcome::Failed)}}},
          {"report", (folder / "report.html").string()},
          {"seconds", study.seconds}};
}

std::string test_text(const Finalist& finalist) {
  if (!std::isfinite(finalist.test_mean)) return "test unread";
  if (finalist.runs.size() < 2) return fmt::format("test {:.2f}% (one seed)", finalist.test_mean * 100);
  return fmt::format("test {:.2f}% ± {:.2f} ({} seeds)", finalist.test_mean * 100, finalist.test_spread * 100,
                     finalist.runs.size());
}

std::string summary(const StudyResult& study, const std::filesystem::path& folder) {
  std::string out;
  const auto line = [&out]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    out += fmt::format(format, std::forward<Args>(args)...) + "\n";
  };
  if (study.top.empty()) {
    line("No candidate was completed: {} were tried. See {}", study.trials.size(),
         (folder / "report.html").string());
    return out;
  }
  line("Top {} models (int8 accuracy on validation, then smaller file):", study.top.size());
  for (size_t i = 0; i < study.top.size(); ++i) {
    const TrialResult& trial = trial_of(study, study.top[i]);
    line("Model {}:", i + 1);
    line("  Accuracy: {:.4f}{}", trial.accuracy_int8,
         i < study.finalists.size() ? ", " + test_text(study.finalists[i]) : std::string());
    line("  Size: {:.2f} MB ({} bytes of flash, {} of arena on a Cortex-M4)",
         static_cast<double>(trial.flash_bytes) / (1024.0 * 1024.0), format_integer(trial.flash_bytes),
         format_integer(trial.arena_bytes_cortex_m4));
    line("  Parameters: {} ({:.0f}% zeros)", trial.parameters, trial.sparsity * 100);
    line("  Configuration: {}", trial.layers.empty() ? trial.config : trial.layers);
  }
  if (study.best >= 0) {
    const TrialResult& trial = trial_of(study, study.best);
    const Finalist& finalist = *std::ranges::find(study.finalists, study.best, &Finalist::trial);
    const FinalistRun& run = finalist.runs.at(static_cast<size_t>(finalist.best_run));
    line("");
    line("Best model found: {}", trial.config);
    line("  Accuracy    {:.2f}% int8 on validation, {}", run.validation_accuracy * 100, test_text(finalist));
    line("  Flash       {} ({} bytes)", format_bytes(trial.flash_bytes), format_integer(trial.flash_bytes));
    line("  Arena       {} ({} bytes) on a Cortex-M4", format_bytes(trial.arena_bytes_cortex_m4),
         format_integer(trial.arena_bytes_cortex_m4));
    line("  Parameters  {}, {:.0f}% of the weights zero, {} multiply-accumulates",
         format_integer(trial.parameters), trial.sparsity * 100, format_count(trial.macs));
    line("  File        {}", (folder / "best" / "model.tflite").string());
  }
  if (std::isfinite(study.teacher.test_accuracy))
    line("  Teacher     {:.2f}% on validation, test {:.2f}%", study.teacher.validation_accuracy * 100,
         study.teacher.test_accuracy * 100);
  line("  Report      {}", (folder / "report.html").string());
  line("  Time        {}", format_duration(study.seconds));
  return out;
}

std::string command_line(const SearchCommand& command) {
  return fmt::format("retort search {} --data {} --preset {}", command.folder.string(), command.data.spec,
                     command.settings.preset);
}

void run(SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  if (command.count_given && !command.time_given) settings.seconds.reset();
  if (!settings.configs.empty()) settings.sampler = "list";
  search::validate(settings);
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  Reporter reporter(command.folder, terminal);
  const search::RunOptions options{.folder = command.folder,
                                   .workers = command.workers,
                                   .teacher_threads = command.teacher_threads,
                                   .command = command_line(command),
                                   .progress = terminal,
                                   .stop = interrupt_token(),
                                   .changed = [&](const StudyResult& study) { reporter.changed(study); }};
  std::optional<StudyResult> study;
  try {
    study = search::run_search(settings, *dataset, options);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted) reporter.write();
    throw;
  }
  reporter.changed(*study);
  reporter.write();
  terminal.result_json(result_of(*study, command.folder));
  terminal.result(summary(*study, command.folder));
  if (study->best < 0)
    throw_failure("no candidate was completed; {} says why", (command.folder / "report.html").string());
}

// Options of a number of epochs or trials say that count bounds the search, unless --time is given too.
CLI::Option* counting(CLI::Option* option, SearchCommand& command) {
  return option->each([&command](const std::string&) { command.count_given = true; });
}

void add_limits(CLI::App& app, SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  add_bytes(app, "--flash", settings.limits.flash_bytes, "largest .tflite file, such as 64K");
  add_bytes(app, "--ram", settings.limits.arena_bytes, "largest arena on a Cortex-M4, such as 32K");
  add_count(app, "--macs", settings.limits.macs, "most multiply-accumulates an image, such as 2M");
  add_parsed(app, "--time", "TIME", "plan for this time, such as 30m; epochs and structures follow from it",
             settings.seconds ? format_duration(*settings.seconds) : std::string(),
             [&command](const std::string& text) {
               const double seconds = parse_duration(text);
               if (seconds < 1) throw_usage("\"{}\" is too short: write a duration like 30m", text);
               command.settings.seconds = seconds;
               command.time_given = true;
             });
  counting(add_parsed(app, "--trials", "N",
                      "most candidates; without --time the search is bounded by this count", "",
                      [&command](const std::string& text) {
                        const int64_t value = parse_count(text);
                        if (value < 1 || value > 1'000'000)
                          throw_usage("\"{}\" is not a number of candidates from 1 to 1000000", text);
                        command.settings.trials = static_cast<int>(value);
                      }),
           command);
}

void add_stages(CLI::App& app, SearchCommand& command) {
  search::PipelineSettings& pipeline = command.settings.pipeline;
  const auto epochs = [&](const char* name, int& value, const char* description) {
    counting(add_integer(app, name, value, 1, kManyEpochs, description), command);
  };
  add_stage_options(app, pipeline);
  epochs("--quick-epochs", pipeline.quick_epochs, "most epochs of the quick evaluation");
  add_integer(app, "--patience", pipeline.quick_patience, 1, kManyEpochs,
              "epochs without a lower validation loss that end the quick evaluation");
  add_number(app, "--gate", pipeline.gate, 0, 1,
             "candidates whose quick accuracy is not above it are skipped; 0: none");
  epochs("--distill-epochs", pipeline.distill_epochs, "epochs of distillation");
  add_number(app, "--alpha", pipeline.alpha, 0, 1,
             "weight of the labels in distillation; the teacher has the rest");
  add_number(app, "--temperature", pipeline.temperature, 0.01, 1000,
             "how far the teacher's answers are softened");
  add_parsed(app, "--curriculum", "NAME", "none, entropy (easy images first) or random-pacing (its control)",
             std::string(compress::to_string(pipeline.curriculum)),
             [&pipeline](const auto& text) { pipeline.curriculum = compress::parse_curriculum(text); });
  add_number(app, "--curriculum-start", pipeline.pacing.first_share, 0.001, 1,
             "share of the images that a curriculum begins with");
  add_number(app, "--curriculum-end", pipeline.pacing.full_after, 0.001, 1,
             "share of distillation after which it has all images");
  epochs("--prune-epochs", pipeline.prune_epochs, "epochs of pruning");
  add_number(app, "--initial-sparsity", pipeline.pruning.initial_sparsity, 0, 0.999,
             "share of zeros at its start");
  add_number(app, "--final-sparsity", pipeline.pruning.final_sparsity, 0, 0.999, "share of zeros at its end");
  add_number(app, "--prune-power", pipeline.pruning.power, 0.01, 100,
             "exponent of the polynomial between them");
  add_integer(app, "--prune-every", pipeline.pruning.update_every, 1, 1'000'000,
              "steps between choices of what is zero");
  add_number(app, "--prune-end", pipeline.pruning.end_fraction, 0.01, 1,
             "share of the steps after which the final sparsity is reached");
  epochs("--qat-epochs", pipeline.qat_epochs, "epochs of quantisation-aware training");
  add_number(app, "--qat-alpha", pipeline.qat_alpha, 0, 1, "below 1 the teacher has the rest of its loss");
  add_parsed(app, "--qat-keep", "NAME", "best or last: which epoch's weights are exported",
             pipeline.qat_keep == search::KeepEpoch::Best ? "best" : "last",
             [&pipeline](const std::string& text) {
               if (text != "best" && text != "last")
                 throw_usage("\"{}\" is unknown: write best or last", text);
               pipeline.qat_keep = text == "best" ? search::KeepEpoch::Best : search::KeepEpoch::Last;
             });
  add_ends_option(app, pipeline.ends);
}

void add_teacher(CLI::App& app, SearchCommand& command) {
  search::TeacherSettings& teacher = command.settings.teacher;
  add_parsed(app, "--teacher", "TEACHER",
             "train, none, a weights file, or logits:FILE.npy (images x classes)", search::to_string(teacher),
             [&teacher](const std::string& text) { teacher = search::parse_teacher(text, teacher); });
  counting(
      add_integer(app, "--teacher-epochs", teacher.epochs, 1, kManyEpochs, "epochs of a trained teacher"),
      command);
  add_integer(app, "--teacher-batch", teacher.batch_size, 1, 65'536, "images a step of the teacher");
  add_number(app, "--teacher-learning-rate", teacher.schedule.peak, 1e-9, 10, "its highest learning rate");
  add_parsed(app, "--teacher-schedule", "NAME", "constant, cosine or one-cycle",
             std::string(engine::to_string(teacher.schedule.kind)),
             [&teacher](const auto& text) { teacher.schedule.kind = engine::parse_schedule(text); });
  add_integer(app, "--teacher-threads", command.teacher_threads, 0, 4096,
              "threads of the teacher, 0 for all cores");
}

}  // namespace

void add_search_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("search", "Search for the best int8 model, from images to files");
  const auto command = std::make_shared<SearchCommand>();
  search::SearchSettings& settings = command->settings;
  sub->add_option("folder", command->folder, "folder of the search; one that exists is resumed")
      ->type_name("DIR")
      ->required();
  add_data_options(*sub, command->data, Presence::Required);
  // First among the options that are read, so that all others change what it sets.
  add_parsed(*sub, "--preset", "NAME", "quick or notebook; the defaults shown here are quick's",
             kDefaultPreset,
             [command](const std::string& text) { command->settings = search::preset(text); });
  sub->add_option(
         "--config", settings.configs,
         "a structure to try, such as \"3 blocks, 1 layers, 16 filters\" or a .json file; repeat for more")
      ->type_name("CONFIG")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_limits(*sub, *command);
  add_teacher(*sub, *command);
  add_stages(*sub, *command);
  add_integer(*sub, "--top", settings.top, 1, 1000, "finalists");
  add_integer(*sub, "--seeds", settings.finalist_seeds, 1, 1000,
              "runs of each finalist, from different seeds");
  add_split_options(*sub, settings.split);
  add_seed_option(*sub, settings.seed);
  add_workers_option(*sub, command->workers);
  add_output_options(*sub, command->output);
  add_examples(
      *sub,
      {"retort search out --data fashion-mnist", "retort search out --data cifar10:data --preset notebook",
       "retort search out --data images:photos?size=32x32 --flash 64K --ram 32K --time 30m",
       "retort search out --data fashion-mnist --config '2 blocks, 1 layers, 16 filters' --trials 1"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
