// The study as one SQLite file in write-ahead mode.
#include <sqlite3.h>

#include <mutex>
#include <utility>

#include "base/error.h"
#include "study/storage.h"

namespace retort::study {
namespace {

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x5274;  // "Rt": tells our files from other programs' databases
constexpr int kBusyMilliseconds = 10'000;

constexpr const char* kSchema = R"sql(
CREATE TABLE document(key TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trial(number INTEGER PRIMARY KEY, state TEXT NOT NULL, proposal TEXT NOT NULL,
                   result TEXT NOT NULL DEFAULT '');
CREATE INDEX trial_by_state ON trial(state, number);
CREATE TABLE stage(trial INTEGER NOT NULL REFERENCES trial(number), position INTEGER NOT NULL, name TEXT NOT NULL,
                   result TEXT NOT NULL, PRIMARY KEY(trial, name)) WITHOUT ROWID;
)sql";

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

enum class Access { Read, Write };

// Without a write-ahead log beside it nobody writes the file, and SQLite need not make files of its own to
// read it; else it reads the log too.
std::string uri_to_read(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string())
    uri += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<int>(c)) : std::string(1, c);
  return std::filesystem::exists(path.string() + "-wal") ? uri : uri + "?immutable=1";
}

class Database {
 public:
  Database(const std::filesystem::path& path, Access access) : name_(path.string()) {
    sqlite3* raw = nullptr;
    const int code =
        access == Access::Write
            ? sqlite3_open_v2(path.c_str(), &raw,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr)
            : sqlite3_open_v2(uri_to_read(path).c_str(), &raw,
                              SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX, nullptr);
    handle_.reset(raw);
    if (code != SQLITE_OK) fail(code);
    sqlite3_busy_timeout(raw, kBusyMilliseconds);
  }

  [[nodiscard]] sqlite3* get() const { return handle_.get(); }

  void execute(const char* sql) const {
    const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code);
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
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        throw_failure("{}: the study's database is in use by another process", name_);
      default:
        throw_failure("{}: the study's database failed: {}", name_, message());
    }
  }

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  [[nodiscard]] std::string message() const {
    return handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory";
  }

  std::string name_;
  std::unique_ptr<sqlite3, CloseDatabase> handle_;
};

class Statement {
 public:
  Statement(const Database& database, const char* sql) : database_(database) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v2(database.get(), sql, -1, &raw, nullptr);
    handle_.reset(raw);
    if (code != SQLITE_OK) database.fail(code);
  }

  Statement& bind(std::string_view text) {
    check(sqlite3_bind_text64(handle_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
    return *this;
  }
  Statement& bind(int value) {
    check(sqlite3_bind_int(handle_.get(), ++bound_, value));
    return *this;
  }

  // True while there is a row.
  bool step() {
    const int code = sqlite3_step(handle_.get());
    if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
    return code == SQLITE_ROW;
  }
  // For another run with other values.
  void reset() {
    check(sqlite3_reset(handle_.get()));
    bound_ = 0;
  }

  [[nodiscard]] int integer(int column) const { return sqlite3_column_int(handle_.get(), column); }
  [[nodiscard]] std::string text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
    return data == nullptr
               ? std::string()
               : std::string(data, static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column)));
  }

 private:
  void check(int code) const {
    if (code != SQLITE_OK) database_.fail(code);
  }

  const Database& database_;
  std::unique_ptr<sqlite3_stmt, FinalizeStatement> handle_;
  int bound_ = 0;
};

// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(const Database& database) : database_(database) {
    database_.execute("BEGIN IMMEDIATE");
  }
  ~Transaction() {
    if (!committed_) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    database_.execute("COMMIT");
    committed_ = true;
  }

 private:
  const Database& database_;
  bool committed_ = false;
};

int pragma(const Database& database, const char* sql) {
  Statement statement(database, sql);
  return statement.step() ? statement.integer(0) : 0;
}

class SqliteStorage final : public Storage {
 public:
  SqliteStorage(const std::filesystem::path& path, Access access) : database_(path, access) {
    if (access == Access::Read) {
      check_format();
      return;
    }
    // FULL: a stored trial survives a power cut, not only a crash.
    database_.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
    Transaction transaction(database_);
    const bool empty = pragma(database_, "SELECT count(*) FROM sqlite_master") == 0;
    if (empty) {
      database_.execute(kSchema);
      database_.execute(
          fmt::format("PRAGMA application_id={}; PRAGMA user_version={};", kApplicationId, kSchemaVersion)
              .c_str());
    } else {
      check_format();
    }
    transaction.commit();
  }

  void put_document(std::string_view key, std::string_view json) override {
    const std::lock_guard lock(mutex_);
    Statement(database_, "INSERT INTO document VALUES(?,?) ON CONFLICT(key) DO UPDATE SET json=excluded.json")
        .bind(key)
        .bind(json)
        .step();
  }

