#include "search/live.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "graph/notebook.h"
#include "search/run_status.h"
#include "search/search.h"
#include "search/study_folder.h"
#include "search/trial_record.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

SearchSettings tiny() {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  settings.pipeline.batch_size = 16;
  settings.pipeline.gate = 0;
  settings.pipeline.quick_epochs = 2;
  settings.pipeline.distill_epochs = 1;
  settings.pipeline.qat_epochs = 1;
  settings.pipeline.curriculum = compress::Curriculum::None;
  settings.teacher.kind = TeacherKind::None;
  settings.finalist_seeds = 1;
  return settings;
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::unique_ptr<study::Storage> open(const fs::path& folder) {
  return study::open_storage(study::sqlite_place(folder / "study.db"), objectives());
}

void say(study::Storage& storage, const std::string& id, const std::string& state, int beat, double at) {
  storage.put_document(
      kRunKey, dump_json(Json{{"id", id},
                              {"state", state},
                              {"host", "box"},
                              {"process", 7},
                              {"beat", beat},
                              {"at", at},
                              {"seconds_left", 12.5},
                              {"tasks", {{{"name", "teacher"}, {"done", 1}, {"total", 4}, {"note", "x"}}}}}));
}

TEST(StudyWatch, SeesNothingUntilThereIsAStudy) {
  const TemporaryFolder folder;
  StudyWatch watch(folder.path() / "out", {});
  watch.look();
  EXPECT_EQ(watch.study(), nullptr);
  EXPECT_EQ(watch.problem(), "");
  EXPECT_EQ(watch.run().state, RunState::None);
  EXPECT_FALSE(watch.look()) << "nothing has changed";
  fs::create_directory(folder.path() / "out");
  const auto storage = open(folder.path() / "out");
  watch.look();
  EXPECT_EQ(watch.study(), nullptr) << "its tables alone are no study";
  EXPECT_EQ(watch.problem(), "");
}

TEST(StudyWatch, FollowsASearchInAnotherProcess) {
  const TemporaryFolder folder;
  const auto storage = open(folder.path());
  storage->put_document(
      kDescriptionKey,
      dump_json(Json{{"settings", {{"preset", "quick"}, {"top", 5}}},
                     {"data", {{"spec", "x"}, {"content_hash", "y"}, {"classes", {"a", "b"}}}},
                     {"command", "retort search"}}));
  StudyWatch watch(folder.path(), {});
  EXPECT_TRUE(watch.look());
  ASSERT_NE(watch.study(), nullptr);
  EXPECT_EQ(watch.study()->preset, "quick");

  say(*storage, "a", "running", 1, unix_seconds());
  EXPECT_TRUE(watch.look());
  EXPECT_EQ(watch.run().state, RunState::Running);
  EXPECT_EQ(watch.run().id, "a");
  EXPECT_EQ(watch.run().seconds_left, 12.5);
  ASSERT_EQ(watch.run().tasks.size(), 1U);
  EXPECT_EQ(watch.run().tasks[0].name, "teacher");
  EXPECT_EQ(watch.run().tasks[0].total, 4);

  // A trial with a stage behind it and epochs of the next one.
  StoredProposal stored;
  stored.proposal.config = "1 block";
  stored.proposal.graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3);
  const study::NewTrial trial = {.proposal = dump_json(to_stored(stored))};
  ASSERT_TRUE(storage->add_trials(0, std::vector{trial, trial}));
  const study::Claim claim = storage->claim("worker", 60)->claim;
  StageResult quick;
  quick.name = "quick";
  quick.history.epochs.resize(2);
  storage->put_stage(claim, {"quick", dump_json(Json(quick))},
                     std::vector<study::IntermediateValue>{{1, 0.1}, {2, 0.2}});
  storage->put_values(claim, std::vector<study::IntermediateValue>{{4, 0.4}});
  EXPECT_TRUE(watch.look());
  EXPECT_EQ(watch.run().counts.at(study::TrialState::Waiting), 1);
  ASSERT_EQ(watch.run().trials.size(), 1U);
  const LiveTrial& live = watch.run().trials[0];
  EXPECT_EQ(live.config, "1 block");
  EXPECT_EQ(live.worker, "worker");
  EXPECT_EQ(live.lease_seconds, 60);
  ASSERT_EQ(live.accuracies.size(), 4U);
  EXPECT_EQ(live.accuracies[1], 0.2);
  EXPECT_TRUE(std::isnan(live.accuracies[2])) << "nobody told of it";
  EXPECT_EQ(live.accuracies[3], 0.4);
  EXPECT_EQ(live.stages, (std::vector<std::pair<std::string, size_t>>{{"quick", 2}}));
  storage->finish(claim, {.state = study::TrialState::Failed,
                          .result = dump_json(Json(TrialResult{.number = 0, .outcome = Outcome::Failed}))});
  EXPECT_TRUE(watch.look());
  EXPECT_TRUE(watch.run().trials.empty());

  say(*storage, "a", "done", 2, unix_seconds());
  watch.look();
  EXPECT_EQ(watch.run().state, RunState::Done);
  EXPECT_TRUE(watch.run().tasks.empty());
  // One that said it runs an hour ago does not.
  say(*storage, "b", "running", 1, unix_seconds() - 3600);
  watch.look();
  EXPECT_EQ(watch.run().state, RunState::Silent);
  EXPECT_GT(watch.run().silent_seconds, 3000);
  // Its clock may be wrong: what is new is new.
  say(*storage, "b", "running", 2, unix_seconds() - 3600);
  watch.look();
  EXPECT_EQ(watch.run().state, RunState::Running);
}

