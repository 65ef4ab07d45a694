// Optuna's thirteen tables and Retort's beside them.
//
// Optuna's are those that Optuna itself makes (optuna/storages/_rdb/models.py), at schema version 12, which
// all of Optuna since 3.0 share; the alembic version says which of its migrations have run. From v3.0.0.d to
// v3.2.0.a that is one index.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "study/database.h"

namespace retort::study {
namespace {

struct Table {
  std::string_view name;
  std::string_view columns;
};

constexpr std::array<Table, 13> kOptunaTables = {{
    {"studies", "study_id {id}, study_name VARCHAR(512) NOT NULL"},
    {"version_info",
     "version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id=1), schema_version INTEGER,"
     " library_version VARCHAR(256)"},
    {"study_directions",
     "study_direction_id {id}, direction {direction} NOT NULL,"
     " study_id INTEGER NOT NULL REFERENCES studies(study_id), objective INTEGER NOT NULL,"
     " UNIQUE (study_id, objective)"},
    {"study_user_attributes",
     "study_user_attribute_id {id}, study_id INTEGER REFERENCES studies(study_id), \"key\" VARCHAR(512),"
     " value_json TEXT, UNIQUE (study_id, \"key\")"},
    {"study_system_attributes",
     "study_system_attribute_id {id}, study_id INTEGER REFERENCES studies(study_id), \"key\" VARCHAR(512),"
     " value_json TEXT, UNIQUE (study_id, \"key\")"},
    {"trials",
     "trial_id {id}, number INTEGER, study_id INTEGER REFERENCES studies(study_id),"
     " state {trial_state} NOT NULL, datetime_start {time}, datetime_complete {time}"},
    {"trial_user_attributes",
     "trial_user_attribute_id {id}, trial_id INTEGER REFERENCES trials(trial_id), \"key\" VARCHAR(512),"
     " value_json TEXT, UNIQUE (trial_id, \"key\")"},
    {"trial_system_attributes",
     "trial_system_attribute_id {id}, trial_id INTEGER REFERENCES trials(trial_id), \"key\" VARCHAR(512),"
     " value_json TEXT, UNIQUE (trial_id, \"key\")"},
    {"trial_params",
     "param_id {id}, trial_id INTEGER REFERENCES trials(trial_id), param_name VARCHAR(512),"
     " param_value {real}, distribution_json TEXT, UNIQUE (trial_id, param_name)"},
    {"trial_values",
     "trial_value_id {id}, trial_id INTEGER NOT NULL REFERENCES trials(trial_id), objective INTEGER NOT NULL,"
     " value {real}, value_type {value_type} NOT NULL, UNIQUE (trial_id, objective)"},
    {"trial_intermediate_values",
     "trial_intermediate_value_id {id}, trial_id INTEGER NOT NULL REFERENCES trials(trial_id),"
     " step INTEGER NOT NULL, intermediate_value {real}, intermediate_value_type {intermediate_type} NOT "
     "NULL,"
     " UNIQUE (trial_id, step)"},
    {"trial_heartbeats",
     "trial_heartbeat_id {id}, trial_id INTEGER NOT NULL REFERENCES trials(trial_id), heartbeat {time} NOT "
     "NULL,"
     " UNIQUE (trial_id)"},
    {"alembic_version", "version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY"},
}};

// `state` is ours, of which trials.state is Optuna's view; `attempt` counts claims and `crashes` the trial's
// own errors; `worker` is who claimed it last (`rung` is of earlier versions). A trial has a lease while it is RUNNING; its
// token tells a claim whose answer was lost what it has claimed. `fence` grows with each who takes a study's lead.
constexpr Table kCheckpoints = {
    "retort_checkpoints",
    "trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials(trial_id), worker TEXT NOT NULL,"
    " sha256 TEXT NOT NULL"};
constexpr Table kLeads = {
    "retort_leads",
    "study_id INTEGER NOT NULL PRIMARY KEY REFERENCES studies(study_id), leader TEXT NOT NULL,"
    " fence INTEGER NOT NULL, clock TEXT NOT NULL, beat_at {real} NOT NULL, seconds {real} NOT NULL"};
constexpr std::array<Table, 8> kRetortTables = {{
    {"retort_version", "version INTEGER NOT NULL PRIMARY KEY"},
    {"retort_documents",
     "study_id INTEGER NOT NULL REFERENCES studies(study_id), \"key\" TEXT NOT NULL, json TEXT NOT NULL,"
     " PRIMARY KEY (study_id, \"key\")"},
    {"retort_trials",
     "trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials(trial_id),"
     " study_id INTEGER NOT NULL REFERENCES studies(study_id), number INTEGER NOT NULL, state TEXT NOT NULL,"
     " attempt INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, rung INTEGER NOT NULL DEFAULT "
     "0,"
     " worker TEXT NOT NULL DEFAULT '', proposal TEXT NOT NULL, result TEXT NOT NULL DEFAULT '',"
     " UNIQUE (study_id, number)"},
    {"retort_leases",
     "trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials(trial_id), worker TEXT NOT NULL,"
     " attempt INTEGER NOT NULL, clock TEXT NOT NULL, beat_at {real} NOT NULL, seconds {real} NOT NULL,"
     " token TEXT NOT NULL DEFAULT ''"},
    {"retort_stages",
     "trial_id INTEGER NOT NULL REFERENCES trials(trial_id), name TEXT NOT NULL, position INTEGER NOT NULL,"
     " result TEXT NOT NULL, PRIMARY KEY (trial_id, name)"},
    {"retort_artefacts", "sha256 TEXT NOT NULL PRIMARY KEY, bytes {bytes} NOT NULL"},
    kCheckpoints,
    kLeads,
}};

constexpr int kOptunaSchemaVersion = 12;
constexpr std::string_view kOptunaLibraryVersion = "3.0.0";  // the oldest that shares the schema

void make(Connection& connection, const Dialect& dialect, const Table& table) {
  const std::string columns = fmt::format(
      fmt::runtime(table.columns), fmt::arg("id", dialect.id), fmt::arg("time", dialect.time),
      fmt::arg("real", dialect.real), fmt::arg("bytes", dialect.bytes),
      fmt::arg("direction", dialect.direction), fmt::arg("trial_state", dialect.trial_state),
      fmt::arg("value_type", dialect.value_type), fmt::arg("intermediate_type", dialect.intermediate_type));
  connection.run(fmt::format("CREATE TABLE {} ({})", table.name, columns));
}

}  // namespace

std::span<const std::string_view> optuna_table_names() {
  static const auto names = [] {
    std::array<std::string_view, kOptunaTables.size()> out;
    std::ranges::transform(kOptunaTables, out.begin(), &Table::name);
    return out;
  }();
  return names;
}

bool is_table_name(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::ranges::find(kOptunaTables, lower, &Table::name) != kOptunaTables.end() ||
         std::ranges::find(kRetortTables, lower, &Table::name) != kRetortTables.end();
}

void make_optuna_tables(Connection& connection, const Dialect& dialect, std::string_view optuna_schema) {
  for (const std::string_view statement : dialect.prelude) connection.run(std::string(statement));
  for (const Table& table : kOptunaTables) make(connection, dialect, table);
  connection.run("CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name)");
  if (optuna_schema == kOptunaSchema) connection.run("CREATE INDEX ix_trials_study_id ON trials (study_id)");
  connection.run("INSERT INTO version_info VALUES (1, $1, $2)",
                 {int64_t{kOptunaSchemaVersion}, kOptunaLibraryVersion});
  connection.run("INSERT INTO alembic_version VALUES ($1)", {optuna_schema});
}

void make_retort_tables(Connection& connection, const Dialect& dialect) {
  for (const Table& table : kRetortTables) make(connection, dialect, table);
  connection.run("CREATE INDEX retort_trials_state ON retort_trials (study_id, state, number)");
  connection.run("INSERT INTO retort_version VALUES ($1)", {int64_t{kVersion}});
}

void upgrade_retort_tables(Connection& connection, const Dialect& dialect, int version) {
  if (version < 3) make(connection, dialect, kCheckpoints);
  if (version < 4) {
    make(connection, dialect, kLeads);
    connection.run("ALTER TABLE retort_leases ADD COLUMN token TEXT NOT NULL DEFAULT ''");
  }
  connection.run("UPDATE retort_version SET version=$1", {int64_t{kVersion}});
}

}  // namespace retort::study
