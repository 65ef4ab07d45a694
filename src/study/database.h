// SQL on SQLite and PostgreSQL alike. Private to this room.
//
// Statements are the same text on both, with $1, $2, … for values; what differs is in Dialect.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "study/storage.h"

namespace retort::study {

using Value = std::variant<std::nullptr_t, int64_t, double, std::string_view, std::span<const uint8_t>>;

// Numbers in decimal, exactly; bytes as they are.
using Cell = std::optional<std::string>;
struct Result {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  int64_t changed = 0;
};
int integer(const Cell& cell);
double real(const Cell& cell);

struct Dialect {
  // Types of columns.
  std::string_view id, time, real, bytes, direction, trial_state, value_type, intermediate_type;
  // Statements before the tables.
  std::vector<std::string_view> prelude;
  // Behind a SELECT of rows that are to be changed: they are locked; or those are left out that others hold.
  std::string_view for_update, skip_locked;
  // Whether the clock of now() may be set back while it has the same name.
  bool clock_may_be_set_back;
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual Result run(const std::string& sql, std::span<const Value> values) = 0;
  Result run(const std::string& sql, std::initializer_list<Value> values = {}) {
    return run(sql, std::span(values.begin(), values.size()));
  }
};

enum class Transaction { Read, Write };

// Safe to use from several threads.
class Database {
 public:
  virtual ~Database() = default;

  // Runs `body` in a transaction: all of it or nothing. Where the connection is lost it is run once more, so
  // it must assign what it gives out, and may have been carried out before.
  virtual void transact(Transaction kind, const std::function<void(Connection&)>& body) = 0;

  [[nodiscard]] virtual const Dialect& dialect() const = 0;
  // For sentences: a file, or a URL without its password.
  [[nodiscard]] virtual const std::string& name() const = 0;
  // Whether there is a table, view, … of any program.
  virtual bool is_empty(Connection& connection) = 0;
  virtual bool has_table(Connection& connection, std::string_view table) = 0;
  // Keeps others from making tables at the same time, until the transaction ends.
  virtual void lock_schema(Connection& connection) = 0;
  // Seconds of a clock as an expression of SQL, of the moment when it is evaluated, and the clock's name: times of
  // another one mean nothing.
  [[nodiscard]] virtual std::string now() const = 0;
  [[nodiscard]] virtual const std::string& clock() const = 0;
};

// How long PostgreSQL's callers wait.
struct Patience {
  // For a server that is gone: it may be restarted, or the network come back.
  std::chrono::milliseconds server{180'000};
  // For a program that was stopped in the midst of writing: its server ends what it began, and with it its locks.
  std::chrono::milliseconds idle{30'000};
  // For somebody else's lock, before the transaction is tried again.
  std::chrono::milliseconds lock{10'000};
  // Once requested a server that is gone is waited for no longer, nor a statement of SQLite's that does not end.
  std::stop_token stop{};
};

std::unique_ptr<Database> open_sqlite(const std::filesystem::path& path, Access access,
                                      std::stop_token stop = {});
std::unique_ptr<Database> open_sqlite_in_memory();
std::unique_ptr<Database> open_postgres(const std::string& url, Access access, const Patience& patience = {});
std::unique_ptr<Database> open_database(std::string_view url, Access access, const Patience& patience = {});

// Optuna's column and Retort's tables; see schema.cpp.
inline constexpr std::string_view kOptunaSchema = "v3.2.0.a";
inline constexpr std::string_view kOldOptunaSchema = "v3.0.0.d";
// Makes those that are missing of Optuna's tables, or all, in the schema of that version.
void make_optuna_tables(Connection& connection, const Dialect& dialect, std::string_view optuna_schema);
// Of Retort's tables. 1 was no schema of Optuna's; 2 had no checkpoints, 3 no leads; both are read as they are.
inline constexpr int kVersion = 4;
inline constexpr int kOldestVersion = 2;
void make_retort_tables(Connection& connection, const Dialect& dialect);
void upgrade_retort_tables(Connection& connection, const Dialect& dialect, int version);
std::span<const std::string_view> optuna_table_names();  // in an order that foreign keys allow
bool is_table_name(std::string_view name);               // of Optuna's or Retort's, in any case of letters

// INSERT of any number of rows; `tail` is what follows VALUES (…): ON CONFLICT …, RETURNING ….
Result insert_rows(Connection& connection, std::string_view table, std::string_view columns,
                   std::span<const std::vector<Value>> rows, std::string_view tail = "");

}  // namespace retort::study
