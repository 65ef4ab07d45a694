// The top models: what each stage gained or lost, what they cost, their layers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string_view>

#include "base/units.h"
#include "report/arena_picture.h"
#include "report/html.h"
#include "report/objectives.h"
#include "report/sections.h"

namespace retort::report {
namespace {

using search::Finalist;
using search::StageResult;
using search::StudyResult;
using search::TrialResult;

std::string model_cell(size_t rank, const TrialResult& trial) {
  return fmt::format(
      "<tr><td class=name><i class=key style='background:{}'></i><a href='#model-{}'>Model {}: {}</a>",
      rank < kTopColours.size() ? kTopColours.at(rank) : "var(--muted)", trial.number, rank + 1,
      escape_xml(trial.config));
}

const StageResult* stage_of(const TrialResult& trial, std::string_view name) {
  const auto stage = std::ranges::find(trial.stages, name, &StageResult::name);
  return stage == trial.stages.end() ? nullptr : &*stage;
}

// Accuracies after the stages that a trial went through, and at last the file's.
struct Step {
  const char* name;
  const char* title;
};
constexpr std::array kSteps = {Step{"quick", "quick"}, Step{"distill", "distilled"}, Step{"prune", "pruned"},
                               Step{"quantize", "quantised"}, Step{"", "int8 file"}};

double after(const TrialResult& trial, const Step& step) {
  if (std::string_view(step.name).empty()) return trial.accuracy_int8;
  const StageResult* stage = stage_of(trial, step.name);
  return stage == nullptr ? search::kUnknown : stage->validation_accuracy;
}

std::string points(double change) {
  return fmt::format("<span class='change {}'>{:+.2f}</span>", change < 0 ? "down" : "up", change * 100);
}

struct MeanChange {
  double sum = 0;
  int count = 0;
};

// Layer by layer, with a bar for the multiply-accumulates.
std::string layers_table(const cost::Cost& cost, const std::string& label) {
  std::string rows;
  int64_t most = 1;
  for (const cost::LayerCost& layer : cost.layers) most = std::max(most, layer.macs);
  for (size_t i = 0; i < cost.layers.size(); ++i) {
    const cost::LayerCost& layer = cost.layers[i];
    std::string window;
    if (layer.window)
      window =
          fmt::format("{}×{}{}", layer.window->height, layer.window->width,
                      layer.window->stride_height > 1 || layer.window->stride_width > 1
                          ? fmt::format(" by {}×{}", layer.window->stride_height, layer.window->stride_width)
                          : "");
    std::string shape;
    for (const int dim : layer.output_dims) shape += fmt::format("{}{}", shape.empty() ? "" : "×", dim);
    fmt::format_to(std::back_inserter(rows),
                   "<tr><td>{}. {}<td class=left>{}<td class=left>{}<td>{}<td class=bar><i "
                   "style='width:{:.1f}%'></i><td>{}<td>{}<td>{}</tr>",
                   i, escape_xml(layer.operator_name), window, shape, format_integer(layer.macs),
                   100 * static_cast<double>(layer.macs) / static_cast<double>(most),
                   format_integer(layer.parameters), format_integer(layer.weight_bytes),
                   format_integer(layer.live_bytes));
  }
  return scroll(label,
                "<table><thead><tr><th scope=col>layer<th scope=col class=left>window<th scope=col "
                "class=left>output<th scope=col>MACs<th scope=col class=left>share of the largest<th "
                "scope=col>parameters<th scope=col>flash, bytes<th scope=col>arena while it runs, "
                "bytes</tr></thead><tbody>" +
                    rows + "</tbody></table>");
}

// What pruning left, as the notebook logs it.
std::string zeros_table(const TrialResult& trial) {
  const StageResult* stage = stage_of(trial, "prune");
  if (stage == nullptr || stage->layers.empty()) return {};
  std::string rows;
  for (const compress::LayerSparsity& layer : stage->layers)
    fmt::format_to(std::back_inserter(rows), "<tr><td>{}<td>{}<td>{:.1f}%</tr>", escape_xml(layer.name),
                   format_integer(layer.weights), layer.sparsity * 100);
  return "<h3>Zeros after pruning</h3>" + scroll(fmt::format("Zeros of each layer of {}", trial.config),
                                                 "<table><thead><tr><th scope=col>layer<th "
                                                 "scope=col>weights<th scope=col>zeros</tr></thead><tbody>" +
                                                     rows + "</tbody></table>");
}

std::string runs_table(const StudyResult& study, const TrialResult& trial) {
  const Finalist* finalist = search::find_finalist(study, trial.number);
  if (finalist == nullptr) return {};
  std::string rows;
  for (const search::FinalistRun& run : finalist->runs)
    fmt::format_to(
        std::back_inserter(rows), "<tr><td>{}<td>{}<td>{}<td>{}<td class=left><a href='{}'>{}</a>{}</tr>",
        run.seed, percent(run.accuracy_float), percent(run.validation_accuracy), percent(run.test_accuracy),
        clean(run.file), clean(run.file), &run == search::best_model(study).run ? " · exported" : "");
  return "<h3>Trained from these seeds</h3>" +
         scroll(fmt::format("Seeds of {}", trial.config),
                "<table><thead><tr><th scope=col>seed<th scope=col>float validation<th scope=col>int8 "
                "validation<th scope=col>int8 test<th scope=col class=left>file</tr></thead><tbody>" +
                    rows + "</tbody></table>");
}

std::string details(const StudyResult& study, const TrialResult& trial, size_t rank,
                    const StudyFiles& files) {
  std::string out =
      fmt::format("<details class=model id=model-{}{}><summary>Model {}: {}; {} int8 on validation</summary>",
                  trial.number, rank == 0 ? " open" : "", rank + 1, escape_xml(trial.config),
                  percent(trial.accuracy_int8));
  const auto fact = [&out](std::string_view name, const std::string& html) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>", name, html);
  };
  out += "<dl>";
  fact("trial", fmt::format("<a href='#trial-{0}'>{0}</a>", trial.number));
  if (!trial.file.empty())
    fact("file", fmt::format("<a href='{0}'>{0}</a>, {1} bytes", clean(trial.file),
                             format_integer(trial.flash_bytes)));
  if (!trial.layers.empty()) fact("structure", structure_text(trial.layers));
  fact("epochs", escape_xml(search::epochs_text(trial)));
  if (trial.footprint.flash_bytes() > 0) {
    fact("flash", escape_xml(cost::flash_parts(trial.footprint)) + " bytes");
    fact("RAM", escape_xml(cost::ram_parts(trial.footprint)) + " bytes");
  }
  if (trial.arena_bytes_cortex_m4 > 0)
    fact("TFLM's arena", format_integer(trial.arena_bytes_cortex_m4) + " bytes on a Cortex-M4");
  if (trial.latency) fact("an inference", escape_xml(cost::latency_text(*trial.latency)) + ", estimated");
  out += "</dl>" + runs_table(study, trial);
  const auto model = std::ranges::find(files.models, trial.number, &StudyFiles::Model::trial);
  if (model != files.models.end()) {
    out += "<h3>Layers of the file</h3>" + layers_table(model->cost, "Layers of " + trial.config) +
           "<h3>Its arena</h3>" +
           scroll("Arena of " + trial.config,
                  arena_svg(arena_of(model->cost, fmt::format("Model {}", rank + 1), target_of(study))));
    if (model->cost.runtime == cost::Runtime::C)
      out += fmt::format(
          "<p class=muted>The picture and the layers' arena are TensorFlow Lite Micro's plan; the arena of "
          "the "
          "generated C has {} bytes.</p>",
          format_integer(model->cost.footprint.arena_bytes));
  }
  return out + zeros_table(trial) + "</details>";
}

// What flash and RAM hold; studies from before there were runtimes have the file's and its arena's.
std::string with_runtime(const StudyResult& study, const std::vector<const TrialResult*>& top) {
  return top.front()->footprint.flash_bytes() > 0
             ? fmt::format(" Flash and RAM are with the runtime, {}.", cost::title(target_of(study).runtime))
             : std::string(" Flash is the file's, RAM is TFLM's arena on a Cortex-M4.");
}

// A sentence, where all were trained for the same; else each model's part has its own.
std::string shared_epochs(const std::vector<const TrialResult*>& top) {
  const std::string epochs = search::epochs_text(*top.front());
  const bool same = std::ranges::all_of(
      top, [&](const TrialResult* trial) { return search::epochs_text(*trial) == epochs; });
  return same && !epochs.empty() ? fmt::format(" Epochs of each: {}.", escape_xml(epochs)) : std::string();
}

}  // namespace

