// A copy of Optuna's tables for another version of Optuna.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/temporary.h"
#include "study/database.h"

namespace retort::study {
namespace {

bool is_time(std::string_view column) {
  return column == "datetime_start" || column == "datetime_complete" || column == "heartbeat";
}

// PostgreSQL leaves a fraction's last zeros out, and SQLAlchemy takes the digits that it finds for microseconds.
std::string with_microseconds(std::string time) {
  constexpr size_t kDigits = 6;
  size_t point = time.find('.');
  if (point == std::string::npos) {
    point = time.size();
    time += '.';
  }
  time.append(point + 1 + kDigits - std::min(time.size(), point + 1 + kDigits), '0');
  return time;
}

// Copies the rows of one of Optuna's tables for which `condition` is true of `values`.
void copy_rows(Connection& source, Connection& target, std::string_view table, std::string_view condition,
               std::initializer_list<Value> values) {
  Result found = source.run(fmt::format("SELECT * FROM {} WHERE {} ORDER BY 1", table, condition), values);
  std::vector<std::vector<Value>> rows;
  for (auto& row : found.rows) {
    std::vector<Value>& copied = rows.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      if (row[i] && is_time(found.columns[i])) row[i] = with_microseconds(*std::move(row[i]));
      copied.push_back(row[i] ? Value(std::string_view(*row[i])) : nullptr);
    }
  }
  insert_rows(target, table, fmt::format("\"{}\"", fmt::join(found.columns, "\", \"")), rows);
}

// A part of its trials at a time: those of a large study are gigabytes.
void copy_study(Connection& source, Connection& target, int64_t study) {
  constexpr int64_t kTrialsAtOnce = 256;
  for (const std::string_view table : optuna_table_names())
    if (table == "studies" || table.starts_with("study_"))
      copy_rows(source, target, table, "study_id=$1", {study});
  for (int64_t before = 0;;) {  // ids count from 1
    const Result part = source.run(
        "SELECT max(trial_id) FROM (SELECT trial_id FROM trials WHERE study_id=$1 AND trial_id>$2"
        " ORDER BY trial_id LIMIT $3) AS part",
        {study, before, kTrialsAtOnce});
    if (!part.rows.at(0).at(0)) return;
    const int64_t last = integer(part.rows[0][0]);
    for (const std::string_view table : optuna_table_names())
      if (table == "trials" || table.starts_with("trial_"))
        copy_rows(
            source, target, table,
            "trial_id IN (SELECT trial_id FROM trials WHERE study_id=$1 AND trial_id>$2 AND trial_id<=$3)",
            {study, before, last});
    before = last;
  }
}

// All where none is named.
std::vector<int64_t> ids_of(Database& database, Connection& sql, std::span<const std::string> studies) {
  std::vector<int64_t> ids;
  if (studies.empty())
    for (const auto& row : sql.run("SELECT study_id FROM studies ORDER BY study_id").rows)
      ids.push_back(integer(row[0]));
  for (const std::string& name : studies) {
    const Result found = sql.run("SELECT study_id FROM studies WHERE study_name=$1", {name});
    if (found.rows.empty()) throw_usage("{}: holds no study '{}'", database.name(), name);
    ids.push_back(integer(found.rows[0].at(0)));
  }
  return ids;
}

}  // namespace

void export_for_optuna(std::string_view url, std::string_view optuna_schema,
                       const std::filesystem::path& file, std::span<const std::string> studies) {
  if (optuna_schema != kOptunaSchema && optuna_schema != kOldOptunaSchema)
    throw_usage("--optuna-schema '{}': give {} (Optuna 3.2 and later) or {} (Optuna 3.0 and 3.1)",
                optuna_schema, kOptunaSchema, kOldOptunaSchema);
  if (std::filesystem::exists(file)) throw_usage("{}: is there already; give another name", file.string());
  const auto from = open_database(url, Access::Read);
  // With SQLite's own files beside the copy.
  const StagingFolder staging(file.parent_path());
  constexpr const char* kCopy = "copy.db";
  auto to = open_sqlite(staging.path() / kCopy, Access::Write);
  from->transact(Transaction::Read, [&](Connection& source) {
    to->transact(Transaction::Write, [&](Connection& target) {
      make_optuna_tables(target, to->dialect(), optuna_schema);
      for (const int64_t study : ids_of(*from, source, studies)) copy_study(source, target, study);
    });
  });
  to.reset();  // all of it is in the one file then
  staging.move_out(kCopy, file);
}

}  // namespace retort::study
