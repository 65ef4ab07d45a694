// Searches whose study is in a storage that several share.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "search/search.h"
#include "search/shared_work.h"
#include "search/study_folder.h"
#include "search/study_place.h"
#include "search/trial_record.h"
#include "search/worker.h"
#include "shared_fixture.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

TEST_F(SharedTest, ASecondSearchOfAStudyWhoseSearchLivesIsRefused) {
  std::atomic<bool> began = false;
  std::atomic<bool> refused = false;
  StudyResult first;
  std::jthread one([&] {
    first = run("one", place, {}, [&](const StudyResult& study) {
      if (study.trials.empty()) return;
      began = true;
      while (!refused) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
  });
  while (!began) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const Thrown thrown = thrown_by([&] { run("two", place); });
  refused = true;
  one.join();
  EXPECT_NE(thrown.sentence.find("another search works on this study"), std::string::npos) << thrown.sentence;
  EXPECT_EQ(first.trials.size(), 3U);
  EXPECT_EQ(study::open_storage(place, study::Access::Read)->trial_count(), 3);
}

TEST_F(SharedTest, ASearchWhoseStudyWasTakenOverEndsAndWritesNothing) {
  std::atomic<bool> taken = false;
  const Thrown thrown = thrown_by([&] {
    run("one", place, {}, [&](const StudyResult& study) {
      if (study.trials.size() != 1 || taken.exchange(true)) return;
      // As if this one had slept, and another had waited.
      const auto storage = study::open_storage(place, study::Access::Write);
      const std::string same = worker_name(at("one"), true);
      EXPECT_FALSE(storage->lead(same, 60).has_value());
    });
  });
  EXPECT_NE(thrown.sentence.find("was taken over by another search"), std::string::npos) << thrown.sentence;
}

TEST_F(SharedTest, ASearchGoesOnInAnotherFolderWithAllItsFiles) {
  run_some("one", 1);
  fs::rename(at("one"), at("gone"));
  const StudyResult study = run("two", place);
  EXPECT_EQ(study.trials.size(), 3U);
  const TemporaryFolder elsewhere;
  const StudyResult alone = run_search(settings, dataset, {.folder = elsewhere.path(), .workers = 1});
  for (const TrialResult& trial : alone.trials) {
    ASSERT_FALSE(trial.file.empty());
    EXPECT_EQ(read_file(at("two") / trial.file), read_file(elsewhere.path() / trial.file)) << trial.number;
  }
  EXPECT_EQ(read_file(at("two") / "teacher/logits.npy"), read_file(elsewhere.path() / "teacher/logits.npy"));

  // And when it is finished.
  EXPECT_EQ(run("three", place).trials.size(), 3U);
  for (const char* file : {"best/model.tflite", "teacher/weights.retort"})
    EXPECT_EQ(read_file(at("three") / file), read_file(elsewhere.path() / file)) << file;
  EXPECT_EQ(read_file(at("three") / alone.finalists.at(0).runs.at(1).file),
            read_file(elsewhere.path() / alone.finalists.at(0).runs.at(1).file));
}

TEST_F(SharedTest, TheFolderRemembersWhereItsStudyIs) {
  run_some("out", 1);
  EXPECT_EQ(load_study(at("out")).trials.size(), 1U);
  EXPECT_EQ(stored_search(at("out")).data_spec, dataset.spec);
  EXPECT_EQ(place_of(at("out")).study, "mine");
  EXPECT_EQ(run("out", {}).trials.size(), 3U);
  EXPECT_FALSE(fs::exists(at("out") / "study.db")) << "a second study over the same trials";
  EXPECT_EQ(load_study(at("out")).finalists.size(), 1U);

  study::Place other = place;
  other.study = "other";
  const Thrown thrown = thrown_by([&] { run("out", other); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("holds a search already, whose study 'mine' is in sqlite:"),
            std::string::npos)
      << thrown.sentence;
  run("alone", {});
  EXPECT_NE(thrown_by([&] { run("alone", other); }).sentence.find("is in the folder itself"),
            std::string::npos);
}

TEST_F(SharedTest, ThePlaceIsRememberedWithoutItsPassword) {
  remember_place(folder.path(), {.url = "postgresql://ann:secret@host/db", .study = "mine"});
  EXPECT_EQ(read_text(folder.path() / "storage.json").find("secret"), std::string::npos);
  EXPECT_EQ(place_of(folder.path()).url, "postgresql://ann@host/db");
  EXPECT_EQ(place_of(folder.path(), {.url = "sqlite:x"}).url, "sqlite:x");
  // Whoever uses it has a stop of their own.
  std::stop_source stop;
  const study::Place where = place_of(folder.path(), until(stop.get_token(), {}));
  stop.request_stop();
  EXPECT_TRUE(where.stop.stop_requested());
}

// Else a stranger's folder would choose where this user's password goes.
TEST_F(SharedTest, APlaceIsBelievedWhereThisUserHasWrittenIt) {
  const fs::path file = at("out") / "storage.json";
  const study::Place server = {.url = "postgresql://ann@host/db", .study = "mine"};
  fs::create_directories(at("out"));
  remember_place(at("out"), server);
  const std::string written = read_text(file);
  EXPECT_EQ(place_of(at("out")).study, "mine");
  fs::rename(at("out"), at("moved"));
  EXPECT_EQ(place_of(at("moved")).url, server.url) << "wherever the folder is";
  fs::rename(at("moved"), at("out"));

  for (const auto& [from, to] : {std::pair{"@host", "@hos"},
                                 {"ann", "bob"},
                                 {"mine", "min"},
                                 {"\"artefacts\": \"", "\"artefacts\": \"/tmp"},
                                 {"\"mark\"", "\"other\""}}) {
    std::string forged = written;
    ASSERT_NE(forged.find(from), std::string::npos) << from;
    write_text_atomic(file, forged.replace(forged.find(from), std::string(from).size(), to));
    const Thrown thrown = thrown_by([&] { static_cast<void>(place_of(at("out"))); });
    EXPECT_EQ(thrown.code, ErrorCode::Usage) << from;
    EXPECT_NE(thrown.sentence.find(" in \"postgresql://"), std::string::npos) << thrown.sentence;
  }
  EXPECT_EQ(place_of(at("out"), server).url, server.url) << "it is said";
  // A search that is told of it writes it anew.
  remember_place(at("out"), server);
  EXPECT_EQ(read_text(file), written);

  // Another user, or this one on another machine: another key.
  const char* before = getenv("RETORT_CACHE");
  const std::string kept = before != nullptr ? before : "";
  setenv("RETORT_CACHE", at("others cache").c_str(), 1);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(place_of(at("out"))); }).code, ErrorCode::Usage);
  remember_place(at("out"), server);
  EXPECT_EQ(place_of(at("out")).study, "mine");
  EXPECT_EQ(fs::status(at("others cache") / "storage-key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  // One that others could have read.
  fs::permissions(at("others cache") / "storage-key", fs::perms::others_read, fs::perm_options::add);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(place_of(at("out"))); }).code, ErrorCode::Usage);
  before != nullptr ? setenv("RETORT_CACHE", kept.c_str(), 1) : unsetenv("RETORT_CACHE");
}

