#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "study/sql_storage.h"

namespace retort::study {
namespace {

using nlohmann::json;

constexpr std::string_view kConstraints = "constraints";

struct StateNames {
  TrialState state;
  std::string_view name;
  std::string_view optuna;
};
// An infeasible trial has its constraints to tell why.
constexpr std::array<StateNames, 6> kStates = {{{TrialState::Waiting, "WAITING", "WAITING"},
                                                {TrialState::Running, "RUNNING", "RUNNING"},
                                                {TrialState::Complete, "COMPLETE", "COMPLETE"},
                                                {TrialState::Skipped, "SKIPPED", "PRUNED"},
                                                {TrialState::Infeasible, "INFEASIBLE", "PRUNED"},
                                                {TrialState::Failed, "FAILED", "FAIL"}}};

// A column beside it says what it is when it is no number.
double number_of(const Cell& value, const Cell& type) {
  if (type == "NAN") return std::nan("");
  if (type == "INF_POS") return HUGE_VAL;
  if (type == "INF_NEG") return -HUGE_VAL;
  return real(value);
}

}  // namespace

std::string_view optuna_state(TrialState state) {
  return std::ranges::find(kStates, state, &StateNames::state)->optuna;
}

std::string_view to_string(TrialState state) {
  return std::ranges::find(kStates, state, &StateNames::state)->name;
}

TrialState parse_trial_state(std::string_view name) {
  const auto found = std::ranges::find(kStates, name, &StateNames::name);
  if (found == kStates.end()) throw_failure("unknown state of a trial '{}'", name);
  return found->state;
}

int Storage::trial_count() const {
  int count = 0;
  for (const auto& [state, trials] : counts()) count += trials;
  return count;
}

bool SqlStorage::add_trials(int expected_count, std::span<const NewTrial> trials) {
  bool added = false;
  bool tried = false;  // and may have been carried out: the answer was lost
  write([&](Connection& sql) {
    check_lead(sql);
    // Whoever adds trials holds the study's row.
    sql.run("SELECT study_id FROM studies WHERE study_id=$1" + std::string(database_->dialect().for_update),
            {study_});
    const int count =
        integer(sql.run("SELECT coalesce(max(number)+1, 0) FROM retort_trials WHERE study_id=$1", {study_})
                    .rows.at(0)
                    .at(0));
    added = count == expected_count;
    if (added && !trials.empty()) insert_trials(sql, count, trials);
    if (tried && !added) added = has_trials(sql, expected_count, trials);
    tried = true;
  });
  return added;
}

bool SqlStorage::has_trials(Connection& sql, int first, std::span<const NewTrial> trials) const {
  const Result there =
      sql.run("SELECT proposal FROM retort_trials WHERE study_id=$1 AND number>=$2 ORDER BY number",
              {study_, int64_t{first}});
  return there.rows.size() == trials.size() &&
         std::ranges::equal(there.rows, trials, [](const std::vector<Cell>& row, const NewTrial& trial) {
           return row.at(0) == trial.proposal;
         });
}

void SqlStorage::insert_trials(Connection& sql, int first, std::span<const NewTrial> trials) {
  Rows rows;
  for (size_t i = 0; i < trials.size(); ++i)
    rows.push_back({study_, static_cast<int64_t>(first) + static_cast<int64_t>(i), "WAITING"});
  const Result ids =
      insert_rows(sql, "trials", "study_id, number, state", rows, "RETURNING trial_id, number");
  std::vector<int64_t> trial_ids(trials.size());
  for (const auto& row : ids.rows)
    trial_ids.at(static_cast<size_t>(integer(row[1]) - first)) = integer(row[0]);

  std::vector<std::string> constraints;
  for (const NewTrial& trial : trials) constraints.push_back(dump_json(json(trial.constraints)));
  rows.clear();
  Rows parameters;
  Rows attributes;
  Rows system_attributes;
  for (size_t i = 0; i < trials.size(); ++i) {
    const NewTrial& trial = trials[i];
    const int64_t id = trial_ids[i];
    rows.push_back(
        {id, study_, static_cast<int64_t>(first) + static_cast<int64_t>(i), "WAITING", trial.proposal});
    for (const Parameter& parameter : trial.parameters)
      parameters.push_back({id, parameter.name, parameter.value, parameter.distribution});
    for (const Attribute& attribute : trial.attributes)
      attributes.push_back({id, attribute.name, attribute.json});
    if (!trial.constraints.empty()) system_attributes.push_back({id, kConstraints, constraints[i]});
  }
  insert_rows(sql, "retort_trials", "trial_id, study_id, number, state, proposal", rows);
  insert_rows(sql, "trial_params", "trial_id, param_name, param_value, distribution_json", parameters);
  put_attributes(sql, "trial_user_attributes", attributes);
  put_attributes(sql, "trial_system_attributes", system_attributes);
}

void SqlStorage::put_attributes(Connection& sql, std::string_view table, const Rows& rows) {
  insert_rows(sql, table, "trial_id, \"key\", value_json", rows,
              "ON CONFLICT (trial_id, \"key\") DO UPDATE SET value_json=excluded.value_json");
}

std::vector<TrialRecord> SqlStorage::trials(const Reading& reading) const {
  std::vector<TrialRecord> out;
  read([&](Connection& sql) { out = find_trials(sql, reading); });
  return out;
}

TrialRecord SqlStorage::trial(int number) const {
  std::vector<TrialRecord> out = trials({.first = number, .last = number});
  if (out.empty()) throw_failure("{}: there is no trial {}", database_->name(), number);
  return std::move(out.front());
}

std::vector<TrialRecord> SqlStorage::find_trials(Connection& sql, const Reading& reading) const {
  std::vector<TrialRecord> out;
  Result rows = sql.run(fmt::format("SELECT number, state, {}, {} FROM retort_trials"
                                    " WHERE study_id=$1 AND number BETWEEN $2 AND $3 ORDER BY number",
                                    reading.proposals ? "proposal" : "''", reading.results ? "result" : "''"),
                        {study_, int64_t{reading.first}, int64_t{reading.last}});
  out.reserve(rows.rows.size());
  for (std::vector<Cell>& row : rows.rows)
    out.push_back({.number = integer(row[0]),
                   .state = parse_trial_state(row[1].value_or("")),
                   .proposal = std::move(row[2]).value_or(""),
                   .result = std::move(row[3]).value_or(""),
                   .stages = {}});
  if (reading.stages == Stages::None) return out;
  rows = sql.run(
      fmt::format(
          "SELECT t.number, s.name, {} FROM retort_stages s JOIN retort_trials t ON t.trial_id=s.trial_id"
          " WHERE t.study_id=$1 AND t.number BETWEEN $2 AND $3 ORDER BY t.number, s.position",
          reading.stages == Stages::Whole ? "s.result" : "''"),
      {study_, int64_t{reading.first}, int64_t{reading.last}});
  // Numbers have no gaps: a trial's number tells its place.
  for (std::vector<Cell>& row : rows.rows)
    out.at(static_cast<size_t>(integer(row[0]) - reading.first))
        .stages.push_back({std::move(row[1]).value_or(""), std::move(row[2]).value_or("")});
  return out;
}

std::map<TrialState, int> SqlStorage::counts() const {
  std::map<TrialState, int> out;
  read([&](Connection& sql) {
    out.clear();
    for (const auto& row :
         sql.run("SELECT state, count(*) FROM retort_trials WHERE study_id=$1 GROUP BY state", {study_}).rows)
      out[parse_trial_state(row[0].value_or(""))] = integer(row[1]);
  });
  return out;
}

int SqlStorage::unfinished(int below) const {
  int count = 0;
  read([&](Connection& sql) {
    count = integer(
        sql.run("SELECT count(*) FROM retort_trials WHERE study_id=$1 AND state IN ('WAITING', 'RUNNING')"
                " AND number<$2",
                {study_, int64_t{below}})
            .rows.at(0)
            .at(0));
  });
  return count;
}

TrialDetails SqlStorage::details(int number) const {
  TrialDetails out;
  read([&](Connection& sql) {
    out = {};
    const Result found = sql.run("SELECT trial_id FROM retort_trials WHERE study_id=$1 AND number=$2",
                                 {study_, int64_t{number}});
    if (found.rows.empty()) throw_failure("{}: there is no trial {}", database_->name(), number);
    const int64_t trial = integer(found.rows[0].at(0));
    for (const auto& row : sql.run("SELECT param_name, distribution_json, param_value FROM trial_params"
                                   " WHERE trial_id=$1 ORDER BY param_name",
                                   {trial})
                               .rows)
      out.parameters.push_back({row[0].value_or(""), row[1].value_or(""), real(row[2])});
    for (const auto& row : sql.run("SELECT step, intermediate_value, intermediate_value_type FROM"
                                   " trial_intermediate_values WHERE trial_id=$1 ORDER BY step",
                                   {trial})
                               .rows)
      out.intermediate_values.push_back({integer(row[0]), number_of(row[1], row[2])});
    for (const auto& row :
         sql.run("SELECT value, value_type FROM trial_values WHERE trial_id=$1 ORDER BY objective", {trial})
             .rows)
      out.values.push_back(number_of(row[0], row[1]));
    for (const auto& row : sql.run("SELECT value_json FROM trial_system_attributes WHERE trial_id=$1 AND"
                                   " \"key\"=$2",
                                   {trial, kConstraints})
                               .rows)
      out.constraints = parse_json(row[0].value_or("[]")).get<std::vector<double>>();
    for (const auto& row :
         sql.run("SELECT \"key\", value_json FROM trial_user_attributes WHERE trial_id=$1 ORDER BY \"key\"",
                 {trial})
             .rows)
      out.attributes.push_back({row[0].value_or(""), row[1].value_or("")});
  });
  return out;
}

}  // namespace retort::study
