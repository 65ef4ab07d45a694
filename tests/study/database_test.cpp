// Studies' databases that several processes open, and files that hold none.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "study/storage_contract.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;

// What holds for databases that several open at once.
class DatabaseContract : public StorageContract {
 protected:
  // As if the clock had been set: it makes no difference which of them moves.
  void set_clock(double seconds) {
    open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
      sql.run(fmt::format("UPDATE retort_leases SET beat_at=beat_at-({})", seconds));
    });
  }
};

TEST_P(DatabaseContract, StudiesShareADatabase) {
  Place other = place_;
  other.study = "another study";
  const auto second = open_storage(other, {{"loss", Direction::Minimize}});
  add({"a", "b"});
  EXPECT_TRUE(second->add_trials(0, proposals({"c"})));
  second->put_document("k", "2");
  EXPECT_EQ(storage_->document("k"), std::nullopt);
  EXPECT_EQ(second->claim("w", kLease)->trial.proposal, "c");
  EXPECT_EQ(second->release("v"), 0);
  EXPECT_EQ(storage_->release("w"), 0);
  EXPECT_FALSE(second->claim("w", kLease));
  EXPECT_EQ(storage_->trials().size(), 2U);
  EXPECT_EQ(study_names(place_.url), (std::vector<std::string>{"retort", "another study"}));
  EXPECT_THROW(open_storage(other, kObjectives), Error);
  other.study = "none";
  EXPECT_THROW(open_storage(other, Access::Write), Error);
  EXPECT_THROW(open_storage(other, Access::Read), Error);
}

TEST_P(DatabaseContract, AReaderChangesNothing) {
  add({"a"});
  const auto reader = open_storage(place_, Access::Read);
  EXPECT_EQ(reader->trials(), storage_->trials());
  EXPECT_EQ(reader->objectives(), kObjectives);
  EXPECT_THROW(reader->put_document("k", "2"), Error);
  EXPECT_THROW(reader->claim("w", kLease), Error);
  EXPECT_THROW(reader->add_trials(1, proposals({"b"})), Error);
}

// Else a claim reads all that a long search has finished.
TEST_P(DatabaseContract, AClaimLooksItsTrialUp) {
  if (GetParam() != Kind::Sqlite) return;  // PostgreSQL plans by what tables hold
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    const Result plan = sql.run(
        "EXPLAIN QUERY PLAN SELECT trial_id FROM retort_trials WHERE study_id=1 AND state='WAITING' AND "
        "number<9"
        " ORDER BY number LIMIT 1");
    ASSERT_EQ(plan.rows.size(), 1U);  // no sorting
    const std::string detail = plan.rows[0].back().value_or("");
    EXPECT_NE(detail.find("retort_trials_state (study_id=? AND state=? AND number<?)"), std::string::npos)
        << detail;
  });
}

TEST_P(DatabaseContract, ManyOpenANewOneAtOnce) {
  TemporaryFolder folder;
  const Place place = GetParam() == Kind::Postgres ? Place{.url = PostgresServer::shared()->make_database()}
                                                   : sqlite_place(folder.path() / "new.db");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] { EXPECT_NO_THROW(open_storage(place, kObjectives)->put_document("k", "1")); });
}

TEST_P(DatabaseContract, AClockThatIsSetBackDelaysNothingForLong) {
  if (GetParam() == Kind::Sqlite) return;  // the steady clock is never set back
  add({"a"});
  static_cast<void>(storage_->claim("dead", 0.2));
  set_clock(-3600);
  EXPECT_EQ(storage_->release_expired(), 0);  // from here it counts
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(storage_->release_expired(), 1);
}

TEST_P(DatabaseContract, AClockThatIsSetForwardLosesNoResult) {
  add({"a"});
  const Claim held = claim();
  set_clock(3600);
  // Nobody asked: the holder goes on.
  EXPECT_TRUE(storage_->heartbeat(std::vector{held}).empty());
  set_clock(3600);
  const Claim next = claim("next");
  EXPECT_EQ(next, (Claim{0, "next", 2}));
  EXPECT_THROW(storage_->finish(held, {TrialState::Skipped, ""}), LostLease);
  storage_->finish(next, {TrialState::Skipped, "r"});
}

