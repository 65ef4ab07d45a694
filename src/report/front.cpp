// Accuracy against what a model costs, and the models that no other beats.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/units.h"
#include "report/html.h"
#include "report/objectives.h"
#include "report/sections.h"
#include "report/svg.h"

namespace retort::report {
namespace {

using search::Effort;
using search::StudyResult;
using search::TrialResult;

constexpr size_t kMostMarks = 1000;  // of a chart, beside the front and the top models
constexpr size_t kMostStops = 40;    // of a chart, for the tab key

std::string tooltip(const TrialResult& trial) {
  return fmt::format(
      "trial {}: {}; {} int8 on validation, {} of flash, {} of RAM, {} multiply-accumulates{}{}",
      trial.number, trial.config, percent(trial.accuracy_int8), format_bytes(flash_bytes(trial)),
      format_bytes(ram_bytes(trial)), format_count(trial.macs),
      trial.latency ? ", " + cost::latency_text(*trial.latency) : "",
      trial.effort == Effort::Full ? "" : " (explored, not trained to the end)");
}

std::string chart(const StudyResult& study, const Objective& objective, const std::set<int>& listed) {
  const std::vector<const TrialResult*> complete = with_cost(study, objective);
  const std::vector<const TrialResult*> front = front_of(complete, objective);
  const std::set<const TrialResult*> on_front(front.begin(), front.end());
  std::vector<double> costs;
  std::vector<double> accuracies;
  for (const TrialResult* trial : complete) {
    costs.push_back(objective.value(*trial));
    accuracies.push_back(trial->accuracy_int8 * 100);
  }
  const size_t every = complete.size() / kMostMarks + 1;
  Chart chart(every == 1 ? fmt::format("Accuracy against {}", objective.name)
                         : fmt::format("Accuracy against {} (one model in {}, the front, the top ones)",
                                       objective.name, every),
              fitted_axis(objective.axis, costs, Scale::Log),
              fitted_axis("int8 validation accuracy, %", accuracies, Scale::Linear));
  // A step: until the next more expensive one nothing is better.
  std::vector<double> x;
  std::vector<double> y;
  for (const TrialResult* trial : front) {
    if (!y.empty()) {
      x.push_back(objective.value(*trial));
      y.push_back(y.back());
    }
    x.push_back(objective.value(*trial));
    y.push_back(trial->accuracy_int8 * 100);
  }
  chart.line(x, y, "var(--accent,#0b62a3)", "the front");
  size_t stops = 0;
  const auto draw = [&](const TrialResult& trial, bool is_on_front) {
    const auto rank = static_cast<size_t>(std::ranges::find(study.top, trial.number) - study.top.begin());
    const bool in_top = rank < std::min(kTopColours.size(), study.top.size());
    const bool reached = (is_on_front || in_top) && stops < kMostStops;
    stops += reached;
    chart.point(
        objective.value(trial), trial.accuracy_int8 * 100,
        {.radius = in_top        ? 8.0
                   : is_on_front ? 6.0
                                 : 4.0,
         .colour = in_top        ? kTopColours.at(rank)
                   : is_on_front ? "var(--accent,#0b62a3)"
                                 : "#8a8a96",
         .tooltip = tooltip(trial),
         .link = rank < kMostDetailed && rank < study.top.size() ? fmt::format("#model-{}", trial.number)
                 : listed.contains(trial.number)                 ? fmt::format("#trial-{}", trial.number)
                                                                 : std::string(),
         .keyboard = reached ? Mark::Keyboard::Stops : Mark::Keyboard::Passes,
         .shape = trial.effort == Effort::Full ? Mark::Shape::Disc : Mark::Shape::Ring});
  };
  const auto is_top = [&](const TrialResult& trial) {
    return std::ranges::find(study.top, trial.number) != study.top.end();
  };
  for (size_t i = 0; i < complete.size(); i += every)
    if (!on_front.contains(complete[i]) && !is_top(*complete[i])) draw(*complete[i], false);
  for (const TrialResult* trial : complete)  // over the others, and by the tab key in the order of their cost
    if (!on_front.contains(trial) && is_top(*trial)) draw(*trial, false);
  for (const TrialResult* trial : front) draw(*trial, true);
  return chart.svg();
}

}  // namespace

std::string front_section(const StudyResult& study) {
  std::set<int> listed;
  for (const TrialResult* trial : listed_trials(study)) listed.insert(trial->number);
  std::string charts;
  for (const Objective& objective : objectives(study))
    charts += "<div>" + chart(study, objective, listed) + "</div>";
  if (charts.empty()) return {};
  return "<section id=front><h2>What accuracy costs</h2><p class=muted>A mark is a model; the line is the "
         "front: "
         "whoever is not on it is beaten by a model that is at least as accurate and takes no more. Hover or "
         "tab to a "
         "mark to read it, click it or press Enter for the model. Coloured marks are the top models, rings "
         "were "
         "explored and not trained to the end.</p><div class=charts>" +
         charts + "</div></section>";
}

}  // namespace retort::report