// Calls `act` once a stage of a candidate has begun, from another thread.
class Watcher final : public ProgressSink {
 public:
  explicit Watcher(std::function<void()> act) : act_(std::move(act)) {}
  void update(std::string_view task, double, double, std::string_view) override {
    if (task.starts_with("trial ")) std::call_once(once_, act_);
  }
  void message(std::string_view) override {}

 private:
  std::once_flag once_;
  std::function<void()> act_;
};

TEST(RunStatus, ASearchSaysWhatItIsAtAndHowItEnded) {
  const data::Dataset dataset = synthetic();
  const TemporaryFolder folder;
  LiveRun seen;
  Watcher watcher([&] {
    StudyWatch watch(folder.path(), {});
    watch.look();
    seen = watch.run();
  });
  run_search(tiny(), dataset, {.folder = folder.path(), .workers = 1, .progress = watcher});
  EXPECT_EQ(seen.state, RunState::Running);
  EXPECT_EQ(seen.process, getpid());
  EXPECT_EQ(seen.host, host_name());
  ASSERT_EQ(seen.trials.size(), 1U);
  EXPECT_EQ(seen.trials[0].number, 0);
  StudyWatch watch(folder.path(), {});
  watch.look();
  EXPECT_EQ(watch.run().state, RunState::Done);
  ASSERT_NE(watch.study(), nullptr);
  EXPECT_GE(watch.study()->best, 0);
  EXPECT_EQ(watch.run().id, seen.id);
}

TEST(RunStatus, ARequestStopsTheRunThatItNames) {
  const data::Dataset dataset = synthetic();
  const TemporaryFolder folder;
  SearchSettings settings = tiny();
  // Long enough that nobody waits for its end.
  settings.configs = {"1,2,16,0"};
  settings.pipeline.distill_epochs = 50'000;
  StudyWatch watch(folder.path(), {});
  EXPECT_NE(thrown_by([&] { request_stop(folder.path(), {}, "x"); }).sentence, "");
  Watcher watcher([&] {
    watch.look();
    request_stop(folder.path(), {}, watch.run().id);
  });
  const Thrown thrown = thrown_by(
      [&] { run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = watcher}); });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
  watch.look();
  EXPECT_EQ(watch.run().state, RunState::Stopped);

  // The next run is another: what was asked of the last one does not stop it.
  const std::string stopped = watch.run().id;
  std::stop_source stop;
  std::jthread waits;
  Watcher next([&] {
    waits = std::jthread([&] {
      // A few of its looks at what is asked of it.
      for (std::set<std::string> said; said.size() < 4;) {
        said.insert(open(folder.path())->document(kRunKey).value_or(""));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      EXPECT_FALSE(stop.stop_requested());
      watch.look();
      EXPECT_EQ(watch.run().state, RunState::Running);
      EXPECT_NE(watch.run().id, stopped);
      stop.request_stop();
    });
  });
  const Thrown again = thrown_by([&] {
    run_search(settings, dataset,
               {.folder = folder.path(), .workers = 1, .progress = next, .stop = stop.get_token()});
  });
  EXPECT_EQ(again.code, ErrorCode::Interrupted);
  EXPECT_TRUE(stop.stop_requested()) << "it went on until it was stopped here";
}

TEST(StoredSearch, GoesOnWithoutBeingToldAgain) {
  const data::Dataset dataset = synthetic();
  const TemporaryFolder folder;
  EXPECT_NE(
      thrown_by([&] { stored_search(folder.path()); }).sentence.find("holds no search that could go on"),
      std::string::npos);
  const SearchSettings settings = tiny();
  run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .command = "retort search out"});
  const StoredSearch stored = stored_search(folder.path());
  EXPECT_EQ(Json(stored.settings), Json(settings));
  EXPECT_EQ(stored.data_spec, "synthetic");
  EXPECT_EQ(stored.command, "retort search out");
}

}  // namespace
}  // namespace retort::search
