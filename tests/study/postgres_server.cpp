#include "study/postgres_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "study/database.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

// Debian keeps each version's programs in a folder of its own.
std::optional<fs::path> programs() {
  std::optional<fs::path> newest;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", none)) {
    const fs::path bin = entry.path() / "bin";
    if (fs::exists(bin / "postgres") && fs::exists(bin / "initdb") && (!newest || bin > *newest))
      newest = bin;
  }
  return newest;
}

// PostgreSQL refuses to run as root.
const passwd* unprivileged() {
  return geteuid() == 0 ? getpwnam("nobody") : nullptr;
}

pid_t start_program(const std::vector<std::string>& command, const fs::path& log) {
  const passwd* user = unprivileged();
  const pid_t child = fork();
  if (child != 0) return child;
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  if (user != nullptr &&
      (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
    _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGINT);  // it never outlives the test
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

PostgresServer* PostgresServer::shared() {
  if (!programs()) return nullptr;
  static PostgresServer server;
  return &server;
}

std::string PostgresServer::why_missing() {
  return "no PostgreSQL server is installed: apt-get install postgresql";
}

PostgresServer::PostgresServer() {
  if (const passwd* user = unprivileged())
    if (chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("the folder cannot be given away");
  const pid_t maker =
      start_program({programs()->string() + "/initdb", "-D", (folder_.path() / "data").string(), "-A",
                     "trust", "-U", "retort", "-E", "UTF8", "--no-sync"},
                    folder_.path() / "initdb.log");
  int status = 0;
  waitpid(maker, &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed, see " + (folder_.path() / "initdb.log").string());
  start();
}

PostgresServer::~PostgresServer() {
  stop(Stop::Fast);
}

void PostgresServer::start() {
  for (int i = 0; i < 1000; ++i) {
    // One that follows a killed one ends at once as long as that one's processes have not noticed.
    if (server_ == 0 || waitpid(server_, nullptr, WNOHANG) == server_)
      server_ = start_program({programs()->string() + "/postgres", "-D", (folder_.path() / "data").string(),
                               "-k", folder_.path().string(), "-c", "listen_addresses=", "-c", "fsync=off"},
                              folder_.path() / "server.log");
    try {
      run(url("postgres"), "SELECT 1");
      return;
    } catch (const Error&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  throw std::runtime_error("the server does not start, see " + (folder_.path() / "server.log").string());
}

void PostgresServer::stop(Stop how) {
  if (server_ == 0) return;
  kill(server_, how == Stop::Fast ? SIGINT : SIGKILL);
  waitpid(server_, nullptr, 0);
  server_ = 0;
}

std::string PostgresServer::make_database() {
  const std::string name = fmt::format("test{}", databases_++);
  const auto admin = open_postgres(url("postgres"), Access::Write);
  run(url("postgres"), "SELECT 1");
  // Not inside a transaction: COMMIT of the one that is open comes first.
  admin->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("COMMIT");
    sql.run("CREATE DATABASE " + name);
  });
  return url(name);
}

void PostgresServer::run(const std::string& database_url, const std::string& sql) {
  open_postgres(database_url, Access::Write)->transact(Transaction::Write, [&](Connection& connection) {
    connection.run(sql);
  });
}

std::string PostgresServer::url(const std::string& database) const {
  return fmt::format("postgresql://retort@/{}?host={}", database, folder_.path().string());
}

}  // namespace retort::study
