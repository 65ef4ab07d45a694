// A PostgreSQL server, over a few connections that its callers share.
//
// libpq and no more: of what the C++ libraries over it add, transactions and typed rows, Database has its own
// for both kinds of database.
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/error.h"
#include "study/database.h"
#include "study/secrets.h"

namespace retort::study {
namespace {

using Clock = std::chrono::steady_clock;

// A transaction that met another one is still worth another try: trials are given back so.
constexpr std::chrono::milliseconds kPatienceOfTheStopped{2000};
constexpr size_t kMostConnections = 64;
constexpr Oid kByteaOid = 17;

const Dialect kPostgres = {
    .id = "SERIAL PRIMARY KEY",
    .time = "TIMESTAMP",
    .real = "DOUBLE PRECISION",
    .bytes = "BYTEA",
    .direction = "studydirection",
    .trial_state = "trialstate",
    .value_type = "trialvaluetype",
    .intermediate_type = "trialintermediatevaluetype",
    .prelude = {"CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE')",
                "CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN')",
                "CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')",
                "CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG')"},
    .for_update = " FOR UPDATE",
    .skip_locked = " FOR UPDATE SKIP LOCKED",
    .clock_may_be_set_back = true};

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

// The server is gone, or asks for the transaction to be run again.
struct TryAgain : std::exception {
  TryAgain(std::string said_so, bool lost) : reason(std::move(said_so)), connection_lost(lost) {}
  [[nodiscard]] const char* what() const noexcept override { return reason.c_str(); }
  std::string reason;
  bool connection_lost;
};

// libpq's messages have several lines.
std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

bool may_pass(std::string_view sqlstate) {
  // Serialisation, deadlock; the server stops or starts; it has no connection left; somebody holds a lock for long; we were
  // silent for too long.
  constexpr std::array<std::string_view, 8> kCodes = {"40001", "40P01", "57P01", "57P02",
                                                      "57P03", "53300", "55P03", "25P03"};
  return sqlstate.starts_with("08") || std::ranges::find(kCodes, sqlstate) != kCodes.end();
}

class PostgresConnection final : public Connection {
 public:
  PostgresConnection(const std::string& url, const std::string& name) : name_(name) {
    // What the URL says overrides these. A server that vanished without a word is noticed. Nothing here is refused by
    // PgBouncer.
    const std::array<const char*, 8> keys = {"connect_timeout",
                                             "keepalives_idle",
                                             "keepalives_interval",
                                             "tcp_user_timeout",
                                             "application_name",
                                             "client_encoding",
                                             "dbname",
                                             nullptr};
    const std::array<const char*, 8> values = {"10",     "10",   "5",         "30000",
                                               "retort", "UTF8", url.c_str(), nullptr};
    handle_.reset(PQconnectdbParams(keys.data(), values.data(), 1));
    if (PQstatus(handle_.get()) != CONNECTION_OK)
      throw TryAgain(first_line(PQerrorMessage(handle_.get())), true);
    PQsetNoticeProcessor(handle_.get(), [](void*, const char*) {}, nullptr);
  }

