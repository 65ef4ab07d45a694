#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "study/sql_storage.h"

namespace retort::study {
namespace {

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
  for (const NewTrial& trial : trials) constraints.push_back(dump_json(Json(trial.constraints)));
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
  const std::string which = std::string("t.study_id=$1 AND t.number BETWEEN $2 AND $3") +
                            (reading.finished ? "" : " AND t.state IN ('WAITING', 'RUNNING')");
  Result rows =
      sql.run(fmt::format("SELECT number, state, {}, {} FROM retort_trials t WHERE {} ORDER BY number",
                          reading.proposals ? "proposal" : "''", reading.results ? "result" : "''", which),
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
          " WHERE {} ORDER BY t.number, s.position",
          reading.stages == Stages::Whole ? "s.result" : "''", which),
      {study_, int64_t{reading.first}, int64_t{reading.last}});
  auto trial = out.begin();
  for (std::vector<Cell>& row : rows.rows) {
    const int number = integer(row[0]);
    trial = std::ranges::lower_bound(trial, out.end(), number, {}, &TrialRecord::number);
    if (trial == out.end() || trial->number != number)
      throw_failure("{}: the order of the trials' numbers is damaged", database_->name());
    trial->stages.push_back({std::move(row[1]).value_or(""), std::move(row[2]).value_or("")});
  }
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

std::vector<TrialDetails> SqlStorage::details(int first, int last) const {
  std::vector<TrialDetails> out;
  read([&](Connection& sql) {
    std::map<int, TrialDetails> found;  // by number
    for (const auto& row :
         sql.run("SELECT number FROM retort_trials WHERE study_id=$1 AND number BETWEEN $2 AND $3",
                 {study_, int64_t{first}, int64_t{last}})
             .rows)
      found[integer(row[0])];
    // Calls `put` with the details of a row's trial and its other columns.
    const auto read_rows = [&](std::string_view columns, std::string_view table, std::string_view order,
                               const auto& put) {
      for (const auto& row :
           sql.run(fmt::format("SELECT t.number, {} FROM retort_trials t JOIN {} d ON d.trial_id=t.trial_id"
                               " WHERE t.study_id=$1 AND t.number BETWEEN $2 AND $3 ORDER BY t.number, {}",
                               columns, table, order),
                   {study_, int64_t{first}, int64_t{last}})
               .rows)
        put(found[integer(row[0])], std::span(row).subspan(1));
    };
    using Columns = std::span<const Cell>;
    read_rows("d.param_name, d.distribution_json, d.param_value", "trial_params", "d.param_name",
              [](TrialDetails& trial, Columns row) {
                trial.parameters.push_back({row[0].value_or(""), row[1].value_or(""), real(row[2])});
              });
    read_rows("d.step, d.intermediate_value, d.intermediate_value_type", "trial_intermediate_values",
              "d.step", [](TrialDetails& trial, Columns row) {
                trial.intermediate_values.push_back({integer(row[0]), number_of(row[1], row[2])});
              });
    read_rows("d.value, d.value_type", "trial_values", "d.objective",
              [](TrialDetails& trial, Columns row) { trial.values.push_back(number_of(row[0], row[1])); });
    read_rows("d.\"key\", d.value_json", "trial_system_attributes", "d.\"key\"",
              [](TrialDetails& trial, Columns row) {
                if (row[0] == kConstraints)
                  trial.constraints = parse_json(row[1].value_or("[]")).get<std::vector<double>>();
              });
    read_rows("d.\"key\", d.value_json", "trial_user_attributes", "d.\"key\"",
              [](TrialDetails& trial, Columns row) {
                trial.attributes.push_back({row[0].value_or(""), row[1].value_or("")});
              });
    out.clear();
    for (auto& [number, details] : found) out.push_back(std::move(details));
  });
  return out;
}

TrialDetails SqlStorage::details(int number) const {
  std::vector<TrialDetails> out = details(number, number);
  if (out.empty()) throw_failure("{}: there is no trial {}", database_->name(), number);
  return std::move(out.front());
}

}  // namespace retort::study