std::vector<const TrialResult*> top_trials(const StudyResult& study) {
  std::vector<const TrialResult*> top;
  for (const int number : study.top)
    if (const TrialResult* trial = search::find_trial(study, number)) top.push_back(trial);
  return top;
}

std::string mean_text(const Finalist* finalist, double mean, double spread) {
  if (!finalist || finalist->runs.size() < 2 || !std::isfinite(mean)) return "–";
  return fmt::format("{:.2f} ± {:.2f}%", mean * 100, spread * 100);
}

std::string stages_section(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  if (top.empty()) return {};
  std::string table = "<table><thead><tr><th scope=col>Model";
  for (const Step& step : kSteps) table += fmt::format("<th scope=col>{}", step.title);
  table += "<th scope=col>float before<th scope=col>int8 − float</tr></thead><tbody>";
  std::array<MeanChange, kSteps.size()> changes{};
  for (size_t i = 0; i < top.size(); ++i) {
    const TrialResult& trial = *top[i];
    table += model_cell(i, trial);
    double before = search::kUnknown;
    for (size_t s = 0; s < kSteps.size(); ++s) {
      const double accuracy = after(trial, kSteps.at(s));
      const double change = accuracy - before;
      table += fmt::format("<td>{}{}", percent(accuracy), std::isfinite(change) ? points(change) : "");
      if (std::isfinite(change)) {
        changes.at(s).sum += change;
        ++changes.at(s).count;
      }
      if (std::isfinite(accuracy)) before = accuracy;
    }
    const double rounding = trial.accuracy_int8 - trial.accuracy_float;
    table += fmt::format("<td>{}<td>{}</tr>", percent(trial.accuracy_float),
                         std::isfinite(rounding) ? points(rounding) : "–");
  }
  table += "</tbody></table>";
  std::string means;
  for (size_t s = 0; s < kSteps.size(); ++s)
    if (const MeanChange& change = changes.at(s); change.count > 0)
      means += fmt::format("{}{} {:+.2f}", means.empty() ? "" : ", ", kSteps.at(s).title,
                           change.sum / change.count * 100);
  return "<section id=stages><h2>What each stage gained or lost</h2>" +
         scroll("Top models, stage by stage", table) +
         (means.empty() ? std::string()
                        : fmt::format("<p>On average over these models: {} points.</p>", means)) +
         "<p class=muted>Validation accuracy, in float (quantised: with fake quantisation) until the last "
         "column but "
         "two, which is the file's, computed bit for bit as TensorFlow Lite Micro does. Small figures are "
         "the change "
         "from the stage before, in percentage points. <b>int8 − float</b>: the file's against the network's "
         "before "
         "it was quantised.</p></section>";
}

