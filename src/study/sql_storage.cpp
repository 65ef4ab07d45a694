#include "study/sql_storage.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetricNames = "study:metric_names";

std::string metric_names(const std::vector<Objective>& objectives) {
  Json names = Json::array();
  for (const Objective& objective : objectives) names.push_back(objective.name);
  return dump_json(names);
}

}  // namespace

SqlStorage::SqlStorage(std::shared_ptr<Database> database, Place place, Access access,
                       const std::vector<Objective>* objectives)
    : database_(std::move(database)), place_(std::move(place)), access_(access) {
  if (objectives == nullptr) {
    read([&](Connection& sql) {
      check_tables(sql);
      const auto id = find_study(sql);
      if (!id) throw_usage("{}: holds no study '{}'", database_->name(), place_.study);
      study_ = *id;
    });
    return;
  }
  write([&](Connection& sql) {
    make_tables(sql);
    make_study(sql, *objectives);
  });
}

std::unique_ptr<Storage> SqlStorage::beside(std::string_view study,
                                            const std::vector<Objective>& objectives) const {
  Place place = place_;
  place.study = study;
  return std::make_unique<SqlStorage>(database_, std::move(place), access_, &objectives);
}

void SqlStorage::read(const std::function<void(Connection&)>& body) const {
  transact(Transaction::Read, body);
}

void SqlStorage::write(const std::function<void(Connection&)>& body) {
  if (access_ == Access::Read) throw_failure("{}: was opened to read only", database_->name());
  transact(Transaction::Write, body);
}

void SqlStorage::transact(Transaction kind, const std::function<void(Connection&)>& body) const {
  try {
    database_->transact(kind, body);
  } catch (const Json::exception& error) {
    throw_failure("{}: the study's database is damaged: {}", database_->name(), error.what());
  } catch (const std::out_of_range&) {
    throw_failure("{}: the study's database is damaged: rows are missing in it", database_->name());
  }
}

void SqlStorage::put_document(std::string_view key, std::string_view text) {
  write([&](Connection& sql) {
    check_lead(sql);
    sql.run(
        "INSERT INTO retort_documents VALUES ($1, $2, $3)"
        " ON CONFLICT (study_id, \"key\") DO UPDATE SET json=excluded.json",
        {study_, key, text});
  });
}

std::optional<std::string> SqlStorage::document(std::string_view key) const {
  std::optional<std::string> found;
  read([&](Connection& sql) { found = find_document(sql, key); });
  return found;
}

std::vector<Objective> SqlStorage::objectives() const {
  std::vector<Objective> out;
  read([&](Connection& sql) { out = find_objectives(sql); });
  return out;
}

std::string SqlStorage::put_artefact(std::span<const uint8_t> bytes) {
  std::string sha256 = sha256_hex(bytes);
  if (!place_.artefacts.empty())
    write_file_atomic(place_.artefacts / sha256, bytes);
  else
    write([&](Connection& sql) {
      sql.run("INSERT INTO retort_artefacts VALUES ($1, $2) ON CONFLICT DO NOTHING", {sha256, bytes});
    });
  return sha256;
}

std::vector<uint8_t> SqlStorage::artefact(std::string_view sha256) const {
  std::vector<uint8_t> bytes;
  std::string where = database_->name();
  const fs::path file = place_.artefacts / std::string(sha256);
  if (!place_.artefacts.empty() && fs::exists(file)) {
    where = file.string();
    bytes = read_file(file);
  } else {
    bool found = false;
    read([&](Connection& sql) {
      const Result result = sql.run("SELECT bytes FROM retort_artefacts WHERE sha256=$1", {sha256});
      found = !result.rows.empty();
      if (!found) return;
      const std::string& text = result.rows[0].at(0).value();  // NOLINT: the column has no nulls
      bytes.assign(text.begin(), text.end());
    });
    if (!found)
      throw_failure("{}: the artefact {:.12}… is missing", place_.artefacts.empty() ? where : file.string(),
                    sha256);
  }
  if (sha256_hex(bytes) != sha256) throw_failure("{}: the artefact {:.12}… is damaged", where, sha256);
  return bytes;
}

void SqlStorage::make_tables(Connection& sql) {
  database_->lock_schema(sql);
  if (!database_->has_table(sql, "retort_version")) {
    const bool has_optuna =
        database_->has_table(sql, "alembic_version") && database_->has_table(sql, "studies");
    if (!has_optuna) {
      refuse_earlier_format(sql);
      if (!database_->is_empty(sql))
        throw_failure("{}: is a database of another program; start in another folder", database_->name());
      make_optuna_tables(sql, database_->dialect(), kOptunaSchema);
    }
    make_retort_tables(sql, database_->dialect());
  }
  if (const int version = check_tables(sql); version < kVersion)
    upgrade_retort_tables(sql, database_->dialect(), version);
}

