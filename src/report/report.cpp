#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "report/exploration.h"
#include "report/style.h"
#include "report/svg.h"

namespace retort::report {
namespace {

using search::Finalist;
using search::Outcome;
using search::StudyResult;
using search::TrialResult;

// Five colours that colour-blind readers tell apart (Okabe and Ito, 2008), for the top models.
constexpr std::array kTopColours = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"};

// Networks in a table or points in a picture.
constexpr size_t kMostShown = 2000;

std::string percent(double value) {
  return std::isfinite(value) ? fmt::format("{:.2f}%", value * 100) : "–";
}

double megabytes(int64_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

std::vector<const TrialResult*> top_trials(const StudyResult& study) {
  std::vector<const TrialResult*> top;
  for (const int number : study.top)
    if (const TrialResult* trial = search::find_trial(study, number)) top.push_back(trial);
  return top;
}

// Over the seeds of a finalist; of one seed there is no mean.
std::string mean_cell(const Finalist* finalist, double mean, double spread) {
  if (!finalist || finalist->runs.size() < 2 || !std::isfinite(mean)) return "–";
  return fmt::format("{:.2f} ± {:.2f}%", mean * 100, spread * 100);
}

std::string mean_caption(const Finalist& finalist, double mean, double spread) {
  return finalist.runs.size() < 2
             ? std::string()
             : fmt::format("; {} over {} seeds", mean_cell(&finalist, mean, spread), finalist.runs.size());
}

void card(std::string& out, std::string_view value, std::string_view caption) {
  fmt::format_to(std::back_inserter(out), "<div class=card><b>{}</b><span>{}</span></div>", escape_xml(value),
                 escape_xml(caption));
}

void add_summary(std::string& out, const StudyResult& study, const std::vector<const TrialResult*>& top) {
  int complete = 0;
  int tried = 0;  // completed with less than all stages, to choose what gets them
  int skipped = 0;
  int infeasible = 0;
  int failed = 0;
  for (const TrialResult& trial : study.trials) {
    const bool full = trial.effort == search::Effort::Full;
    complete += trial.outcome == Outcome::Complete && full;
    tried += trial.outcome == Outcome::Complete && !full;
    skipped += trial.outcome == Outcome::Skipped;
    infeasible += trial.outcome == Outcome::Infeasible;
    failed += trial.outcome == Outcome::Failed;
  }
  fmt::format_to(
      std::back_inserter(out),
      "<h1>Retort</h1><p class=muted>{} · {} training, {} validation and {} test images · {} classes · "
      "preset {} · {}</p>",
      escape_xml(study.data_spec), format_integer(study.train_images),
      format_integer(study.validation_images), format_integer(study.test_images), study.classes.size(),
      escape_xml(study.preset), format_duration(study.seconds));
  if (top.empty()) {
    out += "<p><b>No candidate has gone through all stages yet.</b></p>";
  } else {
    // The exported model; until one is chosen the leader so far.
    const auto [exported, finalist, run] = search::best_model(study);
    const TrialResult& best = exported ? *exported : *top.front();
    fmt::format_to(std::back_inserter(out), "<p>{}: <b>{}</b></p><div class=cards>",
                   exported ? "Best" : "Best so far", escape_xml(best.config));
    if (finalist)
      card(out, percent(run->test_accuracy),
           fmt::format("test accuracy, int8, seed {}{}", run->seed,
                       mean_caption(*finalist, finalist->test_mean, finalist->test_spread)));
    card(out, percent(best.accuracy_int8),
         finalist
             ? fmt::format("validation accuracy, int8, seed {}{}", run->seed,
                           mean_caption(*finalist, finalist->validation_mean, finalist->validation_spread))
             : std::string("validation accuracy, int8: what is ranked"));
    card(out, format_bytes(best.flash_bytes),
         fmt::format(".tflite, {} bytes", format_integer(best.flash_bytes)));
    card(out, format_bytes(best.arena_bytes_cortex_m4),
         fmt::format("arena on a Cortex-M4, {} bytes", format_integer(best.arena_bytes_cortex_m4)));
    if (best.footprint.flash_bytes() > 0) {  // studies from before there were runtimes have none
      card(out, format_bytes(best.footprint.flash_bytes()),
           fmt::format("flash with the runtime: {} bytes", cost::flash_parts(best.footprint)));
      card(out, format_bytes(best.footprint.ram_bytes()),
           fmt::format("RAM with the runtime: {} bytes", cost::ram_parts(best.footprint)));
    }
    if (best.latency) card(out, cost::latency_text(*best.latency), "an inference on the board, estimated");
    card(out, format_count(best.macs), "multiply-accumulates an image");
    card(out, format_integer(best.parameters),
         fmt::format("parameters, {:.0f}% of the kernels' weights zero", best.sparsity * 100));
    out += "</div>";
  }
  fmt::format_to(
      std::back_inserter(out),
      "<p>{} trainings: {}{} went through all stages, {} did not pass the gate, {} do not fit, {} failed.",
      study.trials.size(), tried > 0 ? fmt::format("{} explored structures, ", tried) : std::string(),
      complete, skipped, infeasible, failed);
  if (study.left_out > 0)
    fmt::format_to(
        std::back_inserter(out),
        " {} more were left out for lack of time: the same command with a longer --time takes them up.",
        study.left_out);
  if (std::isfinite(study.teacher.validation_accuracy)) {
    fmt::format_to(std::back_inserter(out), " The teacher ({}{}) has {} on validation",
                   escape_xml(study.teacher.source),
                   study.teacher.threads > 0 ? fmt::format(", {} threads", study.teacher.threads) : "",
                   percent(study.teacher.validation_accuracy));
    if (std::isfinite(study.teacher.test_accuracy))
      fmt::format_to(std::back_inserter(out), " and {} on test", percent(study.teacher.test_accuracy));
    out += ".";
  }
  out += "</p>";
}

std::string flash_chart(const StudyResult& study) {
  std::vector<double> sizes;
  std::vector<double> accuracies;
  for (const TrialResult& trial : study.trials)
    if (trial.outcome == Outcome::Complete) {
      sizes.push_back(static_cast<double>(trial.flash_bytes) / 1024);
      accuracies.push_back(trial.accuracy_int8 * 100);
    }
  // Every so many of a large study's, so that a browser can draw them; and the top ones.
  const size_t every = sizes.size() / kMostShown + 1;
  Chart chart(every == 1 ? "All models: accuracy against flash"
                         : fmt::format("One model in {} and the top ones: accuracy against flash", every),
              fitted_axis(".tflite, KB (1,024 bytes)", sizes, Scale::Log),
              fitted_axis("int8 validation accuracy, %", accuracies, Scale::Linear));
  size_t complete = 0;
  for (const TrialResult& trial : study.trials) {
    if (trial.outcome != Outcome::Complete) continue;
    const auto rank = std::ranges::find(study.top, trial.number) - study.top.begin();
    const bool in_top =
        rank < static_cast<std::ptrdiff_t>(kTopColours.size()) && std::cmp_less(rank, study.top.size());
    if (complete++ % every != 0 && !in_top) continue;
    chart.point(static_cast<double>(trial.flash_bytes) / 1024, trial.accuracy_int8 * 100, in_top ? 8 : 5,
                in_top ? kTopColours[static_cast<size_t>(rank)] : "#9a9aa5",
                fmt::format("{}: {}, {}", trial.config, percent(trial.accuracy_int8),
                            format_bytes(trial.flash_bytes)));
  }
  return chart.svg();
}

// Validation accuracy over all epochs of all stages, end to end, for the top models.
std::string curves_chart(const std::vector<const TrialResult*>& top) {
  std::vector<std::vector<double>> curves;
  std::vector<std::pair<double, std::string>> starts;
  std::vector<double> all;
  double longest = 1;
  for (const TrialResult* trial : top) {
    std::vector<double> curve;
    for (const search::StageResult& stage : trial->stages) {
      if (trial == top.front()) starts.emplace_back(static_cast<double>(curve.size()), stage.name);
      for (const engine::EpochResult& epoch : stage.history.epochs)
        curve.push_back(epoch.validation_accuracy * 100);
    }
    all.insert(all.end(), curve.begin(), curve.end());
    longest = std::max(longest, static_cast<double>(curve.size()));
    curves.push_back(std::move(curve));
  }
  Axis x{"epoch, all stages (named where the best model's begin)", 0, longest + 0.5, Scale::Linear};
  Chart chart("Validation accuracy through the stages", std::move(x),
              fitted_axis("validation accuracy, %", all, Scale::Linear));
  for (const auto& [start, name] : starts) chart.rule(start + 0.5, name);
  std::vector<std::string> names;
  std::vector<std::string> colours;
  for (size_t i = 0; i < curves.size(); ++i) {
    std::vector<double> epochs(curves[i].size());
    for (size_t e = 0; e < epochs.size(); ++e) epochs[e] = static_cast<double>(e + 1);
    const char* colour = kTopColours[i % kTopColours.size()];
    chart.line(epochs, curves[i], colour, top[i]->config);
    names.push_back(fmt::format("Model {}", i + 1));
    colours.emplace_back(colour);
  }
  chart.legend(names, colours);
  return chart.svg();
}

void add_top_table(std::string& out, const StudyResult& study, const std::vector<const TrialResult*>& top) {
  out +=
      "<section><h2>The top models, stage by stage</h2><div "
      "class=scroll><table><tr><th>Model<th>quick<th>distilled"
      "<th>pruned<th>quantised<th>int8 validation<th>over seeds<th>int8 test<th>over seeds<th>seed<th "
      "class=left>epochs<th>zeros<th>.tflite bytes<th>arena M4<th>MACs<th>parameters<th>seconds</tr>";
  for (size_t i = 0; i < top.size(); ++i) {
    const TrialResult& trial = *top[i];
    fmt::format_to(std::back_inserter(out), "<tr><td><i class=key style='background:{}'></i>{}. {}",
                   kTopColours[i % kTopColours.size()], i + 1, escape_xml(trial.config));
    for (const std::string_view name : {"quick", "distill", "prune", "quantize"}) {
      const auto stage = std::ranges::find(trial.stages, name, &search::StageResult::name);
      out += "<td>";
      out += stage == trial.stages.end() ? "–" : percent(stage->validation_accuracy);
    }
    const Finalist* finalist = search::find_finalist(study, trial.number);
    fmt::format_to(
        std::back_inserter(out),
        "<td><b>{}</b><td>{}<td>{}<td>{}<td>{}<td class=left>{}<td>{:.0f}%<td>{}<td>{}<td>{}<td>{}<td>{:.0f}"
        "</tr>",
        percent(trial.accuracy_int8),
        mean_cell(finalist, finalist ? finalist->validation_mean : 0,
                  finalist ? finalist->validation_spread : 0),
        finalist ? percent(finalist->runs.at(static_cast<size_t>(finalist->best_run)).test_accuracy) : "–",
        mean_cell(finalist, finalist ? finalist->test_mean : 0, finalist ? finalist->test_spread : 0),
        trial.seed, search::epochs_text(trial), trial.sparsity * 100, format_integer(trial.flash_bytes),
        format_integer(trial.arena_bytes_cortex_m4), format_count(trial.macs),
        format_integer(trial.parameters), trial.seconds);
  }
  out +=
      "</table></div><p class=muted>Stages show validation accuracy in float (quantised: with fake "
      "quantisation). "
      "A line's figures are of one run, from the seed that was best on validation: that run's file. int8 "
      "figures are the file's, computed bit for bit as TensorFlow Lite Micro does. The test set was read for "
      "these finalists alone, after every choice was made.</p></section>";
}

// What pruning left, as the notebook logs it.
void add_sparsity(std::string& out, const std::vector<const TrialResult*>& top) {
  std::string rows;
  for (const TrialResult* trial : top) {
    const auto stage = std::ranges::find(trial->stages, "prune", &search::StageResult::name);
    if (stage == trial->stages.end()) continue;
    for (const compress::LayerSparsity& layer : stage->layers)
      fmt::format_to(std::back_inserter(rows), "<tr><td>{}<td class=left>{}<td>{}<td>{:.1f}%</tr>",
                     &layer == &stage->layers.front() ? escape_xml(trial->config) : "",
                     escape_xml(layer.name), format_integer(layer.weights), layer.sparsity * 100);
  }
  if (rows.empty()) return;
  out +=
      "<section><details><summary>Zeros after pruning, layer by layer</summary><div class=scroll><table>"
      "<tr><th>Model<th class=left>layer<th>weights<th>zeros</tr>" +
      rows + "</table></div></details></section>";
}

void add_finalists(std::string& out, const StudyResult& study) {
  if (study.finalists.empty()) return;
  out +=
      "<section><h2>Finalists over seeds</h2><div class=scroll><table><tr><th>Model<th>seed<th>int8 "
      "validation"
      "<th>int8 test<th class=left>file</tr>";
  for (const Finalist& finalist : study.finalists) {
    const TrialResult* trial = search::find_trial(study, finalist.trial);
    for (size_t i = 0; i < finalist.runs.size(); ++i) {
      const search::FinalistRun& run = finalist.runs[i];
      const bool exported = &run == search::best_model(study).run;
      fmt::format_to(std::back_inserter(out), "<tr><td>{}<td>{}<td>{}<td>{}<td class=left>{}{}</tr>",
                     i == 0 && trial ? escape_xml(trial->config) : "", run.seed,
                     percent(run.validation_accuracy), percent(run.test_accuracy), escape_xml(run.file),
                     exported ? " · exported" : "");
    }
  }
  out += "</table></div></section>";
}

void add_all_trials(std::string& out, const StudyResult& study) {
  out +=
      "<section><h2>Every network</h2><div class=scroll><table><tr><th>Network<th class=left>outcome<th>quick"
      "<th>int8 validation<th class=left>epochs<th>.tflite bytes<th>arena "
      "M4<th>MACs<th>parameters<th>seconds</tr>";
  for (const TrialResult& trial : std::span(study.trials).first(std::min(study.trials.size(), kMostShown))) {
    std::string outcome(search::to_string(trial.outcome));
    if (trial.effort != search::Effort::Full)
      outcome += fmt::format(" ({})", search::to_string(trial.effort));
    if (!trial.reason.empty()) outcome += ": " + trial.reason;
    fmt::format_to(std::back_inserter(out),
                   "<tr{}><td>{}. {}<td class='left wrap'>{}<td>{}<td>{}<td "
                   "class=left>{}<td>{}<td>{}<td>{}<td>{}<td>{:.0f}"
                   "</tr>",
                   trial.outcome == Outcome::Complete ? "" : " class=quiet", trial.number,
                   escape_xml(trial.config), escape_xml(outcome), percent(trial.quick_accuracy),
                   percent(trial.accuracy_int8), search::epochs_text(trial),
                   format_integer(trial.flash_bytes), format_integer(trial.arena_bytes_cortex_m4),
                   format_count(trial.macs), format_integer(trial.parameters), trial.seconds);
  }
  out += "</table></div>";
  if (study.trials.size() > kMostShown)
    fmt::format_to(std::back_inserter(out),
                   "<p class=muted>The first {} of {}; all are in <code>trials.csv</code>.</p>",
                   format_integer(static_cast<int64_t>(kMostShown)),
                   format_integer(static_cast<int64_t>(study.trials.size())));
  out += "</section>";
}

std::string indented(const std::string& json) {
  return json.empty() ? std::string() : dump_json(nlohmann::json::parse(json), 2);
}

// As a shell reads it back.
std::string shell_word(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void add_how(std::string& out, const StudyResult& study, const std::vector<const TrialResult*>& top) {
  out += "<section><h2>How it was made, and what to do with it</h2>";
  if (!study.command.empty())
    fmt::format_to(std::back_inserter(out), "<pre>{}</pre>", escape_xml(study.command));
  if (!top.empty())
    fmt::format_to(std::back_inserter(out),
                   "<p>The best model is <code>best/model.tflite</code> beside this page.</p>"
                   "<pre>retort inspect best/model.tflite\nretort eval best/model.tflite --data {}</pre>",
                   escape_xml(shell_word(study.data_spec)));
  fmt::format_to(std::back_inserter(out),
                 "<details><summary>Every setting</summary>{}<pre>{}</pre></details>"
                 "<p class=muted>Data hash {}</p></section>",
                 study.plan_json.empty()
                     ? std::string()
                     : fmt::format("<p>Epochs that the time had room for, in place of the "
                                   "settings':</p><pre>{}</pre>",
                                   escape_xml(indented(study.plan_json))),
                 escape_xml(indented(study.settings_json)), escape_xml(study.content_hash));
}

}  // namespace

std::string scatter_svg(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  std::vector<double> parameters;
  std::vector<double> accuracies;
  std::vector<double> sizes;
  for (const TrialResult* trial : top) {
    parameters.push_back(static_cast<double>(trial->parameters));
    accuracies.push_back(trial->accuracy_int8);
    sizes.push_back(megabytes(trial->flash_bytes));
  }
  Chart chart(fmt::format("Top {}: Accuracy vs Number of Parameters",
                          top.size() == 1 ? std::string("Model") : fmt::format("{} Models", top.size())),
              fitted_axis("Number of Parameters", parameters, Scale::Log),
              fitted_axis("Accuracy", accuracies, Scale::Linear));
  if (!top.empty()) {
    const auto [low, high] = std::ranges::minmax(sizes);
    chart.colour_bar("Model Size (MB)", low, high);
    for (size_t i = 0; i < top.size(); ++i) {
      const double t = high > low ? (sizes[i] - low) / (high - low) : 0.5;
      chart.point(parameters[i], accuracies[i], 6, viridis(t),
                  fmt::format("Model {}: {}, accuracy {:.4f}, {:.3f} MB, {} parameters", i + 1,
                              top[i]->config, accuracies[i], sizes[i], top[i]->parameters));
      chart.annotate(parameters[i], accuracies[i], 7, -7, fmt::format("Model {}", i + 1));
    }
  }
  return chart.svg();
}

std::string html_report(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  std::string out = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
      "<title>Retort: {}</title><style>{}</style><body><main>",
      escape_xml(study.data_spec), kStyle);
  add_summary(out, study, top);
  if (!top.empty()) {
    out += "<section class=charts><div>" + scatter_svg(study) + "</div><div>" + flash_chart(study) +
           "</div><div>" + curves_chart(top) + "</div></section>";
    add_top_table(out, study, top);
    add_sparsity(out, top);
  }
  add_finalists(out, study);
  out += exploration_section(study);
  add_all_trials(out, study);
  add_how(out, study, top);
  out += "</main></body></html>\n";
  return out;
}

}  // namespace retort::report
