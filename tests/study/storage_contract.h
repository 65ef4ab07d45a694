// What the tests of storages share: one of each kind, made anew for each test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "study/database.h"
#include "study/postgres_server.h"
#include "study/sql_storage.h"
#include "study/storage.h"
#include "study/wrapped_database.h"
#include "temporary_folder.h"

namespace retort::study {

inline constexpr double kLease = 60;

// Of Forgetful the answer to every transaction that writes is lost once: it is carried out, and run again.
enum class Kind { Memory, Sqlite, Forgetful, Postgres };

class Forgetful final : public WrappedDatabase {
 public:
  using WrappedDatabase::WrappedDatabase;
  void transact(Transaction kind, const std::function<void(Connection&)>& body) override {
    WrappedDatabase::transact(kind, body);
    if (kind == Transaction::Write) WrappedDatabase::transact(kind, body);
  }
};

inline Ending failed(const std::string& result) {
  return {.state = TrialState::Failed, .result = result};
}

inline std::vector<NewTrial> proposals(const std::vector<std::string>& texts) {
  std::vector<NewTrial> out;
  for (const std::string& text : texts) out.push_back({.proposal = text});
  return out;
}

class StorageContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::Postgres) {
      PostgresServer* server = PostgresServer::shared();
      if (server == nullptr) GTEST_SKIP() << PostgresServer::why_missing();
      place_.url = server->make_database();
    } else {
      place_ = sqlite_place(folder_.path() / "study.db");
    }
    reopen();
  }
  void reopen() {
    if (GetParam() == Kind::Memory && storage_) return;
    storage_.reset();
    storage_ = another();
  }
  // As another process has it.
  [[nodiscard]] std::unique_ptr<Storage> another() const {
    switch (GetParam()) {
      case Kind::Memory:
        return make_memory_storage(kObjectives);
      case Kind::Forgetful:
        return std::make_unique<SqlStorage>(
            std::make_unique<Forgetful>(open_database(place_.url, Access::Write)), place_, Access::Write,
            &kObjectives);
      default:
        return open_storage(place_, kObjectives);
    }
  }
  void add(const std::vector<std::string>& texts) {
    ASSERT_TRUE(storage_->add_trials(static_cast<int>(storage_->trials().size()), proposals(texts)));
  }
  Claim claim(const std::string& worker = "w") {
    const auto claimed = storage_->claim(worker, kLease);
    return claimed ? claimed->claim : Claim{.trial = -1};
  }
  [[nodiscard]] TrialState state(int trial) const {
    return storage_->trials().at(static_cast<size_t>(trial)).state;
  }

  inline static const std::vector<Objective> kObjectives = {{"accuracy", Direction::Maximize},
                                                            {"flash", Direction::Minimize}};
  TemporaryFolder folder_;
  Place place_;
  std::unique_ptr<Storage> storage_;
};

inline const auto kKindName = [](const auto& kind) {
  return kind.param == Kind::Memory      ? "Memory"
         : kind.param == Kind::Sqlite    ? "Sqlite"
         : kind.param == Kind::Forgetful ? "Forgetful"
                                         : "Postgres";
};

}  // namespace retort::study
