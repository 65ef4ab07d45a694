#include "study/database.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"
#include "study/secrets.h"

namespace retort::study {

int integer(const Cell& cell) {
  int value = 0;
  if (!cell || std::from_chars(cell->data(), cell->data() + cell->size(), value).ec != std::errc())
    throw_failure("the study's database has '{}' where a number must be", cell.value_or("nothing"));
  return value;
}

double real(const Cell& cell) {
  double value = 0;
  if (!cell || std::from_chars(cell->data(), cell->data() + cell->size(), value).ec != std::errc())
    throw_failure("the study's database has '{}' where a number must be", cell.value_or("nothing"));
  return value;
}

Result insert_rows(Connection& connection, std::string_view table, std::string_view columns,
                   std::span<const std::vector<Value>> rows, std::string_view tail) {
  constexpr size_t kRowsAStatement = 100;
  Result all;
  while (!rows.empty()) {
    const auto part = rows.first(std::min(rows.size(), kRowsAStatement));
    rows = rows.subspan(part.size());
    std::string sql = fmt::format("INSERT INTO {} ({}) VALUES ", table, columns);
    std::vector<Value> values;
    for (const std::vector<Value>& row : part) {
      sql += &row == part.data() ? "(" : ", (";
      for (const Value& value : row) {
        values.push_back(value);
        sql += fmt::format("{}${}", &value == row.data() ? "" : ", ", values.size());
      }
      sql += ')';
    }
    sql += ' ';
    sql += tail;
    Result result = connection.run(sql, values);
    all.changed += result.changed;
    all.columns = std::move(result.columns);
    std::move(result.rows.begin(), result.rows.end(), std::back_inserter(all.rows));
  }
  return all;
}

std::unique_ptr<Database> open_database(std::string_view url, Access access, const Patience& patience) {
  check_url(url);
  if (is_postgres(url)) return open_postgres(std::string(url), access, patience);
  if (url.starts_with("sqlite:")) {
    url.remove_prefix(7);
    if (url.starts_with("///")) url.remove_prefix(3);  // as SQLAlchemy writes it
  }
  if (url.empty())
    throw_usage("the storage has no name: give postgresql://user@host/database or sqlite:FILE");
  return open_sqlite(std::filesystem::path(url), access, patience.stop);
}

std::vector<std::string> study_names(std::string_view url) {
  const auto database = open_database(url, Access::Read);
  std::vector<std::string> names;
  database->transact(Transaction::Read, [&](Connection& sql) {
    names.clear();
    for (const auto& row : sql.run("SELECT study_name FROM studies ORDER BY study_id").rows)
      names.push_back(row[0].value_or(""));
  });
  return names;
}

}  // namespace retort::study