std::string costs_section(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  if (top.empty()) return {};
  const bool with_latency = has_latency(study);
  std::string table =
      "<table><thead><tr><th scope=col>Model<th scope=col>trial<th scope=col>int8 validation<th "
      "scope=col>over seeds<th scope=col>int8 test<th scope=col>over seeds<th scope=col>seed<th "
      "scope=col>zeros" +
      cost_heads(with_latency) +
      "<th scope=col>MACs<th scope=col>parameters<th "
      "scope=col>seconds</tr></thead><tbody>";
  for (size_t i = 0; i < top.size(); ++i) {
    const TrialResult& trial = *top[i];
    const Finalist* finalist = search::find_finalist(study, trial.number);
    table += model_cell(i, trial);
    fmt::format_to(
        std::back_inserter(table),
        "<td><a href='#trial-{}'>{}</a><td><b>{}</b><td>{}<td>{}<td>{}<td>{}<td>{:.0f}%{}<td>{}<td>{}"
        "<td>{:.0f}</tr>",
        trial.number, trial.number, percent(trial.accuracy_int8),
        mean_text(finalist, finalist ? finalist->validation_mean : 0,
                  finalist ? finalist->validation_spread : 0),
        finalist ? percent(finalist->runs.at(static_cast<size_t>(finalist->best_run)).test_accuracy) : "–",
        mean_text(finalist, finalist ? finalist->test_mean : 0, finalist ? finalist->test_spread : 0),
        trial.seed, trial.sparsity * 100, cost_cells(trial, with_latency), format_count(trial.macs),
        format_integer(trial.parameters), trial.seconds);
  }
  table += "</tbody></table>";
  return "<section id=top><h2>The top models</h2>" + scroll("Top models", table) +
         "<p class=muted>A line's figures are of one run, from the seed that was best on validation: that "
         "run's "
         "file. The test set was read for these finalists alone, after every choice was made." +
         with_runtime(study, top) + shared_epochs(top) + "</p></section>";
}

std::string details_section(const StudyResult& study, const StudyFiles& files) {
  const std::vector<const TrialResult*> top = top_trials(study);
  if (top.empty()) return {};
  std::string out = "<section id=models><h2>Each of them</h2>";
  for (const std::string& problem : files.problems)
    out += fmt::format("<p class=muted>{}</p>", clean(problem));
  for (size_t i = 0; i < std::min(top.size(), kMostDetailed); ++i) out += details(study, *top[i], i, files);
  return out + "</section>";
}

}  // namespace retort::report