TEST_P(DatabaseContract, LeasesOfAnotherClockAreOver) {
  add({"a"});
  static_cast<void>(claim());
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("UPDATE retort_leases SET clock='before the reboot'");
  });
  EXPECT_EQ(storage_->release_expired(), 1);
}

TEST_P(DatabaseContract, CheckpointsInAFolderGoWithTheirTrials) {
  Place place = place_;
  place.artefacts = folder_.path() / "shared";
  const auto storage = open_storage(place, kObjectives);
  ASSERT_TRUE(storage->add_trials(0, proposals({"a"})));
  const Claim held = storage->claim("w", kLease).value().claim;
  const auto files = [&] { return std::distance(fs::directory_iterator(place.artefacts), {}); };
  storage->put_checkpoint(held, std::vector<uint8_t>{1});
  storage->put_checkpoint(held, std::vector<uint8_t>{2});
  EXPECT_EQ(files(), 1);
  storage->finish(held, {TrialState::Skipped, ""});
  EXPECT_EQ(files(), 0);
  EXPECT_THROW(storage->put_checkpoint(held, std::vector<uint8_t>{3}), LostLease);
  EXPECT_EQ(files(), 0);
}

TEST_P(DatabaseContract, AStudyOfTheFormatBeforeIsReadAsItIsAndBroughtUpToDateToBeWritten) {
  add({"a"});
  const Claim held = claim();
  const auto database = open_database(place_.url, Access::Write);
  database->transact(Transaction::Write, [&](Connection& sql) {
    sql.run("DROP TABLE retort_checkpoints");
    sql.run("DROP TABLE retort_leads");
    sql.run("ALTER TABLE retort_leases DROP COLUMN token");
    sql.run("UPDATE retort_version SET version=2");
  });
  EXPECT_EQ(open_storage(place_, Access::Read)->trials().size(), 1U);
  EXPECT_EQ(open_storage(place_, Access::Read)->leases().size(), 1U);
  reopen();
  EXPECT_EQ(storage_->lead("w", kLease), std::nullopt);
  storage_->put_checkpoint(held, std::vector<uint8_t>{1});
  storage_->release("w");
  EXPECT_TRUE(storage_->claim("w", kLease).value().checkpoint);
  database->transact(Transaction::Write,
                     [&](Connection& sql) { sql.run("UPDATE retort_version SET version=5"); });
  try {
    open_storage(place_, Access::Read);
    FAIL() << "a later format was opened";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another version of this program (format 5, this one knows 4)"),
              std::string::npos)
        << error.what();
  }
}

