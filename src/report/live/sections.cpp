#include "report/live/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "base/units.h"
#include "report/html.h"
#include "report/svg.h"

namespace retort::report {
namespace {

using search::LiveRun;
using search::LiveTask;
using search::LiveTrial;
using search::RunState;

struct StateWords {
  RunState state;
  std::string_view name;  // of a class in live.css
  std::string_view words;
};
constexpr StateWords kStates[] = {
    {RunState::None, "none", "Not begun"},       {RunState::Running, "running", "Running"},
    {RunState::Stopping, "running", "Stopping"}, {RunState::Silent, "silent", "Silent"},
    {RunState::Done, "done", "Finished"},        {RunState::Stopped, "stopped", "Stopped"},
    {RunState::Failed, "failed", "Failed"}};

const StateWords& words_of(RunState state) {
  return *std::ranges::find(kStates, state, &StateWords::state);
}

// "12 s", "3 min", "2 h"; the page's script counts on, in the same words.
std::string age(double seconds) {
  constexpr double kMost = 1e9;  // whatever a clock or a database says
  const auto whole = static_cast<int64_t>(std::clamp(std::isnan(seconds) ? kMost : seconds, 0.0, kMost));
  return fmt::format("<span data-age={}>{}</span>", whole,
                     whole < 60     ? fmt::format("{} s", whole)
                     : whole < 3600 ? fmt::format("{} min", whole / 60)
                                    : fmt::format("{} h", whole / 3600));
}

// `left_out` of those that wait the time had no room for.
std::string counts_text(const LiveRun& run, int left_out) {
  using study::TrialState;
  constexpr std::pair<TrialState, std::string_view> kShown[] = {
      {TrialState::Running, "running"},       {TrialState::Waiting, "waiting"},
      {TrialState::Complete, "complete"},     {TrialState::Skipped, "skipped"},
      {TrialState::Infeasible, "infeasible"}, {TrialState::Failed, "failed"}};
  std::string text;
  const auto add = [&text](int count, std::string_view name) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", format_integer(count), name);
  };
  for (const auto& [state, name] : kShown)
    if (const auto found = run.counts.find(state); found != run.counts.end())
      add(found->second - (state == TrialState::Waiting ? left_out : 0), name);
  add(left_out, "left out for lack of time");
  return text.empty() ? std::string() : "trials: " + text;
}

std::string explanation(const LiveFacts& facts) {
  const LiveRun& run = facts.run;
  switch (run.state) {
    case RunState::None:
      return facts.study ? "No search has told of itself here; what is stored is shown."
                         : "Waiting for a search to begin in this folder. This page shows it when it does.";
    case RunState::Silent:
      return fmt::format(
          "The search on {} (process {}) has said nothing for {}: it was killed, or its machine is asleep or "
          "overloaded. The same command goes on from what is stored.",
          escape_xml(run.host), run.process, age(run.silent_seconds));
    case RunState::Stopping:
      return "It was asked to stop; what is finished is kept.";
    case RunState::Stopped:
      return "The same command goes on from here.";
    case RunState::Failed:
      return "It ended with an error: its terminal says which. The same command goes on from what is stored.";
    case RunState::Running:
    case RunState::Done:
      break;
  }
  return {};
}

std::string button(std::string_view action, std::string_view label) {
  // Named: a press on the one never becomes a press on the other that comes in its place.
  return fmt::format("<form id=form-{0} method=post action={0}><button>{1}</button></form>", action, label);
}

std::string task_row(const LiveTask& task) {
  const bool known = task.total > 0;
  return fmt::format(
      "<tr><th scope=row class=left>{}<td class=left>{}<td class='left wrap'>{}</tr>", clean(task.name),
      known ? fmt::format("<progress max=100 value={0:.0f} aria-label='{1}'></progress> {0:.0f}%",
                          std::clamp(task.done / task.total, 0.0, 1.0) * 100, clean(task.name))
            : std::string("–"),
      clean(task.note));
}

std::string curve(const LiveTrial& trial) {
  std::vector<double> epochs;
  std::vector<double> accuracies;
  for (size_t i = 0; i < trial.accuracies.size(); ++i)
    if (std::isfinite(trial.accuracies[i])) {
      epochs.push_back(static_cast<double>(i + 1));
      accuracies.push_back(trial.accuracies[i] * 100);
    }
  const std::string name = fmt::format("Trial {}", trial.number);
  if (accuracies.empty())
    return fmt::format("<div class=card><span>{}: no epoch has been told of yet</span></div>", name);
  Chart chart(
      fmt::format("{}: {}", name, trial.config),
      Axis{"epoch", 0, static_cast<double>(trial.accuracies.size()) + 0.5, Scale::Linear, Ticks::Whole},
      fitted_axis("validation accuracy, %", accuracies, Scale::Linear));
  for (const auto& [stage, epoch] : trial.stages)
    chart.rule(static_cast<double>(epoch) + 0.5, fmt::format("{} done", stage));
  chart.line(epochs, accuracies, "#0072b2", name);
  chart.point(epochs.back(), accuracies.back(),
              {.colour = "#0072b2", .tooltip = fmt::format("{:.2f}%", accuracies.back())});
  return chart.svg();
}

std::string worker_rows(const std::vector<LiveTrial>& trials) {
  std::string rows;
  for (const LiveTrial& trial : trials) {
    // A lease is renewed four times in its time.
    const bool late = trial.silent_seconds > trial.lease_seconds / 2;
    fmt::format_to(std::back_inserter(rows),
                   "<tr><th scope=row class=left>{}<td>{}<td class='left name'>{}<td "
                   "class=left>{}<td>{}<td>{}<td>{}</tr>",
                   clean(trial.worker), trial.number, clean(trial.config), search::to_string(trial.effort),
                   trial.accuracies.size(), trial.attempt,
                   std::isfinite(trial.silent_seconds)
                       ? fmt::format("{}{} ago", late ? "<b>late:</b> " : "", age(trial.silent_seconds))
                       : "gone (its machine was started anew)");
  }
  return rows;
}

}  // namespace