void SqlStorage::refuse_earlier_format(Connection& sql) {
  if (database_->has_table(sql, "document") && database_->has_table(sql, "stage"))
    throw_failure(
        "{}: was written by an earlier version of this program (format 1, this one knows {}); start in "
        "another "
        "folder",
        database_->name(), kVersion);
}

int SqlStorage::check_tables(Connection& sql) {
  if (!database_->has_table(sql, "retort_version")) {
    refuse_earlier_format(sql);
    // A worker that came before its search.
    if (database_->is_empty(sql)) throw_usage("{}: holds no study '{}'", database_->name(), place_.study);
    throw_failure("{}: is a database of another program; start in another folder", database_->name());
  }
  const int version = integer(sql.run("SELECT version FROM retort_version").rows.at(0).at(0));
  if (version < kOldestVersion || version > kVersion)
    throw_failure("{}: was written by another version of this program (format {}, this one knows {})",
                  database_->name(), version, kVersion);
  const std::string schema = sql.run("SELECT version_num FROM alembic_version").rows.at(0).at(0).value_or("");
  if (schema != kOptunaSchema)
    throw_failure(
        "{}: has Optuna's tables of version {}, and this program knows {}: upgrade them with "
        "`optuna storage upgrade`, or give another database",
        database_->name(), schema, kOptunaSchema);
  return version;
}

std::optional<int64_t> SqlStorage::find_study(Connection& sql) const {
  const Result found = sql.run("SELECT study_id FROM studies WHERE study_name=$1", {place_.study});
  return found.rows.empty() ? std::nullopt : std::optional<int64_t>(integer(found.rows[0].at(0)));
}

void SqlStorage::make_study(Connection& sql, const std::vector<Objective>& objectives) {
  const bool is_new =
      sql.run("INSERT INTO studies (study_name) VALUES ($1) ON CONFLICT DO NOTHING", {place_.study}).changed >
      0;
  study_ = find_study(sql).value();  // NOLINT(bugprone-unchecked-optional-access): there is one
  if (!is_new) {
    const std::vector<Objective> there = find_objectives(sql);
    if (there != objectives)
      throw_usage("{}: study '{}' has other objectives: {} there and {} here; give another name or folder",
                  database_->name(), place_.study, metric_names(there), metric_names(objectives));
    return;
  }
  Rows rows;
  for (const Objective& objective : objectives)
    rows.push_back({std::string_view(objective.direction == Direction::Maximize ? "MAXIMIZE" : "MINIMIZE"),
                    study_, static_cast<int64_t>(rows.size())});
  insert_rows(sql, "study_directions", "direction, study_id, objective", rows);
  sql.run("INSERT INTO study_system_attributes (study_id, \"key\", value_json) VALUES ($1, $2, $3)",
          {study_, kMetricNames, metric_names(objectives)});
}

std::vector<Objective> SqlStorage::find_objectives(Connection& sql) const {
  std::vector<Objective> out;
  for (const auto& row :
       sql.run("SELECT direction FROM study_directions WHERE study_id=$1 ORDER BY objective", {study_}).rows)
    out.push_back({.name = fmt::format("objective {}", out.size()),
                   .direction = row[0] == "MAXIMIZE" ? Direction::Maximize : Direction::Minimize});
  const Result names =
      sql.run("SELECT value_json FROM study_system_attributes WHERE study_id=$1 AND \"key\"=$2",
              {study_, kMetricNames});
  if (!names.rows.empty()) {
    const Json list = parse_json(names.rows[0].at(0).value_or("[]"));
    for (size_t i = 0; i < std::min(list.size(), out.size()); ++i) out[i].name = list.at(i);
  }
  return out;
}

std::optional<std::string> SqlStorage::find_document(Connection& sql, std::string_view key) const {
  Result found = sql.run("SELECT json FROM retort_documents WHERE study_id=$1 AND \"key\"=$2", {study_, key});
  return found.rows.empty() ? std::nullopt : std::move(found.rows[0].at(0));
}

std::unique_ptr<Storage> make_memory_storage(const std::vector<Objective>& objectives) {
  return std::make_unique<SqlStorage>(open_sqlite_in_memory(), Place{}, Access::Write, &objectives);
}

std::unique_ptr<Storage> open_storage(const Place& place, const std::vector<Objective>& objectives) {
  return std::make_unique<SqlStorage>(open_database(place.url, Access::Write, {.stop = place.stop}), place,
                                      Access::Write, &objectives);
}

std::unique_ptr<Storage> open_storage(const Place& place, Access access) {
  return std::make_unique<SqlStorage>(open_database(place.url, access, {.stop = place.stop}), place, access,
                                      nullptr);
}

}  // namespace retort::study
