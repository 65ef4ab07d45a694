// What a search found, in words and as JSON.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/search_command.h"
#include "search/results.h"

namespace retort::cli {
namespace {

using search::Finalist;
using search::StudyResult;
using search::TrialResult;

const TrialResult& trial_of(const StudyResult& study, int number) {
  return *search::find_trial(study, number);
}

const search::FinalistRun& best_run(const Finalist& finalist) {
  return finalist.runs.at(static_cast<size_t>(finalist.best_run));
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

// A finalist's figures are those of its best run; mean and spread over all its seeds stand beside them.
Json model_json(const StudyResult& study, const TrialResult& trial, const std::filesystem::path& file) {
  Json model = {
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

std::string top_title(const StudyResult& study) {
  return fmt::format("Top {} ({}):\n", format_counted(static_cast<int64_t>(study.top.size()), "model"),
                     study.finalists.empty()
                         ? "int8 accuracy on validation, then smaller file"
                         : "those of most seeds first, then mean int8 accuracy on validation over them");
}

// As the notebook prints them.
std::string notebook_top(const StudyResult& study) {
  std::string out = top_title(study);
  const auto line = [&out]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    out += fmt::format(format, std::forward<Args>(args)...) + "\n";
  };
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
  return out;
}

// A line each, in the columns and units of `retort pick`.
std::string top_table(const StudyResult& study) {
  std::string out =
      top_title(study) + "trial     int8     test       flash         RAM       MACs  structure\n";
  for (const int number : study.top) {
    const TrialResult& trial = trial_of(study, number);
    const Finalist* finalist = search::find_finalist(study, number);
    out += fmt::format(
        "{:>5}  {:>6.2f}%  {:>7}  {:>10}  {:>10}  {:>9}  {}\n", number, trial.accuracy_int8 * 100,
        finalist ? fmt::format("{:.2f}%", best_run(*finalist).test_accuracy * 100) : std::string("–"),
        format_bytes(trial.footprint.flash_bytes()), format_bytes(trial.footprint.ram_bytes()),
        format_count(trial.macs), trial.config);
  }
  return out;
}

}  // namespace

void require_model(const StudyResult& study, const std::filesystem::path& folder) {
  if (study.best < 0)
    throw_failure("no candidate was completed; {} says why", (folder / "report.html").string());
}

std::string summary(const StudyResult& study, const cost::Target& target,
                    const std::filesystem::path& folder) {
  std::string out;
  const auto line = [&out]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    out += fmt::format(format, std::forward<Args>(args)...) + "\n";
  };
  if (study.top.empty()) {
    line("Nothing was completed: {} tried. See {}",
         format_counted(static_cast<int64_t>(study.trials.size()), "was", "were"),
         (folder / "report.html").string());
    return out;
  }
  // Of one model all is said below.
  if (study.preset == "notebook")
    out += notebook_top(study);
  else if (study.top.size() > 1)
    out += top_table(study);
  if (const TrialResult* trial = search::best_model(study).trial) {
    if (!out.empty()) line("");
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
    line("  Left out    {} for lack of time: the same command with a longer --time takes {} up",
         format_counted(study.left_out, "structure"), study.left_out == 1 ? "it" : "them");
  line("  Report      {}", (folder / "report.html").string());
  line("  Time        {}", search::time_text(study));
  return out;
}

Json result_json(const StudyResult& study, const cost::Target& target, const std::filesystem::path& folder) {
  Json trials = {{"left_out", study.left_out}};
  for (const search::Outcome outcome : {search::Outcome::Complete, search::Outcome::Skipped,
                                        search::Outcome::Infeasible, search::Outcome::Failed})
    trials[std::string(search::to_string(outcome))] =
        std::ranges::count(study.trials, outcome, &TrialResult::outcome);
  Json best;
  if (const TrialResult* trial = search::best_model(study).trial)
    best = model_json(study, *trial, folder / "best" / "model.tflite");
  Json top = Json::array();
  for (const int trial : study.top) {
    const TrialResult& result = trial_of(study, trial);
    top.push_back(model_json(study, result, folder / result.file));
  }
  return {{"best", best},
          {"top", top},
          {"runtime", cost::to_string(target.runtime)},
          {"board", target.board ? Json(target.board->name) : Json()},
          {"teacher",
           {{"source", study.teacher.source},
            {"validation_accuracy", number(study.teacher.validation_accuracy)},
            {"test_accuracy", number(study.teacher.test_accuracy)}}},
          {"trials", trials},
          {"report", (folder / "report.html").string()},
          {"seconds", study.seconds}};
}

}  // namespace retort::cli
