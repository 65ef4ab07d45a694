// SQLite files that somebody made to harm their reader: nothing in them runs.
#include <gtest/gtest.h>

#include <filesystem>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "study/database.h"
#include "study/storage.h"
#include "temporary_folder.h"

namespace retort::study {
namespace {

constexpr const char* kEndless =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x AS study_id, 'retort'||x AS "
    "study_name FROM c";

class StrangeDatabase : public testing::Test {
 protected:
  StrangeDatabase() { open_storage(place_, {{"accuracy"}}); }

  void change(std::initializer_list<std::string> statements) {
    open_sqlite(file_, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
      for (const std::string& statement : statements) sql.run(statement);
    });
  }
  // What each way of opening it says; all say the same.
  std::string refusal() {
    const auto sentence_of = [&](const auto& call) -> std::string {
      try {
        call();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::Failure);
        return error.what();
      }
      return {};
    };
    std::string said = sentence_of([&] { static_cast<void>(study_names(place_.url)); });
    EXPECT_EQ(sentence_of([&] { open_storage(place_, Access::Read); }), said);
    EXPECT_EQ(sentence_of([&] { open_storage(place_, {{"accuracy"}}); }), said);
    EXPECT_EQ(sentence_of([&] { export_for_optuna(place_.url, kOptunaSchema, folder_.path() / "copy"); }),
              said);
    return said;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "study.db";
  Place place_ = sqlite_place(file_);
};

TEST_F(StrangeDatabase, AViewInATablesPlaceIsRefused) {
  change({"ALTER TABLE studies RENAME TO studies_", std::string("CREATE VIEW Studies AS ") + kEndless});
  EXPECT_NE(refusal().find("study.db: has a view 'Studies' where a study has tables alone"),
            std::string::npos);
}

TEST_F(StrangeDatabase, ATriggerOnATableIsRefused) {
  change({"CREATE TRIGGER t AFTER INSERT ON retort_documents BEGIN DELETE FROM studies; END"});
  EXPECT_NE(refusal().find("study.db: has a trigger 't'"), std::string::npos);
}

TEST_F(StrangeDatabase, AVirtualTableInATablesPlaceIsRefused) {
  try {
    change({"DROP TABLE trial_heartbeats",
            "CREATE VIRTUAL TABLE trial_heartbeats USING fts5(trial_id, heartbeat)"});
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();  // an SQLite without them
  }
  EXPECT_NE(refusal().find("study.db: has a virtual table 'trial_heartbeats'"), std::string::npos);
}

TEST_F(StrangeDatabase, WhatOthersAddUnderOtherNamesIsLeftAlone) {
  change({"CREATE VIEW best AS SELECT max(value) FROM trial_values", "CREATE TABLE notes(text)",
          "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END"});
  EXPECT_EQ(refusal(), "");
}

// Whatever the list of names says, which is the file's own.
TEST_F(StrangeDatabase, NoViewIsReadAndNoTriggerRuns) {
  const auto database = open_sqlite(file_, Access::Write);
  database->transact(Transaction::Write, [](Connection& sql) {
    sql.run("CREATE TABLE notes(text)");
    sql.run("CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END");
    sql.run("INSERT INTO notes VALUES ('kept')");
    EXPECT_EQ(sql.run("SELECT * FROM notes").rows.size(), 1U);
    sql.run("CREATE VIEW one AS SELECT 1");
  });
  EXPECT_THROW(database->transact(Transaction::Read, [](Connection& sql) { sql.run("SELECT * FROM one"); }),
               Error);
}

TEST_F(StrangeDatabase, AStatementWithoutEndStopsWithItsPlace) {
  std::stop_source stop;
  stop.request_stop();
  const auto database = open_sqlite(file_, Access::Read, stop.get_token());
  // What is quick is still done.
  database->transact(Transaction::Read,
                     [](Connection& sql) { EXPECT_EQ(sql.run("SELECT * FROM studies").rows.size(), 1U); });
  try {
    database->transact(Transaction::Read, [](Connection& sql) {
      sql.run(std::string("SELECT count(*) FROM (") + kEndless + ")");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Interrupted);
  }
}

}  // namespace
}  // namespace retort::study
