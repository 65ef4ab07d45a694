// One SQLite file in write-ahead mode, or one in memory.
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/error.h"
#include "study/database.h"

namespace retort::study {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBusyMilliseconds = 60'000;
// What is stored on the way to a stop takes less.
constexpr std::chrono::seconds kPatienceOfTheStopped{2};
constexpr int kStepsBetweenLooks = 100'000;

const Dialect kSqlite = {.id = "INTEGER NOT NULL PRIMARY KEY",
                         .time = "DATETIME",
                         .real = "FLOAT",
                         .bytes = "BLOB",
                         .direction = "VARCHAR(8)",
                         .trial_state = "VARCHAR(8)",
                         .value_type = "VARCHAR(7)",
                         .intermediate_type = "VARCHAR(7)",
                         .prelude = {},
                         .for_update = "",
                         .skip_locked = "",
                         .clock_may_be_set_back = false};

// A function of SQL: its statements stay the same, and it is evaluated when they have waited their turn to write.
constexpr const char* kNow = "retort_now";
void steady_seconds(sqlite3_context* context, int /*count*/, sqlite3_value** /*values*/) {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  sqlite3_result_double(context, std::chrono::duration<double>(since_boot).count());
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

// Without a write-ahead log beside it nobody writes the file, and SQLite need not make files of its own to
// read it; else it reads the log too.
std::string uri_to_read(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string())
    uri += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<int>(c)) : std::string(1, c);
  return std::filesystem::exists(path.string() + "-wal") ? uri : uri + "?immutable=1";
}

