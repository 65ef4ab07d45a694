#include "report/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "report/event_file.h"
#include "search/results.h"
#include "search/search.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStructure = "structure";
constexpr const char* kInt8Accuracy = "int8 accuracy";
constexpr std::array kCosts = {"flash bytes", "RAM bytes", "MACs", "parameters", "milliseconds", "sparsity"};

HyperparameterDomain domain_of(const study::Parameter& parameter) {
  const Json attributes = parse_json(parameter.distribution).at("attributes");
  if (!attributes.contains("choices"))
    return {parameter.name, NumberRange{.low = attributes.at("low"), .high = attributes.at("high")}};
  Choices choices;
  for (const Json& choice : attributes.at("choices"))
    choices.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
  return {parameter.name, choices};
}

// Of a categorical one the storage has the index of its choice.
Hyperparameter value_of(const study::Parameter& parameter, const HyperparameterDomain& domain) {
  if (const auto* choices = std::get_if<Choices>(&domain.values))
    return {parameter.name, choices->at(static_cast<size_t>(parameter.value))};
  return {parameter.name, parameter.value};
}

struct Clock {
  double time_seconds = 0;
  int64_t step = 0;
};

void add_stage(EventFile& out, const search::StageResult& stage, Clock& clock) {
  for (const engine::EpochResult& epoch : stage.history.epochs) {
    ++clock.step;
    if (std::isfinite(epoch.seconds)) clock.time_seconds += epoch.seconds;
    for (const auto& [tag, value] : {std::pair{"loss/train", epoch.train_loss},
                                     {"loss/validation", epoch.validation_loss},
                                     {"accuracy/train", epoch.train_accuracy},
                                     {"accuracy/validation", epoch.validation_accuracy}})
      if (!std::isnan(value)) out.scalar(tag, clock.step, value, clock.time_seconds);
  }
}

void add_result(EventFile& out, const search::TrialResult& result, const Clock& clock) {
  const auto add = [&](const char* tag, double value) {
    if (!std::isnan(value)) out.scalar(tag, clock.step, value, clock.time_seconds);
  };
  const std::array<double, kCosts.size()> costs = {
      static_cast<double>(result.footprint.flash_bytes()), static_cast<double>(result.footprint.ram_bytes()),
      static_cast<double>(result.macs), static_cast<double>(result.parameters),
      result.latency ? result.latency->milliseconds : search::kUnknown,
      // Of a file that there is.
      result.outcome == search::Outcome::Complete ? result.sparsity : search::kUnknown};
  add(kInt8Accuracy, result.accuracy_int8);
  for (size_t i = 0; i < costs.size(); ++i) add(kCosts.at(i), costs.at(i));
}

// Adds what is met for the first time to the `domains`.
std::vector<Hyperparameter> hyperparameters_of(const study::TrialDetails& details,
                                               std::vector<HyperparameterDomain>& domains) {
  std::vector<Hyperparameter> values;
  for (const study::Parameter& parameter : details.parameters) {
    auto domain = std::ranges::find(domains, parameter.name, &HyperparameterDomain::name);
    if (domain == domains.end()) domain = domains.insert(domain, domain_of(parameter));
    values.push_back(value_of(parameter, *domain));
  }
  for (const study::Attribute& attribute : details.attributes)
    if (attribute.name == "config")
      values.push_back({kStructure, parse_json(attribute.json).get<std::string>()});
  return values;
}

struct Run {
  std::string name;
  const study::TrialRecord& record;
  std::vector<Hyperparameter> hyperparameters;
};

EventFile events_of(const Run& run, double time_seconds) {
  const study::TrialRecord& record = run.record;
  EventFile events(time_seconds);
  events.session_start(run.name, run.hyperparameters, time_seconds);
  Clock clock{.time_seconds = time_seconds, .step = 0};
  if (study::is_finished(record.state)) {
    const search::TrialResult result = search::stored_result(record);
    for (const search::StageResult& stage : result.stages) add_stage(events, stage, clock);
    add_result(events, result, clock);
    events.session_end(
        record.state == study::TrialState::Failed ? SessionStatus::Failure : SessionStatus::Success,
        clock.time_seconds);
  } else {
    for (const study::StageRecord& stage : record.stages)
      if (const Json stored = parse_json(stage.result); stored.contains("history"))  // not files' hashes
        add_stage(events, stored.get<search::StageResult>(), clock);
  }
  return events;
}

}  // namespace

int export_tensorboard(const study::Storage& storage, const fs::path& folder, double time_seconds) {
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder)))
    throw_usage("{}: is there already; give another name or an empty folder", folder.string());
  const std::string name = fmt::format("events.out.tfevents.{:.0f}.retort", std::floor(time_seconds));
  // A large study is not read at once, nor with queries of its own for each trial.
  constexpr int kTrialsAtOnce = 256;
  const int count = storage.trial_count();
  std::vector<HyperparameterDomain> domains;
  int written = 0;
  for (int first = 0; first < count; first += kTrialsAtOnce) {
    const int last = std::min(count, first + kTrialsAtOnce) - 1;
    const auto records = storage.trials({.first = first, .last = last, .proposals = false});
    const auto details = storage.details(first, last);
    std::vector<Run> runs;
    for (size_t i = 0; i < std::min(records.size(), details.size()); ++i)
      if (records[i].state != study::TrialState::Waiting || !records[i].stages.empty())
        runs.push_back({.name = fmt::format("trial {:04}", records[i].number),
                        .record = records[i],
                        .hyperparameters = hyperparameters_of(details[i], domains)});
    // A disk takes its time for each file, and takes several at once.
    constexpr int kFilesAtOnce = 16;
    parallel_for(runs.size(), 1, kFilesAtOnce, [&](size_t i) {
      write_text_atomic(folder / runs[i].name / name, events_of(runs[i], time_seconds).bytes());
    });
    written += static_cast<int>(runs.size());
  }
  domains.push_back({kStructure, Choices{}});
  std::vector<std::string> metrics = {kInt8Accuracy, "accuracy/validation"};
  metrics.insert(metrics.end(), kCosts.begin(), kCosts.end());
  EventFile table(time_seconds);
  table.experiment(domains, metrics, time_seconds);
  write_text_atomic(folder / name, table.bytes());
  return written;
}

}  // namespace retort::report