  [[nodiscard]] std::optional<std::string> document(std::string_view key) const override {
    const std::lock_guard lock(mutex_);
    Statement statement(database_, "SELECT json FROM document WHERE key=?");
    statement.bind(key);
    return statement.step() ? std::optional(statement.text(0)) : std::nullopt;
  }

  int add_trials(const std::vector<std::string>& proposals) override {
    const std::lock_guard lock(mutex_);
    Transaction transaction(database_);
    const int first = pragma(database_, "SELECT coalesce(max(number)+1, 0) FROM trial");
    Statement insert(database_, "INSERT INTO trial(number, state, proposal) VALUES(?, 'WAITING', ?)");
    int number = first;
    for (const std::string& proposal : proposals) {
      insert.bind(number++).bind(proposal).step();
      insert.reset();
    }
    transaction.commit();
    return first;
  }

  std::optional<TrialRecord> claim() override {
    const std::lock_guard lock(mutex_);
    Transaction transaction(database_);
    TrialRecord trial;
    {
      Statement oldest(database_,
                       "SELECT number, proposal FROM trial WHERE state='WAITING' ORDER BY number LIMIT 1");
      if (!oldest.step()) return std::nullopt;
      trial.number = oldest.integer(0);
      trial.proposal = oldest.text(1);
    }
    trial.state = TrialState::Running;
    Statement(database_, "UPDATE trial SET state='RUNNING' WHERE number=?").bind(trial.number).step();
    Statement stages(database_, "SELECT name, result FROM stage WHERE trial=? ORDER BY position");
    stages.bind(trial.number);
    while (stages.step()) trial.stages.push_back({stages.text(0), stages.text(1)});
    transaction.commit();
    return trial;
  }

  int release_running() override {
    const std::lock_guard lock(mutex_);
    Statement(database_, "UPDATE trial SET state='WAITING' WHERE state='RUNNING'").step();
    return sqlite3_changes(database_.get());
  }

  void put_stage(int trial, const StageRecord& stage) override {
    const std::lock_guard lock(mutex_);
    Statement statement(database_,
                        "INSERT INTO stage(trial, position, name, result)"
                        " SELECT number, (SELECT count(*) FROM stage WHERE trial=number), ?, ? FROM trial"
                        " WHERE number=? AND state='RUNNING'"
                        " ON CONFLICT(trial, name) DO UPDATE SET result=excluded.result");
    statement.bind(stage.name).bind(stage.result).bind(trial).step();
    if (sqlite3_changes(database_.get()) != 1) throw_failure("trial {} of the study is not running", trial);
  }

  void finish(int trial, TrialState state, std::string_view result) override {
    const std::lock_guard lock(mutex_);
    Statement(database_, "UPDATE trial SET state=?, result=? WHERE number=? AND state='RUNNING'")
        .bind(to_string(state))
        .bind(result)
        .bind(trial)
        .step();
    if (sqlite3_changes(database_.get()) != 1) throw_failure("trial {} of the study is not running", trial);
  }

  [[nodiscard]] std::vector<TrialRecord> trials() const override {
    const std::lock_guard lock(mutex_);
    std::vector<TrialRecord> out;
    Statement rows(database_, "SELECT number, state, proposal, result FROM trial ORDER BY number");
    while (rows.step()) {
      TrialRecord trial;
      trial.number = rows.integer(0);
      trial.state = parse_trial_state(rows.text(1));
      trial.proposal = rows.text(2);
      trial.result = rows.text(3);
      out.push_back(std::move(trial));
    }
    // Numbers have no gaps: a trial's number is its place.
    Statement stages(database_, "SELECT trial, name, result FROM stage ORDER BY trial, position");
    while (stages.step())
      out.at(static_cast<size_t>(stages.integer(0))).stages.push_back({stages.text(1), stages.text(2)});
    return out;
  }

 private:
  void check_format() const {
    const int version = pragma(database_, "PRAGMA user_version");
    if (pragma(database_, "PRAGMA application_id") != kApplicationId)
      throw_failure("{}: is a database of another program; start in another folder", database_.name());
    if (version != kSchemaVersion)
      throw_failure("{}: was written by another version of this program (format {}, this one knows {})",
                    database_.name(), version, kSchemaVersion);
    Statement check(database_, "PRAGMA quick_check(1)");
    if (!check.step() || check.text(0) != "ok") database_.fail(SQLITE_CORRUPT);
  }

  mutable std::mutex mutex_;
  Database database_;
};

}  // namespace

std::unique_ptr<Storage> open_sqlite_storage(const std::filesystem::path& path) {
  return std::make_unique<SqliteStorage>(path, Access::Write);
}

std::unique_ptr<Storage> open_sqlite_storage_to_read(const std::filesystem::path& path) {
  return std::make_unique<SqliteStorage>(path, Access::Read);
}

}  // namespace retort::study
