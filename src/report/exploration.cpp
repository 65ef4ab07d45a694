#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "report/html.h"
#include "report/objectives.h"
#include "report/svg.h"
#include "search/insight.h"

namespace retort::report {
namespace {

using search::Effort;
using search::Outcome;
using search::StudyResult;
using search::TrialResult;

std::vector<const TrialResult*> explored(const StudyResult& study) {
  std::vector<const TrialResult*> trials;
  for (const TrialResult& trial : study.trials)
    if (trial.effort == Effort::Explore && trial.outcome == Outcome::Complete) trials.push_back(&trial);
  return trials;
}

double kilobytes(const TrialResult& trial) {
  return static_cast<double>(trial.footprint.flash_bytes()) / 1024;
}

std::string tooltip(const TrialResult& trial) {
  return fmt::format("trial {}: {}; {:.2f}%, {} of flash", trial.number, trial.config,
                     trial.accuracy_int8 * 100, format_bytes(trial.footprint.flash_bytes()));
}

// The front after each quarter of the exploration.
std::string front_chart(const std::vector<const TrialResult*>& trials) {
  const Objective flash{"flash", "flash, KB", kilobytes};
  std::vector<double> sizes;
  std::vector<double> accuracies;
  for (const TrialResult* trial : trials) {
    sizes.push_back(kilobytes(*trial));
    accuracies.push_back(trial->accuracy_int8 * 100);
  }
  Chart chart("The front of accuracy and flash as it grew", fitted_axis(flash.axis, sizes, Scale::Log),
              fitted_axis("int8 validation accuracy, %", accuracies, Scale::Linear));
  constexpr int kParts = 4;
  std::vector<std::string> names;
  std::vector<std::string> colours;
  for (int part = 1; part <= kParts; ++part) {
    const size_t count = trials.size() * static_cast<size_t>(part) / kParts;
    if (count == 0) continue;
    const std::string colour = viridis(1 - static_cast<double>(part) / kParts);
    std::vector<double> x;
    std::vector<double> y;
    for (const TrialResult* trial :
         front_of({trials.begin(), trials.begin() + static_cast<std::ptrdiff_t>(count)}, flash)) {
      // A step: until the next larger one nothing is better.
      if (!y.empty()) {
        x.push_back(kilobytes(*trial));
        y.push_back(y.back());
      }
      x.push_back(kilobytes(*trial));
      y.push_back(trial->accuracy_int8 * 100);
      if (part == kParts) chart.point(x.back(), y.back(), {.colour = colour, .tooltip = tooltip(*trial)});
    }
    names.push_back(fmt::format("after {}", count));
    colours.push_back(colour);
    chart.line(x, y, colour, names.back());
  }
  chart.legend(names, colours);
  return chart.svg();
}

void add_correlations(std::string& out, std::string_view title, std::string_view explanation,
                      const std::vector<search::Correlation>& correlations) {
  if (correlations.empty()) return;
  std::string table =
      "<table><thead><tr><th scope=col>what<th scope=col>rank correlation<th "
      "scope=col>structures</tr></thead><tbody>";
  for (const search::Correlation& correlation : correlations)
    fmt::format_to(std::back_inserter(table), "<tr><td>{}<td>{:+.2f}<td>{}</tr>",
                   escape_xml(correlation.name), correlation.with_accuracy, correlation.count);
  out += fmt::format("<div><h3>{}</h3><p class=muted>{}</p>{}</div>", escape_xml(title),
                     escape_xml(explanation), scroll(title, table + "</tbody></table>"));
}

// What lay just outside the limits and was not trained; older studies do not tell.
std::string nearest_misses(const Json& exploration) {
  std::string rows;
  for (const Json& miss : exploration.value("nearest_misses", Json::array()))
    fmt::format_to(std::back_inserter(rows), "<tr><td>{}<td>{:.2f} %<td>{}</tr>",
                   clean(miss.at("config").get<std::string>()), (miss.at("ratio").get<double>() - 1) * 100,
                   clean(miss.at("reason").get<std::string>()));
  if (rows.empty()) return {};
  return "<details><summary>The nearest of those above the limits</summary>" +
         scroll("The nearest misses",
                "<table><thead><tr><th scope=col>structure<th scope=col>above<th scope=col>"
                "why</tr></thead><tbody>" +
                    rows + "</tbody></table>") +
         "</details>";
}

// The recipes that were compared, the best first. `chosen`: the plan's.
std::string recipes(const StudyResult& study, const Json& chosen) {
  std::vector<const TrialResult*> trials;
  for (const TrialResult& trial : study.trials)
    if (trial.effort == Effort::Recipe && trial.recipe && trial.outcome == Outcome::Complete)
      trials.push_back(&trial);
  if (trials.empty()) return {};
  std::ranges::stable_sort(trials, std::greater<>(), &TrialResult::accuracy_int8);
  const Json better = chosen.value("recipe", Json());
  const Json control = chosen.value("control", Json());
  const bool is_decided = !control.is_null();
  const search::Recipe own = is_decided ? control.get<search::Recipe>() : search::Recipe{};
  const search::Recipe taken = better.is_null() ? own : better.get<search::Recipe>();
  std::string rows;
  for (const TrialResult* trial : trials) {
    std::string role;
    if (is_decided && *trial->recipe == own) role = "the settings' own";
    if (is_decided && *trial->recipe == taken) role += role.empty() ? "taken" : ", taken";
    fmt::format_to(std::back_inserter(rows), "<tr><td>{}<td>{}<td>{:.2f} %<td>{}<td>{}</tr>", trial->number,
                   escape_xml(search::to_string(*trial->recipe)), trial->accuracy_int8 * 100,
                   escape_xml(search::epochs_text(*trial)), role);
  }
  return "<div><h3>Recipes</h3><p class=muted>One structure, trained and made small in several ways. Another "
         "way than the settings' own is taken for the candidates where it is better by more than the "
         "standard "
         "error of the difference.</p>" +
         scroll("Recipes",
                "<table><thead><tr><th scope=col>trial<th scope=col>recipe<th scope=col>int8 validation<th "
                "scope=col>epochs<th scope=col></tr></thead><tbody>" +
                    rows + "</tbody></table>") +
         "</div>";
}

}  // namespace

std::string exploration_section(const StudyResult& study) {
  const std::vector<const TrialResult*> trials = explored(study);
  if (trials.empty()) return {};
  std::string out = "<section id=explored><h2>What was explored</h2>";
  const Json plan = study.plan_json.empty() ? Json::object() : parse_json(study.plan_json);
  const Json exploration = plan.value("exploration", Json::object());
  fmt::format_to(std::back_inserter(out), "<p>{}, each trained {}; {} above the limits",
                 format_counted(static_cast<int64_t>(trials.size()), "structure"),
                 format_counted(exploration.value("epochs", 1), "epoch"),
                 format_counted(exploration.value("above_limits", int64_t{0}), "more was", "more were"));
  if (const double most = exploration.value("most_epoch_seconds", 0.0); most > 0)
    fmt::format_to(std::back_inserter(out), " or took more than {} an epoch", format_duration(most));
  out += ".</p>" + nearest_misses(exploration) + "<div class=charts><div>" + front_chart(trials) + "</div>";
  add_correlations(out, "What mattered",
                   "Spearman's rank correlation of a structure's numbers with its accuracy when it was "
                   "explored; evolution does not draw evenly, so this tells of what it tried.",
                   search::what_mattered(study));
  add_correlations(out, "How well early signs ranked",
                   "The same with the accuracy after the whole pipeline, of the structures that got it.",
                   search::early_signs(study));
  return out + "</div>" + recipes(study, plan.value("recipe", Json::object())) + "</section>";
}

}  // namespace retort::report
