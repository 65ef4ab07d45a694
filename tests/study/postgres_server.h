// A PostgreSQL server of the tests' own: Debian's package, a fresh cluster in a temporary folder, reached by a
// socket in it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "temporary_folder.h"

namespace retort::study {

class PostgresServer {
 public:
  // Null where no server is installed: why_missing() is for GTEST_SKIP.
  static PostgresServer* shared();
  static std::string why_missing();

  PostgresServer();
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void start();
  enum class Stop { Fast, Kill };  // in order, or by SIGKILL
  void stop(Stop how);
  // A new, empty database.
  std::string make_database();
  void run(const std::string& database_url, const std::string& sql);

 private:
  [[nodiscard]] std::string url(const std::string& database) const;

  TemporaryFolder folder_;
  pid_t server_ = 0;
  int databases_ = 0;
};

}  // namespace retort::study