// Its beat waits its turn to write for longer than a second, and somebody looks for lost leases meanwhile.
TEST_P(DatabaseContract, ALateBeatIsNotTakenForAClockThatWasSetBack) {
  if (GetParam() != Kind::Sqlite) return;  // there a writer waits for a row, and the server's clock does not
  add({"a"});
  const auto held = storage_->claim("w", 2).value();
  const auto database = open_database(place_.url, Access::Write);
  {
    std::jthread beat;
    std::jthread look;
    database->transact(Transaction::Write, [&](Connection&) {
      beat = std::jthread([&] { storage_->heartbeat(std::vector{held.claim}); });
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      look = std::jthread([&] { storage_->release_expired(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    });
  }
  const auto leases = storage_->leases();
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_LT(leases[0].silent_seconds, 1) << "the beat was put back to when the look began";
}

TEST_P(DatabaseContract, ArtefactsInAFolderAreChecked) {
  Place place = place_;
  place.artefacts = folder_.path() / "shared";
  const auto storage = open_storage(place, kObjectives);
  const std::vector<uint8_t> bytes = {1, 2, 3};
  const std::string hash = storage->put_artefact(bytes);
  EXPECT_EQ(storage->artefact(hash), bytes);
  EXPECT_THROW(static_cast<void>(storage_->artefact(hash)), Error);
  write_file_atomic(place.artefacts / hash, std::vector<uint8_t>{1, 2, 4});
  EXPECT_THROW(static_cast<void>(storage->artefact(hash)), Error);
  // Put before there was a folder.
  const std::string old = storage_->put_artefact(std::vector<uint8_t>{9});
  EXPECT_EQ(storage->artefact(old), std::vector<uint8_t>{9});
}

TEST_P(DatabaseContract, ACopyForAnotherOptunaHasItsSchema) {
  add({"a", "b"});
  storage_->finish(claim(), {TrialState::Complete, "r", {0.1, 2}});
  // PostgreSQL gives both without the last zeros.
  open_database(place_.url, Access::Write)->transact(Transaction::Write, [&](Connection& sql) {
    sql.run(
        "UPDATE trials SET datetime_start='2026-01-01 01:00:00.5', datetime_complete='2026-01-01 01:00:01'");
  });
  for (const std::string schema : {"v3.0.0.d", "v3.2.0.a"}) {
    const fs::path copy = folder_.path() / (schema + ".db");
    export_for_optuna(place_.url, schema, copy);
    EXPECT_FALSE(fs::exists(copy.string() + "-wal"));
    open_sqlite(copy, Access::Read)->transact(Transaction::Read, [&](Connection& sql) {
      EXPECT_EQ(sql.run("SELECT version_num FROM alembic_version").rows.at(0).at(0), schema);
      EXPECT_EQ(sql.run("SELECT value FROM trial_values ORDER BY objective").rows.at(0).at(0), "0.1");
      EXPECT_EQ(sql.run("SELECT count(*) FROM trials").rows.at(0).at(0), "2");
      const auto times = sql.run("SELECT datetime_start, datetime_complete FROM trials").rows.at(0);
      EXPECT_EQ(times.at(0), "2026-01-01 01:00:00.500000") << "SQLAlchemy takes the digits for microseconds";
      EXPECT_EQ(times.at(1), "2026-01-01 01:00:01.000000");
      EXPECT_TRUE(sql.run("SELECT 1 FROM sqlite_master WHERE name LIKE 'retort%'").rows.empty());
    });
    EXPECT_THROW(export_for_optuna(place_.url, schema, copy), Error);
  }
  EXPECT_THROW(export_for_optuna(place_.url, "v4", folder_.path() / "x.db"), Error);
}

TEST_P(DatabaseContract, ACopyHasAllStudiesOrThoseThatAreNamed) {
  // More trials than are copied at once, those of two studies in turn.
  const auto other = storage_->beside("other", {{"accuracy"}});
  constexpr int kTimes = 3;
  const NewTrial trial = {.proposal = "p",
                          .parameters = {{"blocks", "{}", 3}},
                          .constraints = {-1},
                          .attributes = {{"macs", "7"}}};
  for (int i = 0; i < kTimes; ++i) {
    ASSERT_TRUE(storage_->add_trials(100 * i, std::vector(100, trial)));
    ASSERT_TRUE(other->add_trials(150 * i, std::vector(150, trial)));
  }
  const Claim held = other->claim("w", kLease).value().claim;
  other->put_stage(held, {"quick", "1"}, std::vector<IntermediateValue>{{1, 0.5}});
  other->finish(held, {TrialState::Complete, "r", {0.25}});
  const std::vector<std::string> tables = {"studies",
                                           "study_directions",
                                           "study_system_attributes",
                                           "trials",
                                           "trial_params",
                                           "trial_user_attributes",
                                           "trial_system_attributes",
                                           "trial_values",
                                           "trial_intermediate_values"};
  const auto rows_of = [&](std::string_view name, const std::vector<std::string>& studies) {
    const fs::path copy = folder_.path() / name;
    export_for_optuna(place_.url, kOptunaSchema, copy, studies);
    std::vector<int> counts;
    open_sqlite(copy, Access::Read)->transact(Transaction::Read, [&](Connection& sql) {
      for (const std::string& table : tables)
        counts.push_back(integer(sql.run("SELECT count(*) FROM " + table).rows.at(0).at(0)));
      const int numbers = integer(sql.run("SELECT count(DISTINCT number) FROM trials WHERE study_id=(SELECT "
                                          "max(study_id) FROM studies)")
                                      .rows.at(0)
                                      .at(0));
      EXPECT_EQ(numbers, studies.empty() || studies[0] == "other" ? 450 : 300);
    });
    return counts;
  };
  EXPECT_EQ(rows_of("all.db", {}), (std::vector{2, 3, 2, 750, 750, 750, 750, 1, 1}));
  EXPECT_EQ(rows_of("both.db", {"other", "retort"}), (std::vector{2, 3, 2, 750, 750, 750, 750, 1, 1}));
  EXPECT_EQ(rows_of("retort.db", {"retort"}), (std::vector{1, 2, 1, 300, 300, 300, 300, 0, 0}));
  EXPECT_EQ(rows_of("other.db", {"other"}), (std::vector{1, 1, 1, 450, 450, 450, 450, 1, 1}));
  const std::vector<std::string> missing = {"retort", "nobody"};
  EXPECT_THROW(export_for_optuna(place_.url, kOptunaSchema, folder_.path() / "x.db", missing), Error);
  EXPECT_FALSE(fs::exists(folder_.path() / "x.db"));
}

TEST_P(DatabaseContract, ACopyLeavesNothingElseAndOverwritesNothing) {
  add({"a"});
  TemporaryFolder other;
  const fs::path copy = other.path() / "copy.db";
  const fs::path mine = other.path() / "copy.db.part";
  write_text_atomic(mine, "mine");
  export_for_optuna(place_.url, kOptunaSchema, copy);
  EXPECT_EQ(read_text(mine), "mine");
  const std::vector<std::string> missing = {"nobody"};
  EXPECT_THROW(export_for_optuna(place_.url, kOptunaSchema, other.path() / "x.db", missing), Error);
  std::set<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(other.path())) left.insert(entry.path());
  EXPECT_EQ(left, (std::set<fs::path>{copy, mine}));
}

INSTANTIATE_TEST_SUITE_P(Every, DatabaseContract, testing::Values(Kind::Sqlite), kKindName);
INSTANTIATE_TEST_SUITE_P(Postgres, DatabaseContract, testing::Values(Kind::Postgres), kKindName);

std::string failure_of(const Place& place, ErrorCode code = ErrorCode::Failure) {
  try {
    const auto storage = open_storage(place, {{"accuracy"}});
    static_cast<void>(storage->trials());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

TEST(SqliteStorage, AForeignFileIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  write_text_atomic(path, std::string(5000, 'x'));
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("study.db: is not a study's database"), std::string::npos) << failure;
}

TEST(SqliteStorage, AnotherProgramsDatabaseIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_sqlite(path, Access::Write)->transact(Transaction::Write, [](Connection& sql) {
    sql.run("CREATE TABLE books(title)");
  });
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("is a database of another program"), std::string::npos) << failure;
}

TEST(SqliteStorage, AStudyOfTheFirstFormatIsRefused) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_sqlite(path, Access::Write)->transact(Transaction::Write, [](Connection& sql) {
    sql.run("CREATE TABLE document(key TEXT)");
    sql.run("CREATE TABLE stage(trial INTEGER)");
  });
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("was written by an earlier version of this program (format 1"), std::string::npos)
      << failure;
}