  Result run(const std::string& sql, std::span<const Value> values) override {
    std::vector<std::string> texts(values.size());
    std::vector<const char*> data;
    std::vector<int> lengths;
    std::vector<int> formats;
    for (size_t i = 0; i < values.size(); ++i) {
      const bool binary = std::holds_alternative<std::span<const uint8_t>>(values[i]);
      formats.push_back(binary ? 1 : 0);
      if (binary) {
        const auto bytes = std::get<std::span<const uint8_t>>(values[i]);
        data.push_back(bytes.empty() ? "" : reinterpret_cast<const char*>(bytes.data()));
        lengths.push_back(static_cast<int>(bytes.size()));
        continue;
      }
      lengths.push_back(0);
      if (const auto* number = std::get_if<int64_t>(&values[i]))
        texts[i] = fmt::format("{}", *number);
      else if (const auto* real_number = std::get_if<double>(&values[i]))
        texts[i] = fmt::format("{}", *real_number);
      else if (const auto* text = std::get_if<std::string_view>(&values[i]))
        texts[i] = *text;
      data.push_back(std::holds_alternative<std::nullptr_t>(values[i]) ? nullptr : texts[i].c_str());
    }
    const std::unique_ptr<PGresult, Clear> raw(PQexecParams(handle_.get(), sql.c_str(),
                                                            static_cast<int>(values.size()), nullptr,
                                                            data.data(), lengths.data(), formats.data(), 0));
    const ExecStatusType status = PQresultStatus(raw.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(raw.get());
    return take(raw.get());
  }
  using Connection::run;

  // Several statements without values, in one message.
  void run_script(const char* sql) {
    const std::unique_ptr<PGresult, Clear> raw(PQexec(handle_.get(), sql));
    const ExecStatusType status = PQresultStatus(raw.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(raw.get());
  }

  [[nodiscard]] bool is_usable() const {
    return PQstatus(handle_.get()) == CONNECTION_OK && PQtransactionStatus(handle_.get()) == PQTRANS_IDLE;
  }

 private:
  [[noreturn]] void fail(PGresult* result) const {
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string sqlstate = state == nullptr ? "" : state;
    const bool lost = PQstatus(handle_.get()) != CONNECTION_OK;
    const std::string message = first_line(PQerrorMessage(handle_.get()));
    if (lost || may_pass(sqlstate)) throw TryAgain(message, lost);
    if (sqlstate.starts_with("53"))
      throw_failure("{}: the database's server has no room: {}; what was finished before is stored", name_,
                    message);
    throw_failure("{}: the study's database failed: {}", name_, message);
  }

  static Result take(const PGresult* raw) {
    Result result;
    const int columns = PQnfields(raw);
    const int rows = PQntuples(raw);
    for (int column = 0; column < columns; ++column) result.columns.emplace_back(PQfname(raw, column));
    for (int row = 0; row < rows; ++row) {
      std::vector<Cell>& cells = result.rows.emplace_back();
      for (int column = 0; column < columns; ++column) cells.push_back(cell(raw, row, column));
    }
    const char* changed = PQcmdTuples(const_cast<PGresult*>(raw));  // NOLINT: libpq's signature
    result.changed = *changed == '\0' ? 0 : std::stoll(changed);
    return result;
  }

  static Cell cell(const PGresult* raw, int row, int column) {
    if (PQgetisnull(raw, row, column) != 0) return std::nullopt;
    const char* text = PQgetvalue(raw, row, column);
    if (PQftype(raw, column) != kByteaOid)
      return std::string(text, static_cast<size_t>(PQgetlength(raw, row, column)));
    size_t size = 0;
    const std::unique_ptr<unsigned char, decltype(&PQfreemem)> bytes(
        PQunescapeBytea(reinterpret_cast<const unsigned char*>(text), &size), &PQfreemem);
    if (!bytes) throw std::bad_alloc();
    return std::string(reinterpret_cast<const char*>(bytes.get()), size);
  }

  std::string name_;
  std::unique_ptr<PGconn, Finish> handle_;
};

// Host, port and database of a URL: without a password.
std::string name_of(const std::string& url) {
  // Not libpq's words: they repeat what may be a password.
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.c_str(), nullptr), &PQconninfoFree);
  if (!options)
    throw_usage("{} is no URL of PostgreSQL, as postgresql://user@host/database?sslmode=require",
                hide_passwords(url));
  std::string host = "localhost";
  std::string port;
  std::string database;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr) continue;
    if (keyword == "host") host = option->val;
    if (keyword == "port") port = std::string(":") + option->val;
    if (keyword == "dbname") database = option->val;
  }
  return fmt::format("postgresql://{}{}/{}", host, port, database);
}

