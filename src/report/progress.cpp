// How the search went: the best over time, the notebook's figure, training curves.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/units.h"
#include "report/html.h"
#include "report/report.h"
#include "report/sections.h"
#include "report/svg.h"

namespace retort::report {
namespace {

using search::Effort;
using search::Outcome;
using search::StudyResult;
using search::TrialResult;

constexpr const char* kGrey = "#8a8a96";

double megabytes(int64_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

// What a trial got of the training, as colours tell it.
struct Kind {
  const char* name;
  const char* colour;
  bool (*is)(const TrialResult&);
};
constexpr std::array kKinds = {
    Kind{"explored", kGrey, [](const TrialResult& t) { return t.effort == Effort::Explore && t.parent < 0; }},
    Kind{"explored, changed", "#0072b2",
         [](const TrialResult& t) { return t.effort == Effort::Explore && t.parent >= 0; }},
    Kind{"heat", "#e69f00", [](const TrialResult& t) { return t.effort == Effort::Heat; }},
    Kind{"recipe", "#cc79a7", [](const TrialResult& t) { return t.effort == Effort::Recipe; }},
    Kind{"all stages", "#009e73", [](const TrialResult& t) { return t.effort == Effort::Full; }}};

// Trials in their order over what has been spent on them so far, on one core each.
std::string progress_chart(const StudyResult& study) {
  std::vector<double> spent;
  std::vector<const TrialResult*> trials;
  double seconds = 0;
  for (const TrialResult& trial : study.trials) {
    seconds += trial.seconds;
    if (trial.outcome != Outcome::Complete) continue;
    spent.push_back(seconds);
    trials.push_back(&trial);
  }
  const auto [unit, length] = seconds < 600     ? std::pair("seconds", 1.0)
                              : seconds < 36000 ? std::pair("minutes", 60.0)
                                                : std::pair("hours", 3600.0);
  std::vector<double> accuracies;
  for (const TrialResult* trial : trials) accuracies.push_back(trial->accuracy_int8 * 100);
  Chart chart("The best so far",
              Axis{fmt::format("time of one core spent on trainings, {}", unit), 0,
                   std::max(seconds / length * 1.02, 1e-3), Scale::Linear},
              fitted_axis("int8 validation accuracy, %", accuracies, Scale::Linear));
  std::vector<double> x;
  std::vector<double> y;
  const size_t every = trials.size() / kMostShown + 1;
  std::array<bool, kKinds.size()> seen{};
  for (size_t i = 0; i < trials.size(); ++i) {
    const bool better = y.empty() || accuracies[i] > y.back();
    if (better) {
      if (!y.empty()) {
        x.push_back(spent[i] / length);
        y.push_back(y.back());
      }
      x.push_back(spent[i] / length);
      y.push_back(accuracies[i]);
    }
    if (i % every != 0 && !better) continue;
    const auto kind = static_cast<size_t>(
        std::ranges::find_if(kKinds, [&](const Kind& one) { return one.is(*trials[i]); }) - kKinds.begin());
    seen.at(kind) = true;
    chart.point(spent[i] / length, accuracies[i],
                {.radius = 4,
                 .colour = kKinds.at(kind).colour,
                 .tooltip = fmt::format("trial {}: {}; {}, after {}", trials[i]->number, trials[i]->config,
                                        percent(trials[i]->accuracy_int8), format_duration(spent[i]))});
  }
  if (!y.empty()) {
    x.push_back(seconds / length);
    y.push_back(y.back());
  }
  chart.line(x, y, "#d55e00", "the best so far");
  std::vector<std::string> names = {"best so far"};
  std::vector<std::string> colours = {"#d55e00"};
  for (size_t k = 0; k < kKinds.size(); ++k) {
    if (!seen.at(k)) continue;
    names.emplace_back(kKinds.at(k).name);
    colours.emplace_back(kKinds.at(k).colour);
  }
  chart.legend(names, colours);
  return chart.svg();
}

// Validation accuracy over all epochs of all stages, end to end, for the top models.
std::string curves_chart(const std::vector<const TrialResult*>& top) {
  std::vector<ValidationCurve> curves;
  std::vector<double> all;
  double longest = 1;
  for (size_t i = 0; i < std::min(top.size(), kTopColours.size()); ++i) {
    curves.push_back(validation_curve(*top[i]));
    const std::vector<double>& percents = curves.back().percents;
    all.insert(all.end(), percents.begin(), percents.end());
    longest = std::max(longest, static_cast<double>(curves.back().length));
  }
  Axis x{"epoch, all stages (the best model's are named)", 0, longest + 0.5, Scale::Linear, Ticks::Whole};
  Chart chart("Validation accuracy through the stages", std::move(x),
              fitted_axis("validation accuracy, %", all, Scale::Linear));
  if (!curves.empty())
    for (const auto& [start, name] : curves.front().starts) chart.rule(start + 0.5, name);
  std::vector<std::string> names;
  std::vector<std::string> colours;
  for (size_t i = 0; i < curves.size(); ++i) {
    names.push_back(fmt::format("Model {}", i + 1));
    chart.line(curves[i].epochs, curves[i].percents, kTopColours.at(i), names.back() + ": " + top[i]->config);
    colours.emplace_back(kTopColours.at(i));
  }
  chart.legend(names, colours);
  return chart.svg();
}

// What rounding to int8 took or gave: every model that went through all stages.
std::string quantising_chart(const StudyResult& study) {
  std::vector<const TrialResult*> trials;
  std::vector<double> before;
  std::vector<double> both;
  for (const TrialResult& trial : study.trials)
    if (trial.outcome == Outcome::Complete && trial.effort == Effort::Full &&
        std::isfinite(trial.accuracy_float)) {
      trials.push_back(&trial);
      before.push_back(trial.accuracy_float * 100);
      both.push_back(before.back());
      both.push_back(trial.accuracy_int8 * 100);
    }
  if (trials.empty()) return {};
  const Axis x = fitted_axis("float accuracy before quantising, %", both, Scale::Linear);
  const Axis y = fitted_axis("int8 accuracy of the file, %", both, Scale::Linear);
  Chart chart("Float against int8, on validation", x, y);
  chart.line({x.low, x.high}, {x.low, x.high}, kGrey, "on this line int8 is as accurate as float");
  const size_t every = trials.size() / kMostShown + 1;
  for (size_t i = 0; i < trials.size(); i += every) {
    const TrialResult& trial = *trials[i];
    const auto rank = static_cast<size_t>(std::ranges::find(study.top, trial.number) - study.top.begin());
    const bool in_top = rank < std::min(kTopColours.size(), study.top.size());
    chart.point(
        before[i], trial.accuracy_int8 * 100,
        {.radius = in_top ? 7.0 : 5.0,
         .colour = in_top ? kTopColours.at(rank) : kGrey,
         .tooltip = fmt::format("trial {}: {}; float {}, int8 {} ({:+.2f} points)", trial.number,
                                trial.config, percent(trial.accuracy_float), percent(trial.accuracy_int8),
                                (trial.accuracy_int8 - trial.accuracy_float) * 100)});
  }
  return chart.svg();
}

}  // namespace

ValidationCurve validation_curve(const TrialResult& trial) {
  ValidationCurve curve;
  for (const search::StageResult& stage : trial.stages) {
    curve.starts.emplace_back(static_cast<double>(curve.length), stage.name);
    for (const engine::EpochResult& epoch : stage.history.epochs) {
      ++curve.length;
      if (!std::isfinite(epoch.validation_accuracy)) continue;
      curve.epochs.push_back(static_cast<double>(curve.length));
      curve.percents.push_back(epoch.validation_accuracy * 100);
    }
  }
  return curve;
}

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
              fitted_axis("Accuracy", accuracies, Scale::Linear), Chart::Side::ColourBar);
  if (!top.empty()) {
    const auto [low, high] = std::ranges::minmax(sizes);
    chart.colour_bar("Model Size (MB)", low, high);
    for (size_t i = 0; i < top.size(); ++i) {
      const double t = high > low ? (sizes[i] - low) / (high - low) : 0.5;
      chart.point(parameters[i], accuracies[i],
                  {.radius = 6,
                   .colour = viridis(t),
                   .tooltip = fmt::format("Model {}: {}, accuracy {:.4f}, {:.3f} MB, {} parameters", i + 1,
                                          top[i]->config, accuracies[i], sizes[i], top[i]->parameters)});
      chart.annotate(parameters[i], accuracies[i], 7, -7, fmt::format("Model {}", i + 1));
    }
  }
  return chart.svg();
}

std::string progress_section(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  if (top.empty()) return {};
  std::string out = "<section id=progress><h2>How the search went</h2><div class=charts>";
  for (const std::string& chart :
       {progress_chart(study), curves_chart(top), scatter_svg(study), quantising_chart(study)})
    if (!chart.empty()) out += "<div>" + chart + "</div>";
  return out + "</div></section>";
}

}  // namespace retort::report
