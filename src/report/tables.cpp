#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string_view>
#include <vector>

#include "report/report.h"

#include "base/json.h"
#include "base/parallel.h"

namespace retort::report {
namespace {

// A text as a field. RFC 4180: one with a comma, quote or line break is quoted, its quotes doubled. Behind an apostrophe
// spreadsheets take for a text what they would take for a formula.
std::string csv_field(std::string_view text) {
  const bool is_formula =
      !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  const std::string_view before = is_formula ? "'" : "";
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return fmt::format("{}{}", before, text);
  std::string out = fmt::format("\"{}", before);
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string csv_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "";
}

// Each of the lines after this.
std::string behind(std::string_view indent, std::string_view lines) {
  std::string out;
  out.reserve(lines.size() + indent.size() * (1 + static_cast<size_t>(std::ranges::count(lines, '\n'))));
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, std::min(lines.find('\n'), lines.size() - 1) + 1);
    out.append(indent).append(line);
    lines.remove_prefix(line.size());
  }
  return out;
}

search::StudyResult without_trials(const search::StudyResult& study) {
  return {.data_spec = study.data_spec,
          .content_hash = study.content_hash,
          .classes = study.classes,
          .range = study.range,
          .train_images = study.train_images,
          .validation_images = study.validation_images,
          .test_images = study.test_images,
          .preset = study.preset,
          .settings_json = study.settings_json,
          .plan_json = study.plan_json,
          .command = study.command,
          .teacher = study.teacher,
          .trials = {},
          .left_out = study.left_out,
          .top = study.top,
          .finalists = study.finalists,
          .best = study.best,
          .seconds = study.seconds};
}

}  // namespace

std::string trials_csv(const search::StudyResult& study) {
  static constexpr std::array kStages = {"quick", "channels", "distill", "prune", "quantize"};
  std::string out =
      "number,config,outcome,reason,accuracy_float,accuracy_int8,parameters,macs,"
      "flash_bytes,arena_bytes_cortex_m4,arena_bytes_host,"
      "model_bytes,code_bytes,runtime_arena_bytes,static_bytes,stack_bytes,milliseconds,sparsity,seconds";
  for (const auto* stage : kStages)
    fmt::format_to(std::back_inserter(out), ",{0}_accuracy,{0}_sparsity,{0}_epochs,{0}_seconds", stage);
  out +=
      ",seeds,validation_mean,validation_spread,test_accuracy_int8,test_mean,test_spread,seed,hash,file,"
      "effort,parent,diverged,recipe\r\n";
  for (const search::TrialResult& trial : study.trials) {
    const cost::Footprint& footprint = trial.footprint;
    fmt::format_to(std::back_inserter(out), "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
                   trial.number, csv_field(trial.config), search::to_string(trial.outcome),
                   csv_field(trial.reason), csv_number(trial.accuracy_float), csv_number(trial.accuracy_int8),
                   trial.parameters, trial.macs, trial.flash_bytes, trial.arena_bytes_cortex_m4,
                   trial.arena_bytes_host, footprint.model_bytes, footprint.code_bytes, footprint.arena_bytes,
                   footprint.static_bytes, footprint.stack_bytes,
                   csv_number(trial.latency ? trial.latency->milliseconds : search::kUnknown),
                   csv_number(trial.sparsity), csv_number(trial.seconds));
    for (const std::string_view name : kStages) {
      const search::StageResult* found = nullptr;
      for (const search::StageResult& stage : trial.stages)
        if (stage.name == name) found = &stage;
      if (found)
        fmt::format_to(std::back_inserter(out), ",{},{},{},{}", csv_number(found->validation_accuracy),
                       csv_number(found->sparsity), found->trained, csv_number(found->seconds));
      else
        out += ",,,,";
    }
    if (const search::Finalist* finalist = search::find_finalist(study, trial.number))
      fmt::format_to(std::back_inserter(out), ",{},{},{},{},{},{}", finalist->runs.size(),
                     csv_number(finalist->validation_mean), csv_number(finalist->validation_spread),
                     csv_number(finalist->runs.at(static_cast<size_t>(finalist->best_run)).test_accuracy),
                     csv_number(finalist->test_mean), csv_number(finalist->test_spread));
    else
      out += ",,,,,,";
    fmt::format_to(std::back_inserter(out), ",{},{},{},{},{},{},{}\r\n", trial.seed, csv_field(trial.hash),
                   csv_field(trial.file), search::to_string(trial.effort),
                   trial.parent < 0 ? std::string() : fmt::format("{}", trial.parent),
                   csv_field(search::divergence_text(trial.diverged)),
                   csv_field(trial.recipe ? search::to_string(*trial.recipe) : std::string()));
  }
  return out;
}

std::string study_json(const search::StudyResult& study) {
  // Trials one by one on all cores, put where the rest has a mark: of a large study they are nearly all.
  constexpr size_t kChunk = 64;
  std::vector<std::string> trials(study.trials.size());
  parallel_for(trials.size(), kChunk, 0, [&](size_t i) {
    Json trial = study.trials[i];
    if (!search::shows_epochs(study, study.trials[i]))
      for (Json& stage : trial["stages"]) {
        stage.erase("layers");
        stage["history"].erase("epochs");
      }
    trials[i] = behind("    ", dump_json(trial, 2));
  });
  std::string rest = dump_json(Json(without_trials(study)), 2) + "\n";
  if (trials.empty()) return rest;
  constexpr std::string_view kMark = "\n  \"trials\": [";
  const size_t at = rest.find(kMark) + kMark.size();
  std::string out = rest.substr(0, at);
  size_t size = rest.size() + 3;
  for (const std::string& trial : trials) size += trial.size() + 2;
  out.reserve(size);
  for (const std::string& trial : trials) {
    out += &trial == trials.data() ? "\n" : ",\n";
    out += trial;
  }
  return out.append("\n  ").append(rest, at);
}

}  // namespace retort::report