TEST(SqliteStorage, OptunasOwnDatabaseIsJoinedWhenItsSchemaIsTheSame) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "optuna.db";
  const auto database = open_sqlite(path, Access::Write);
  database->transact(Transaction::Write, [&](Connection& sql) {
    make_optuna_tables(sql, database->dialect(), kOldOptunaSchema);
  });
  EXPECT_NE(failure_of(sqlite_place(path)).find("Optuna's tables of version v3.0.0.d"), std::string::npos);
  database->transact(Transaction::Write,
                     [&](Connection& sql) { sql.run("UPDATE alembic_version SET version_num='v3.2.0.a'"); });
  EXPECT_EQ(failure_of(sqlite_place(path)), "");
}

TEST(SqliteStorage, ADamagedPageIsReported) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "study.db";
  open_storage(sqlite_place(path), {{"accuracy"}})
      ->add_trials(0, proposals(std::vector<std::string>(50, std::string(2000, 'p'))));
  std::vector<uint8_t> bytes = read_file(path);
  ASSERT_GT(bytes.size(), 20'000U);
  std::fill(bytes.begin() + 4096, bytes.end() - 4096, uint8_t{0x5A});
  write_file_atomic(path, bytes);
  const std::string failure = failure_of(sqlite_place(path));
  EXPECT_NE(failure.find("damaged"), std::string::npos) << failure;
}