class SqliteConnection final : public Connection {
 public:
  SqliteConnection(const std::filesystem::path& path, Access access, std::stop_token stop)
      : name_(path.string()), stop_(std::move(stop)) {
    sqlite3* raw = nullptr;
    const int code =
        access == Access::Write
            ? sqlite3_open_v2(path.c_str(), &raw,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr)
            : sqlite3_open_v2(uri_to_read(path).c_str(), &raw,
                              SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
    handle_.reset(raw);
    if (code != SQLITE_OK) fail(code);
    sqlite3_busy_timeout(raw, kBusyMilliseconds);
    const int made = sqlite3_create_function(raw, kNow, 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, nullptr,
                                             steady_seconds, nullptr, nullptr);
    if (made != SQLITE_OK) fail(made);
    // The file may be a stranger's, whose views and triggers would be programs that run here.
    for (const auto& [option, value] :
         {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1}, std::pair{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
          std::pair{SQLITE_DBCONFIG_ENABLE_VIEW, 0}, std::pair{SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}})
      if (const int set = sqlite3_db_config(raw, option, value, nullptr); set != SQLITE_OK) fail(set);
    sqlite3_progress_handler(raw, kStepsBetweenLooks, is_over, this);
  }

  Result run(const std::string& sql, std::span<const Value> values) override {
    sqlite3_stmt* statement = prepared(sql);
    const Reset reset(statement);
    began_ = Clock::now();
    for (size_t i = 0; i < values.size(); ++i) bind(statement, static_cast<int>(i) + 1, values[i]);
    Result result;
    const int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; ++i) result.columns.emplace_back(sqlite3_column_name(statement, i));
    int code = SQLITE_OK;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      std::vector<Cell>& row = result.rows.emplace_back();
      for (int i = 0; i < columns; ++i) row.push_back(cell(statement, i));
    }
    if (code != SQLITE_DONE) fail(code);
    result.changed = sqlite3_changes(handle_.get());
    return result;
  }
  using Connection::run;

  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  [[nodiscard]] const std::string& name() const { return name_; }

  // Two that open a new file at once both want to set its mode, and SQLite does not wait for that.
  void set_write_ahead_mode() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyMilliseconds);
    for (;;) {
      const int code = sqlite3_exec(handle_.get(), "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr);
      if (code == SQLITE_OK) return;
      if (code != SQLITE_BUSY || std::chrono::steady_clock::now() > end) fail(code);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  [[noreturn]] void fail(int code) const {
    switch (code & 0xFF) {
      case SQLITE_CORRUPT:
        throw_failure(
            "{}: the study's database is damaged ({}); restore it from a copy, or start in another folder",
            name_, message());
      case SQLITE_NOTADB:
        throw_failure("{}: is not a study's database (or it is damaged); start in another folder", name_);
      case SQLITE_FULL:
        throw_failure(
            "{}: the disk is full; what was finished before is stored, run again when there is room", name_);
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN:
      case SQLITE_PERM:
        throw_failure("{}: the study's database cannot be opened or written: {}", name_, message());
      case SQLITE_INTERRUPT:
        throw Error(ErrorCode::Interrupted, "stopped");
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        throw_failure("{}: the study's database is in use by another process", name_);
      default:
        throw_failure("{}: the study's database failed: {}", name_, message());
    }
  }

 private:
  struct Reset {
    explicit Reset(sqlite3_stmt* statement_to_reset) : statement(statement_to_reset) {}
    ~Reset() {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
    Reset(const Reset&) = delete;
    Reset& operator=(const Reset&) = delete;
    sqlite3_stmt* statement;
  };

  sqlite3_stmt* prepared(const std::string& sql) {
    constexpr size_t kMostStatements = 64;
    if (const auto found = statements_.find(sql); found != statements_.end()) return found->second.get();
    if (statements_.size() >= kMostStatements) statements_.clear();
    std::string numbered = sql;
    std::ranges::replace(numbered, '$', '?');
    sqlite3_stmt* raw = nullptr;
    const int code =
        sqlite3_prepare_v2(handle_.get(), numbered.data(), static_cast<int>(numbered.size()), &raw, nullptr);
    std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement(raw);
    if (code != SQLITE_OK) fail(code);
    return statements_.emplace(sql, std::move(statement)).first->second.get();
  }

  void bind(sqlite3_stmt* statement, int position, const Value& value) {
    const int code = std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::nullptr_t>)
            return sqlite3_bind_null(statement, position);
          else if constexpr (std::is_same_v<T, int64_t>)
            return sqlite3_bind_int64(statement, position, v);
          else if constexpr (std::is_same_v<T, double>)
            return sqlite3_bind_double(statement, position, v);
          else if constexpr (std::is_same_v<T, std::string_view>)
            return sqlite3_bind_text64(statement, position, v.empty() ? "" : v.data(), v.size(),
                                       SQLITE_STATIC, SQLITE_UTF8);
          else
            return v.empty() ? sqlite3_bind_zeroblob(statement, position, 0)
                             : sqlite3_bind_blob64(statement, position, v.data(), v.size(), SQLITE_STATIC);
        },
        value);
    if (code != SQLITE_OK) fail(code);
  }

  static Cell cell(sqlite3_stmt* statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
      case SQLITE_NULL:
        return std::nullopt;
      case SQLITE_FLOAT:  // as text it would have 15 digits
        return fmt::format("{}", sqlite3_column_double(statement, column));
      default: {
        const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, column));
        const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
        return data == nullptr ? std::string() : std::string(data, size);
      }
    }
  }

  static int is_over(void* self) {
    const auto& connection = *static_cast<SqliteConnection*>(self);
    return connection.stop_.stop_requested() && Clock::now() - connection.began_ > kPatienceOfTheStopped ? 1
                                                                                                         : 0;
  }

  [[nodiscard]] std::string message() const {
    return handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory";
  }

  std::string name_;
  std::stop_token stop_;
  Clock::time_point began_ = Clock::now();
  std::unique_ptr<sqlite3, CloseDatabase> handle_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, FinalizeStatement>> statements_;
};

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(const std::filesystem::path& path, Access access, std::stop_token stop)
      : connection_(path, access, std::move(stop)) {
    refuse_what_runs();
    if (access == Access::Write) connection_.set_write_ahead_mode();
    check_pages();
    if (access == Access::Read) return;
    // FULL: a stored trial survives a power cut, not only a crash.
    connection_.run("PRAGMA synchronous=FULL");
    connection_.run("PRAGMA foreign_keys=ON");
  }

  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    const std::lock_guard lock(mutex_);
    connection_.run(kind == Transaction::Read ? "BEGIN" : "BEGIN IMMEDIATE");
    try {
      body(connection_);
      connection_.run("COMMIT");
    } catch (...) {
      roll_back();
      throw;
    }
  }

  [[nodiscard]] const Dialect& dialect() const override { return kSqlite; }
  [[nodiscard]] const std::string& name() const override { return connection_.name(); }

  bool is_empty(Connection& connection) override {
    return integer(connection.run("SELECT count(*) FROM sqlite_master").rows.at(0).at(0)) == 0;
  }
  bool has_table(Connection& connection, std::string_view table) override {
    return !connection.run("SELECT 1 FROM sqlite_master WHERE type='table' AND name=$1", {table})
                .rows.empty();
  }
  void lock_schema(Connection& /*connection*/) override {}  // BEGIN IMMEDIATE has done it

  // All who write to the file are on this machine: its steady clock, which a reboot starts anew.
  [[nodiscard]] std::string now() const override { return fmt::format("{}()", kNow); }
  [[nodiscard]] const std::string& clock() const override {
    static const std::string boot = [] {
      std::string id = "boot";
      std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
      return id;
    }();
    return boot;
  }

 private:
  // Tables are all that a study has. The names are what the file says, and no wall (that is what is set above).
  void refuse_what_runs() {
    const Result found = connection_.run(
        "SELECT name, CASE WHEN type='table' THEN 'virtual table' ELSE type END, tbl_name FROM sqlite_master"
        " WHERE type IN ('view', 'trigger') OR (type='table' AND coalesce(rootpage, 0)=0)");
    for (const auto& row : found.rows)
      if (is_table_name(row[0].value_or("")) || is_table_name(row[2].value_or("")))
        throw_failure("{}: has a {} '{}' where a study has tables alone; start in another folder",
                      connection_.name(), row[1].value_or(""), row[0].value_or(""));
  }

  // Reads the whole file, and so only of one that takes no time; of others damage is told when it is met.
  void check_pages() {
    constexpr int64_t kMostBytes = int64_t{64} << 20U;
    const auto number = [&](const char* pragma) {
      return int64_t{integer(connection_.run(pragma).rows.at(0).at(0))};
    };
    if (number("PRAGMA page_count") * number("PRAGMA page_size") > kMostBytes) return;
    const Result check = connection_.run("PRAGMA quick_check(1)");
    if (check.rows.empty() || check.rows[0].at(0) != "ok") connection_.fail(SQLITE_CORRUPT);
  }

  void roll_back() noexcept {
    try {
      if (connection_.in_transaction()) connection_.run("ROLLBACK");
    } catch (...) {
      return;  // the first error is the one to report
    }
  }

  std::mutex mutex_;
  SqliteConnection connection_;
};

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::filesystem::path& path, Access access,
                                      std::stop_token stop) {
  // One that is to be read is not made.
  std::error_code error;
  if (access == Access::Read && !std::filesystem::exists(path, error) && !error)
    throw_usage("{}: no database of studies is there: check its name", path.string());
  return std::make_unique<SqliteDatabase>(path, access, std::move(stop));
}

std::unique_ptr<Database> open_sqlite_in_memory() {
  return std::make_unique<SqliteDatabase>(":memory:", Access::Write, std::stop_token());
}

}  // namespace retort::study
