// A copy of Optuna's tables for another version of Optuna.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "study/database.h"

namespace retort::study {

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
          const Result all = source.run(fmt::format("SELECT * FROM {}", table));
          std::vector<std::vector<Value>> rows;
          for (const auto& row : all.rows) {
            std::vector<Value>& values = rows.emplace_back();
            for (const Cell& cell : row) values.push_back(cell ? Value(std::string_view(*cell)) : nullptr);
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
