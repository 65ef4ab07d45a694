#include "report/objectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/units.h"
#include "search/results.h"

namespace retort::report {

using search::Outcome;
using search::StudyResult;
using search::TrialResult;

int64_t flash_bytes(const TrialResult& trial) {
  return trial.footprint.flash_bytes() > 0 ? trial.footprint.flash_bytes() : trial.flash_bytes;
}

int64_t ram_bytes(const TrialResult& trial) {
  return trial.footprint.flash_bytes() > 0 ? trial.footprint.ram_bytes() : trial.arena_bytes_cortex_m4;
}

bool has_latency(const StudyResult& study) {
  return std::ranges::any_of(study.trials,
                             [](const TrialResult& trial) { return trial.latency.has_value(); });
}

std::string cost_heads(bool with_latency) {
  return std::string("<th scope=col>flash<th scope=col>RAM") + (with_latency ? "<th scope=col>latency" : "");
}

std::string cost_cells(const TrialResult& trial, bool with_latency) {
  const auto bytes = [](int64_t count) { return count > 0 ? format_bytes(count) : std::string("–"); };
  std::string out = fmt::format("<td>{}<td>{}", bytes(flash_bytes(trial)), bytes(ram_bytes(trial)));
  if (!with_latency) return out;
  // The error below it: tables are wide.
  const std::string text = trial.latency ? cost::latency_text(*trial.latency) : "–";
  const size_t error = std::min(text.find(" ±"), text.size());
  out += "<td>" + text.substr(0, error);
  if (error < text.size()) out += "<span class=change>" + text.substr(error) + "</span>";
  return out;
}

std::vector<const TrialResult*> with_cost(const StudyResult& study, const Objective& objective) {
  std::vector<const TrialResult*> trials;
  for (const TrialResult& trial : study.trials)
    if (trial.outcome == Outcome::Complete && std::isfinite(objective.value(trial))) trials.push_back(&trial);
  return trials;
}

std::vector<Objective> objectives(const StudyResult& study) {
  std::vector<Objective> all = {
      {"flash", "flash, KB (1,024 bytes)",
       [](const TrialResult& trial) { return static_cast<double>(flash_bytes(trial)) / 1024; }},
      {"RAM", "RAM, KB (1,024 bytes)",
       [](const TrialResult& trial) { return static_cast<double>(ram_bytes(trial)) / 1024; }},
      {"multiply-accumulates", "multiply-accumulates an image, thousands",
       [](const TrialResult& trial) { return static_cast<double>(trial.macs) / 1000; }},
      {"time on the board", "an inference, milliseconds (estimated)", [](const TrialResult& trial) {
         return trial.latency ? trial.latency->milliseconds : search::kUnknown;
       }}};
  std::erase_if(all, [&](const Objective& objective) { return with_cost(study, objective).empty(); });
  return all;
}

std::vector<const TrialResult*> front_of(std::vector<const TrialResult*> trials, const Objective& objective) {
  // Trials lie far apart in memory: what orders them is fetched once.
  struct Key {
    double cost;
    double accuracy;
    const TrialResult* trial;
  };
  std::vector<Key> keys;
  keys.reserve(trials.size());
  for (const TrialResult* trial : trials)
    keys.push_back({objective.value(*trial), trial->accuracy_int8, trial});
  std::ranges::sort(keys, {},
                    [](const Key& key) { return std::tuple(key.cost, -key.accuracy, key.trial->number); });
  trials.clear();
  double best = -1;
  for (const Key& key : keys) {
    if (key.accuracy <= best) continue;
    best = key.accuracy;
    trials.push_back(key.trial);
  }
  return trials;
}

}  // namespace retort::report
