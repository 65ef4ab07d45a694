// A copy of Optuna's tables for another version of Optuna.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
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

}  // namespace

void export_for_optuna(std::string_view url, std::string_view optuna_schema,
                       const std::filesystem::path& file) {
  if (optuna_schema != kOptunaSchema && optuna_schema != kOldOptunaSchema)
    throw_usage("--optuna-schema '{}': give {} (Optuna 3.2 and later) or {} (Optuna 3.0 and 3.1)",
                optuna_schema, kOptunaSchema, kOldOptunaSchema);
  if (std::filesystem::exists(file)) throw_usage("{}: is there already; give another name", file.string());
  const auto from = open_database(url, Access::Read);
  const std::filesystem::path unfinished = file.string() + ".part";
  std::filesystem::remove(unfinished);
  try {
    const auto to = open_sqlite(unfinished, Access::Write);
    from->transact(Transaction::Read, [&](Connection& source) {
      to->transact(Transaction::Write, [&](Connection& target) {
        make_optuna_tables(target, to->dialect(), optuna_schema);
        for (const std::string_view table : optuna_table_names()) {
          if (table == "version_info" || table == "alembic_version") continue;
          Result all = source.run(fmt::format("SELECT * FROM {}", table));
          std::vector<std::vector<Value>> rows;
          for (auto& row : all.rows) {
            std::vector<Value>& values = rows.emplace_back();
            for (size_t i = 0; i < row.size(); ++i) {
              if (row[i] && is_time(all.columns[i])) row[i] = with_microseconds(*std::move(row[i]));
              values.push_back(row[i] ? Value(std::string_view(*row[i])) : nullptr);
            }
          }
          insert_rows(target, table, fmt::format("\"{}\"", fmt::join(all.columns, "\", \"")), rows);
        }
      });
    });
  } catch (...) {
    std::error_code ignored;
    for (const char* ending : {"", "-wal", "-shm"})
      std::filesystem::remove(unfinished.string() + ending, ignored);
    throw;
  }
  std::filesystem::rename(unfinished, file);
}

}  // namespace retort::study