std::string status_section(const LiveFacts& facts) {
  const LiveRun& run = facts.run;
  const StateWords& words = words_of(run.state);
  std::string out =
      fmt::format("<span class='state {}'>{}</span> <span>{}</span>", words.name,
                  run.state == RunState::None && facts.study ? "Stored" : words.words, clean(facts.folder));
  if (const std::string counts = counts_text(run, facts.study ? facts.study->left_out : 0); !counts.empty())
    out += fmt::format(" <span>{}</span>", counts);
  // A search that takes longer than it thought has no more to say.
  if (const double left = std::round(run.seconds_left.value_or(0)); left > 0)
    out += fmt::format(" <span>about {} left</span>",
                       left < 60 ? fmt::format("{:.0f} s", left) : format_duration(left));
  if (facts.control == Control::Allowed) {
    if (run.state == RunState::Running) out += button("stop", "Stop the search");
    const bool over = run.state == RunState::Done;  // more time alone would give it more to do
    if (facts.study && !over && run.state != RunState::Running && run.state != RunState::Stopping)
      out += button("resume", "Resume the search");
  }
  for (const std::string& text : {explanation(facts), clean(facts.notice)})
    if (!text.empty()) out += fmt::format("<p>{}</p>", text);
  if (!facts.problem.empty()) out += fmt::format("<p>Not read: {}</p>", clean(facts.problem));
  return out;
}

std::string now_section(const LiveFacts& facts) {
  const LiveRun& run = facts.run;
  if (run.tasks.empty() && run.trials.empty()) return {};
  std::string out = "<section id=now><h2>Now</h2>";
  if (!run.tasks.empty()) {
    std::string rows =
        "<table><tr><th class=left scope=col>task<th class=left scope=col>done<th class=left "
        "scope=col>note</tr>";
    for (const LiveTask& task : run.tasks) rows += task_row(task);
    out += scroll("What the search is at", rows + "</table>");
  }
  if (!run.trials.empty()) {
    out +=
        "<h3>Workers and their heartbeats</h3>" +
        scroll("Workers and their heartbeats",
               "<table><tr><th class=left scope=col>worker<th scope=col>trial<th class=left scope=col>network"
               "<th class=left scope=col>training<th scope=col>epochs<th scope=col>attempt<th "
               "scope=col>heartbeat</tr>" +
                   worker_rows(run.trials) + "</table>");
    const auto found = run.counts.find(study::TrialState::Running);
    if (found != run.counts.end() && static_cast<size_t>(found->second) > run.trials.size())
      out += fmt::format("<p class=muted>The first {} of {} that run.</p>", run.trials.size(), found->second);
    constexpr size_t kMostCurves = 8;
    out += "<div class=charts>";
    for (size_t i = 0; i < std::min(run.trials.size(), kMostCurves); ++i)
      out += fmt::format("<div id=curve-{}>{}</div>", run.trials[i].number, curve(run.trials[i]));
    out += "</div>";
  }
  return out + "</section>";
}

std::string files_section(const LiveFacts& facts) {
  if (facts.files.empty()) return {};
  std::string out = "<section id=files><h2>Files</h2><ul>";
  for (const std::string& file : facts.files)
    out += fmt::format("<li><a href='files/{0}' download>{0}</a>", escape_xml(file));
  return out + "</ul></section>";
}

}  // namespace retort::report