TEST(SqliteStorage, WhatNoStudyHasIsReported) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"UPDATE study_system_attributes SET value_json='['", "parse error"},
      {"UPDATE trial_system_attributes SET value_json='{}'", "type must be array"},
      {"DELETE FROM retort_version", "rows are missing in it"},
      {"DELETE FROM alembic_version", "rows are missing in it"}};
  for (const auto& [change, why] : changes) {
    const TemporaryFolder folder;
    const Place place = sqlite_place(folder.path() / "study.db");
    {
      const auto storage = open_storage(place, {{"accuracy"}});
      const std::vector<NewTrial> trial = {{.proposal = "p", .constraints = {0.5}}};
      ASSERT_TRUE(storage->add_trials(0, trial));
      const auto claimed = storage->claim("w", kLease);
      ASSERT_TRUE(claimed);
      storage->put_stage(claimed->claim, {"quick", "1"});
    }
    open_sqlite(folder.path() / "study.db", Access::Write)
        ->transact(Transaction::Write, [&](Connection& sql) { ASSERT_GT(sql.run(change).changed, 0); });
    try {
      const auto storage = open_storage(place, Access::Read);
      static_cast<void>(storage->objectives());
      static_cast<void>(storage->details(storage->trials().at(0).number));
      ADD_FAILURE() << change;
    } catch (const Error& error) {
      const std::string sentence = error.what();
      EXPECT_NE(sentence.find("study.db: the study's database is damaged: "), std::string::npos) << sentence;
      EXPECT_NE(sentence.find(why), std::string::npos) << sentence;
    }
  }
}

TEST(SqliteStorage, AFolderThatIsMissingIsNamed) {
  const std::string failure = failure_of({.url = "sqlite:/nonexistent/folder/study.db"});
  EXPECT_NE(failure.find("/nonexistent/folder/study.db: the study's database cannot be opened or written"),
            std::string::npos)
      << failure;
}

TEST(SqliteStorage, AFileThatIsMissingIsNamedAndNotMade) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "study.db";
  try {
    static_cast<void>(open_storage(sqlite_place(file), Access::Read));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_EQ(error.what(), file.string() + ": no database of studies is there: check its name");
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(SqliteStorage, OtherFormsOfNamesAreRefused) {
  EXPECT_NE(failure_of({.url = "mysql://host/db"}, ErrorCode::Usage).find("no kind of database"),
            std::string::npos);
  EXPECT_NE(failure_of({.url = "sqlite:"}, ErrorCode::Usage).find("no name"), std::string::npos);
  EXPECT_NE(
      failure_of({.url = "postgresql://host/db?nonsense=1"}, ErrorCode::Usage).find("no URL of PostgreSQL"),
      std::string::npos);
  // Nobody listens there: said at once.
  EXPECT_NE(failure_of({.url = "postgresql://user:secret@127.0.0.1:1/db"})
                .find("postgresql://127.0.0.1:1/db: the database's server cannot be reached"),
            std::string::npos);
}

TEST(SqliteToRead, SeesWhatALiveWriterStoredAndWritesNothing) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a 100% #1?.db";
  EXPECT_THROW(open_storage(sqlite_place(path), Access::Read), Error);
  EXPECT_FALSE(fs::exists(path));
  auto writer = open_storage(sqlite_place(path), {{"accuracy"}});
  writer->put_document("k", "1");
  EXPECT_EQ(open_storage(sqlite_place(path), Access::Read)->document("k"), "1");
  writer.reset();
  const auto reader = open_storage(sqlite_place(path), Access::Read);
  EXPECT_EQ(reader->document("k"), "1");
  EXPECT_THROW(reader->put_document("k", "2"), Error);
}

}  // namespace
}  // namespace retort::study