TEST_F(SharedTest, ARefusedPlaceLeavesNoFolder) {
  for (const char* url : {"postgresql://ann@127.0.0.1:1/db", "host=a password=b", "mysql://a/b"}) {
    EXPECT_NE(thrown_by([&] { run("new/out", {.url = url}); }).sentence, "");
    EXPECT_FALSE(fs::exists(at("new"))) << url;
  }
  fs::create_directories(at("old"));
  EXPECT_NE(thrown_by([&] { run("old", {.url = "mysql://a/b"}); }).sentence, "");
  EXPECT_TRUE(fs::exists(at("old"))) << "it was not the search's";
}

TEST_F(SharedTest, AWorkerLeavesTheFolderOfAFinishedSearchAlone) {
  run("out", place);
  const auto model = read_file(at("out") / "best/model.tflite");
  run_worker(dataset, {.storage = place, .folder = at("out"), .workers = 1, .patience_seconds = 1});
  for (const char* kept : {"trials/0/model.tflite", "trials/2/weights.retort", "teacher/logits.npy"})
    EXPECT_TRUE(fs::exists(at("out") / kept)) << kept;
  EXPECT_EQ(read_file(at("out") / "best/model.tflite"), model);
}

// Whoever may write to the study chooses what a worker trains, not which files it writes.
TEST_F(SharedTest, FilesThatADatabaseNamesAreNotWritten) {
  run_some("out", 1);
  {
    const auto storage = study::open_storage(place, objectives());
    const std::string stranger = storage->put_artefact(std::vector<uint8_t>{'b', 'a', 'd'});
    SharedWork work = shared_work(*storage).value();
    ASSERT_EQ(work.teacher.size(), 2U);
    for (const std::string& name :
         {at("absolute").string(), std::string("../../../relative"), std::string("stages.json")})
      work.teacher[name] = stranger;
    publish(*storage, work);
    const study::TrialRecord record{
        .number = 0,
        .stages = {
            {"files",
             Json{{"stages.json", stranger}, {"../escaped", stranger}, {"model.tflite", stranger}}.dump()}}};
    get_files(*storage, record, at("taken"), "trial");
  }
  EXPECT_EQ(read_text(at("taken/trial/model.tflite")), "bad");
  EXPECT_FALSE(fs::exists(at("taken/trial/stages.json")));
  EXPECT_FALSE(fs::exists(at("taken/escaped")));
  // It works on until the search says that nothing more will come.
  const fs::path taken = at("worker/deep/retort-worker/teacher");
  std::stop_source stop;
  std::jthread worker([&] {
    thrown_by([&] {
      run_worker(dataset,
                 {.storage = place, .folder = at("worker/deep"), .workers = 1, .stop = stop.get_token()});
    });
  });
  for (int i = 0; i < 600 && !fs::exists(at("worker/deep/retort-worker/trials")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  stop.request_stop();
  worker.join();
  EXPECT_TRUE(fs::exists(taken / "logits.npy"));
  EXPECT_FALSE(fs::exists(taken / "stages.json"));
  EXPECT_FALSE(fs::exists(at("absolute")));
  EXPECT_FALSE(fs::exists(at("worker/relative")));
}

TEST_F(SharedTest, AWorkerIsKnownByItsFolderOnWhateverMachine) {
  fs::create_directories(at("a"));
  const std::string name = worker_name(at("a"), true);
  EXPECT_EQ(worker_name(at("a"), true), name);
  EXPECT_EQ(study::display_of(name), host_name() + ":" + fs::canonical(at("a")).string());
  fs::create_directories(at("b"));
  EXPECT_NE(study::identity_of(worker_name(at("b"), true)), study::identity_of(name));
  // A copy is another one; alone there is only one, wherever its folder is moved.
  fs::copy_file(at("a") / ".worker", at("b") / ".worker", fs::copy_options::overwrite_existing);
  EXPECT_EQ(study::identity_of(worker_name(at("b"), false)), study::identity_of(name));
  EXPECT_NE(study::identity_of(worker_name(at("b"), true)), study::identity_of(name));
  write_text_atomic(at("a") / ".worker", "no digits");
  EXPECT_NE(study::identity_of(worker_name(at("a"), true)), "no digits");
}

TEST_F(SharedTest, WorkOfAnotherFormatIsRefused) {
  run_some("out", 1);
  const auto storage = study::open_storage(place, study::Access::Write);
  Json work = Json::parse(storage->document("work").value());
  work["format"] = 3;
  storage->put_document("work", work.dump());
  const Thrown thrown = thrown_by([&] { static_cast<void>(shared_work(*storage)); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("format 3, and this retort knows format 2"), std::string::npos);
}

TEST_F(SharedTest, AWorkerWithOtherArtefactsThanTheSearchIsRefusedBeforeItTakesATrial) {
  const auto refused = [&](const study::Place& where) {
    return thrown_by([&] {
             run_worker(dataset,
                        {.storage = where, .folder = at("worker"), .workers = 1, .patience_seconds = 1});
           })
        .sentence;
  };
  study::Place in_folder = place;
  in_folder.artefacts = at("artefacts");
  fs::create_directories(at("artefacts"));
  fs::create_directories(at("elsewhere"));
  run_some("out", 1);
  EXPECT_NE(refused(in_folder).find("leave out --artefacts"), std::string::npos) << refused(in_folder);

  place.study = "in a folder";
  in_folder.study = place.study;
  std::swap(place, in_folder);
  run_some("out in a folder", 1);
  EXPECT_NE(refused(in_folder).find("give it with --artefacts"), std::string::npos) << refused(in_folder);
  study::Place elsewhere = place;
  elsewhere.artefacts = at("elsewhere");
  EXPECT_NE(refused(elsewhere).find("is not the folder of the search's files"), std::string::npos)
      << refused(elsewhere);
  EXPECT_TRUE(fs::is_empty(at("elsewhere")));
}

// Another process goes on with the search meanwhile, with another folder.
TEST_F(SharedTest, AWorkerWhoseSearchHasOtherArtefactsNowGivesItsTrialBack) {
  place.artefacts = at("artefacts");
  fs::create_directories(place.artefacts);
  run_some("out", 1);
  const auto storage = study::open_storage(place, study::Access::Write);
  struct AfterATrial : ProgressSink {
    explicit AfterATrial(std::function<void()> run) : then(std::move(run)) {}
    void update(std::string_view, double, double, std::string_view) override {}
    void message(std::string_view) override { then(); }
    std::function<void()> then;
  } progress([&] {
    SharedWork work = shared_work(*storage).value();
    work.artefacts = "ab12";
    publish(*storage, work);
  });
  const Thrown thrown = thrown_by([&] {
    run_worker(dataset, {.storage = place, .folder = at("worker"), .workers = 1, .progress = progress});
  });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("is not the folder of the search's files"), std::string::npos)
      << thrown.sentence;
  EXPECT_EQ(storage->trial(1).state, study::TrialState::Complete);
  EXPECT_EQ(storage->trial(2).state, study::TrialState::Waiting);
  EXPECT_TRUE(storage->leases().empty());
}

// The checkpoints that it left under its old name are of files that are gone.
TEST_F(SharedTest, AWorkersFolderForAnotherSearchHasAnotherName) {
  run("out", place);
  const auto work_on = [&](const study::Place& where) {
    run_worker(dataset, {.storage = where, .folder = at("worker"), .workers = 1, .patience_seconds = 1});
    return read_text(at("worker") / "retort-worker" / ".worker");
  };
  const std::string first = work_on(place);
  EXPECT_EQ(work_on(place), first);
  study::Place other = place;
  other.study = "other";
  run("elsewhere", other);
  EXPECT_NE(work_on(other), first);
}

}  // namespace
}  // namespace retort::search