class PostgresDatabase final : public Database {
 public:
  PostgresDatabase(const std::string& url, Access access, const Patience& patience)
      : url_(with_held_back(url)), access_(access), patience_(patience), name_(name_of(url_)) {
    // A wrong name or password is told at once; only later is a server that is gone waited for.
    try {
      idle_.push_back(std::make_unique<PostgresConnection>(url_, name_));
    } catch (const TryAgain& error) {
      throw_failure("{}: the database's server cannot be reached: {}", name_, error.what());
    }
    open_ = 1;
  }

  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    const Clock::time_point start = Clock::now();
    std::chrono::milliseconds pause{20};
    for (;;) {
      // A process that was stopped in this try for longer than its patience has not waited for the server.
      const Clock::duration waited = Clock::now() - start;
      try {
        once(kind, body);
        return;
      } catch (const TryAgain& error) {
        if (error.connection_lost) drop_idle();
        wait(pause, waited, error);
      }
      pause = std::min(2 * pause, std::chrono::milliseconds(1000));
    }
  }

  [[nodiscard]] const Dialect& dialect() const override { return kPostgres; }
  [[nodiscard]] const std::string& name() const override { return name_; }

  bool is_empty(Connection& connection) override {
    return connection
        .run("SELECT 1 FROM information_schema.tables WHERE table_schema=current_schema() LIMIT 1")
        .rows.empty();
  }
  bool has_table(Connection& connection, std::string_view table) override {
    return connection.run("SELECT to_regclass($1)", {table}).rows.at(0).at(0).has_value();
  }
  void lock_schema(Connection& connection) override {
    connection.run("SELECT pg_advisory_xact_lock(21108)");  // "Rt"
  }

  [[nodiscard]] std::string now() const override { return "extract(epoch FROM clock_timestamp())::float8"; }
  [[nodiscard]] const std::string& clock() const override {
    static const std::string server = "server";
    return server;
  }

 private:
  // One connection while it lives.
  class Loan {
   public:
    explicit Loan(PostgresDatabase& database) : database_(database), connection_(database.take()) {}
    ~Loan() { database_.give_back(std::move(connection_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    [[nodiscard]] PostgresConnection& connection() { return *connection_; }

   private:
    PostgresDatabase& database_;
    std::unique_ptr<PostgresConnection> connection_;
  };

  void once(Transaction kind, const std::function<void(Connection&)>& body) {
    Loan loan(*this);
    PostgresConnection& connection = loan.connection();
    const bool read = kind == Transaction::Read || access_ == Access::Read;
    // A server's default may be another level, at which claims that meet fail one another. Those who write look for a
    // few rows by an index; without statistics, of tables that were empty a moment ago, the server would read them whole.
    // A writer that is stopped (a signal, a machine that is paused) while its connection lives would hold its rows for
    // ever, and everybody else leave them out or wait for them.
    // For the transaction alone: behind PgBouncer the next one on this connection may be another program's.
    connection.run_script(read ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : begin_to_write_.c_str());
    try {
      body(connection);
      connection.run("COMMIT");
    } catch (...) {
      roll_back(connection);
      throw;
    }
  }

  void wait(std::chrono::milliseconds pause, Clock::duration waited, const TryAgain& error) const {
    if (patience_.stop.stop_requested()) {
      std::this_thread::sleep_for(pause);
    } else {
      std::mutex mutex;
      std::condition_variable_any never;
      std::unique_lock lock(mutex);
      never.wait_for(lock, patience_.stop, pause, [] { return false; });
    }
    const auto most = patience_.stop.stop_requested() ? std::min(patience_.server, kPatienceOfTheStopped)
                                                      : patience_.server;
    if (waited > most) throw_failure("{}: the database's server cannot be reached: {}", name_, error.what());
  }

  static void roll_back(PostgresConnection& connection) noexcept {
    try {
      connection.run("ROLLBACK");
    } catch (...) {
      return;  // the first error is the one to report; the connection is not used again
    }
  }

  std::unique_ptr<PostgresConnection> take() {
    {
      std::unique_lock lock(mutex_);
      given_back_.wait(lock, [&] { return !idle_.empty() || open_ < kMostConnections; });
      if (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
      ++open_;
    }
    try {
      return std::make_unique<PostgresConnection>(url_, name_);
    } catch (...) {
      give_back(nullptr);
      throw;
    }
  }

  void give_back(std::unique_ptr<PostgresConnection> connection) {
    {
      const std::lock_guard lock(mutex_);
      if (connection && connection->is_usable())
        idle_.push_back(std::move(connection));
      else
        --open_;
    }
    given_back_.notify_one();
  }

  // Where one connection was lost the others were too.
  void drop_idle() {
    const std::lock_guard lock(mutex_);
    open_ -= idle_.size();
    idle_.clear();
  }

  std::string url_;
  Access access_;
  Patience patience_;
  std::string name_;
  std::string begin_to_write_ = fmt::format(
      "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL enable_seqscan=off;"
      " SET LOCAL idle_in_transaction_session_timeout={}; SET LOCAL lock_timeout={}",
      patience_.idle.count(), patience_.lock.count());
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::vector<std::unique_ptr<PostgresConnection>> idle_;
  size_t open_ = 0;
};

}  // namespace

std::unique_ptr<Database> open_postgres(const std::string& url, Access access, const Patience& patience) {
  return std::make_unique<PostgresDatabase>(url, access, patience);
}

}  // namespace retort::study
