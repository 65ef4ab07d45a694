// Every trial, a line each.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/units.h"
#include "report/html.h"
#include "report/objectives.h"
#include "report/sections.h"

namespace retort::report {

using search::Outcome;
using search::StudyResult;
using search::TrialResult;

std::vector<const TrialResult*> listed_trials(const StudyResult& study) {
  std::vector<const TrialResult*> listed;
  if (study.trials.size() <= kMostShown) {
    for (const TrialResult& trial : study.trials) listed.push_back(&trial);
    return listed;
  }
  std::set<const TrialResult*> chosen;
  for (const TrialResult* trial : top_trials(study)) chosen.insert(trial);
  for (const Objective& objective : objectives(study))
    for (const TrialResult* trial : front_of(with_cost(study, objective), objective))
      if (chosen.size() < kMostShown / 2) chosen.insert(trial);
  for (const TrialResult& trial : study.trials) {
    if (chosen.size() == kMostShown) break;
    chosen.insert(&trial);
  }
  // They lie in one array, by number.
  return {chosen.begin(), chosen.end()};
}

std::string networks_section(const StudyResult& study) {
  const std::vector<const TrialResult*> listed = listed_trials(study);
  const bool with_latency = has_latency(study);
  std::string table =
      "<table><thead><tr><th scope=col>Network<th scope=col class=left>outcome<th scope=col>quick<th "
      "scope=col>int8 validation<th scope=col class=left>epochs" +
      cost_heads(with_latency) +
      "<th scope=col>MACs<th scope=col>parameters<th scope=col>seconds<th scope=col "
      "class=left>file</tr></thead><tbody>";
  for (const TrialResult* each : listed) {
    const TrialResult& trial = *each;
    std::string outcome(search::to_string(trial.outcome));
    if (trial.effort != search::Effort::Full)
      outcome += fmt::format(" ({})", search::to_string(trial.effort));
    if (!trial.reason.empty()) outcome += ": " + trial.reason;
    if (!trial.diverged.empty()) outcome += "; " + search::divergence_text(trial.diverged);
    fmt::format_to(
        std::back_inserter(table),
        "<tr id=trial-{}{}><td class=name>trial {}: {}<td class='left wrap'>{}<td>{}<td>{}<td "
        "class='left wrap'>{}{}<td>{}<td>{}<td>{:.0f}<td class=left>{}</tr>",
        trial.number, trial.outcome == Outcome::Complete ? "" : " class=quiet", trial.number,
        escape_xml(trial.config), escape_xml(outcome), percent(trial.quick_accuracy),
        percent(trial.accuracy_int8), escape_xml(search::epochs_text(trial)), cost_cells(trial, with_latency),
        format_count(trial.macs), format_integer(trial.parameters), trial.seconds,
        trial.file.empty() ? std::string() : fmt::format("<a href='{0}'>{0}</a>", clean(trial.file)));
  }
  std::string out =
      "<section id=networks><h2>Every network</h2>" + scroll("Every network", table + "</tbody></table>");
  if (study.trials.size() > kMostShown)
    fmt::format_to(std::back_inserter(out),
                   "<p class=muted>{} of {}: the top ones, those on the fronts, then the first; all are in "
                   "<code>trials.csv</code>.</p>",
                   format_integer(static_cast<int64_t>(listed.size())),
                   format_integer(static_cast<int64_t>(study.trials.size())));
  return out + "</section>";
}

}  // namespace retort::report
