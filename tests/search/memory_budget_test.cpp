// What a candidate takes is predicted, candidates wait for each other's memory, and one that has no room fails alone.
#include "search/memory_budget.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "essence.h"
#include "graph/notebook.h"
#include "search/search.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

constexpr int64_t kMegabyte = 1 << 20;

#ifndef RETORT_SANITIZED  // whose shadows are memory too

SearchSettings small(std::vector<std::string> configs) {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = std::move(configs);
  settings.teacher.kind = TeacherKind::None;
  settings.pipeline.gate = 0;
  settings.pipeline.curriculum = compress::Curriculum::None;
  settings.pipeline.quick_epochs = 1;
  settings.pipeline.distill_epochs = 1;
  settings.pipeline.qat_epochs = 1;
  settings.finalist_seeds = 1;
  settings.top = 1;
  return settings;
}

// The most that this process was resident with since the last call of reset_peak().
int64_t peak_memory() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  return 0;
}
bool reset_peak() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

// In a process of its own, whose allocator holds nothing yet: how much more a candidate's whole pipeline takes, at its
// peak, than before; −1 where the system does not say.
int64_t measured_bytes(const graph::Graph& graph, const data::Dataset& dataset,
                       const PipelineSettings& settings) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    int64_t bytes = -1;
    const data::Split split = data::stratified_split(dataset, {});
    const TemporaryFolder folder;
    Candidate candidate = make_candidate("one", graph, Rng(1), folder.path() / "candidate");
    const int64_t before = resident_memory();
    if (reset_peak()) {
      run_stages(candidate, {.dataset = dataset, .split = split, .settings = settings});
      bytes = peak_memory() - before;
    }
    static_cast<void>(!write(pipe[1], &bytes, sizeof bytes));
    std::filesystem::remove_all(folder.path());
    _exit(0);
  }
  int64_t bytes = -1;
  static_cast<void>(!read(pipe[0], &bytes, sizeof bytes));
  waitpid(child, nullptr, 0);
  close(pipe[0]);
  close(pipe[1]);
  return bytes;
}

// Never too little; too much by what is kept for surprises and less than as much again.
TEST(SlowMemory, PredictionHoldsWhatIsMeasured) {
  const data::Dataset dataset = synthetic(300, 60, 32);
  const data::Split split = data::stratified_split(dataset, {});
  for (const char* config : {"1,1,8,0", "2,2,32,1,64", "3,1,64,1,512", "1,1,32,1,1024"}) {
    // An epoch's last batch has 0, 15 and 112 images.
    for (const auto& [batch, wider] : {std::pair{16, 1.0}, {25, 1.0}, {128, 1.0}, {128, 2.0}}) {
      SCOPED_TRACE(testing::Message()
                   << config << ", batches of " << batch << ", " << wider << " times as wide");
      PipelineSettings settings = small({}).pipeline;
      settings.batch_size = batch;
      if (wider > 1) {
        settings.stages = {"channels", "distill", "quantize", "export"};
        settings.channels_epochs = 1;
        settings.wider = wider;
      }
      const graph::Graph graph = graph::graph_from_config(config, {32, 32, 1}, 3);
      const int64_t measured = measured_bytes(graph, dataset, settings);
      if (measured < 0) GTEST_SKIP() << "the system does not tell a process's peak";
      const int64_t predicted =
          candidate_bytes(graph, {.dataset = dataset, .split = split, .settings = settings});
      RecordProperty(
          std::string(config) + " " + std::to_string(batch),
          std::to_string(measured / kMegabyte) + " MB, predicted " + std::to_string(predicted / kMegabyte));
      EXPECT_GE(predicted, measured);
      EXPECT_LE(predicted, 2 * measured + 60 * kMegabyte) << "measured " << measured;
    }
  }
}

TEST(MemoryBudget, ACandidateWithoutRoomFailsAlone) {
  const TemporaryFolder folder;
  SearchSettings settings = small({"1,1,8,0", "3,3,48,0", "1,1,16,0"});
  settings.pipeline.batch_size = 512;
  const data::Dataset dataset = synthetic(400, 60, 16);
  Listener listener;
  const StudyResult study = run_search(settings, dataset,
                                       {.folder = folder.path(),
                                        .workers = 2,
                                        .memory_bytes = resident_memory() + 250 * kMegabyte,
                                        .progress = listener});
  EXPECT_EQ(listener.said.find("tried once more"), std::string::npos) << listener.said;
  ASSERT_EQ(study.trials.size(), 3U);
  EXPECT_EQ(study.trials[0].outcome, Outcome::Complete) << study.trials[0].reason;
  EXPECT_EQ(study.trials[2].outcome, Outcome::Complete) << study.trials[2].reason;
  EXPECT_EQ(study.trials[1].outcome, Outcome::Failed);
  EXPECT_TRUE(study.trials[1].reason.starts_with("training it takes about ")) << study.trials[1].reason;
  EXPECT_NE(study.trials[1].reason.find(": allow more (--memory) or train on smaller batches (--batch)"),
            std::string::npos);
}

// As if there had been more from the beginning.
TEST(MemoryBudget, WhatHadNoRoomIsTriedAgainWithMoreMemory) {
  SearchSettings settings = small({"1,1,8,0", "3,3,48,0", "1,1,16,0"});
  settings.pipeline.batch_size = 512;
  const data::Dataset dataset = synthetic(120, 30, 16);
  const TemporaryFolder folder;
  const auto run_with = [&](const std::filesystem::path& place, int64_t memory, std::string& said) {
    Listener listener;
    StudyResult study = run_search(
        settings, dataset, {.folder = place, .workers = 2, .memory_bytes = memory, .progress = listener});
    said = listener.said;
    return study;
  };
  const int64_t little = resident_memory() + 250 * kMegabyte;
  const int64_t more = little + 3000 * kMegabyte;
  std::string said;
  EXPECT_EQ(run_with(folder.path(), little, said).trials.at(1).refused_memory_bytes, little);
  EXPECT_EQ(run_with(folder.path(), little, said).trials.at(1).outcome, Outcome::Failed);
  EXPECT_NE(said.find("This search is finished"), std::string::npos) << said;
  const StudyResult again = run_with(folder.path(), more, said);
  EXPECT_EQ(again.trials.at(1).outcome, Outcome::Complete) << again.trials.at(1).reason;
  EXPECT_NE(said.find("trial 1 is tried again: there is more memory."), std::string::npos) << said;
  const TemporaryFolder other;
  EXPECT_EQ(essence(again, folder.path()), essence(run_with(other.path(), more, said), other.path()));
}

TEST(MemoryBudget, ATeacherWithoutRoomEndsTheSearchInASentence) {
  SearchSettings settings = small({"1,1,8,0"});
  settings.teacher.kind = TeacherKind::Train;
  settings.teacher.config = "3,3,256,1,1024";
  settings.teacher.batch_size = 512;
  const data::Dataset dataset = synthetic(600, 60, 16);
  for (const bool timed : {false, true}) {
    if (timed) settings.seconds = 60;
    const TemporaryFolder folder;
    const auto memory = resident_memory() + 250 * kMegabyte;
    const std::string said =
        thrown_by([&] {
          run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .memory_bytes = memory});
        }).sentence;
    EXPECT_TRUE(said.starts_with("the teacher: training it takes about ")) << said;
    EXPECT_NE(said.find("smaller batches (--teacher-batch)"), std::string::npos) << said;
  }
}

// What measures speeds finds no room for the larger ones; each of them fails alone, and the search goes on.
TEST(MemoryBudget, ATimedSearchGoesOnWithWhatHasRoom) {
  const data::Dataset dataset = synthetic(400, 60, 16);
  SearchSettings settings = small({"1,1,8,0", "3,3,256,1,1024"});
  settings.pipeline.batch_size = 256;
  settings.seconds = 20;
  const TemporaryFolder folder;
  const StudyResult study = run_search(
      settings, dataset,
      {.folder = folder.path(), .workers = 1, .memory_bytes = resident_memory() + 250 * kMegabyte});
  ASSERT_GE(study.trials.size(), 1U);
  EXPECT_EQ(study.trials[0].outcome, Outcome::Complete) << study.trials[0].reason;
  for (size_t i = 1; i < study.trials.size(); ++i)
    EXPECT_TRUE(study.trials[i].reason.starts_with("training it takes about ")) << study.trials[i].reason;
  const TemporaryFolder other;
  const Thrown none = thrown_by([&] {
    run_search(settings, dataset,
               {.folder = other.path(), .workers = 1, .memory_bytes = resident_memory() + kMegabyte});
  });
  EXPECT_TRUE(none.sentence.starts_with("even the smallest network has no room")) << none.sentence;
}

TEST(MemoryBudget, ATeachersAnswersHaveToFitToo) {
  const data::Dataset dataset = synthetic(200000, 60, 2);
  SearchSettings settings = small({"1,1,8,0"});
  settings.teacher.kind = TeacherKind::Train;
  settings.teacher.config = "1,1,2,0";
  settings.teacher.epochs = 1;
  settings.teacher.batch_size = 1024;
  settings.pipeline.views.mirror = data::Mirror::Horizontal;
  settings.pipeline.views.max_shift = 2;
  const TemporaryFolder folder;
  const std::string said =
      thrown_by([&] {
        run_search(
            settings, dataset,
            {.folder = folder.path(), .workers = 1, .memory_bytes = resident_memory() + 100 * kMegabyte});
      }).sentence;
  EXPECT_TRUE(said.starts_with("the teacher's answers to 50 views of each image take ")) << said;
}

#endif

// Ten that take a third each: never more than three at once, and all get there.
TEST(MemoryBudget, OnlyAsManyBeginAsFit) {
  MemoryBudget budget(resident_memory() + 3600 * kMegabyte);
  std::atomic<int> now = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 10; ++i)
      threads.emplace_back([&] {
        const MemoryBudget::Share share(budget, 1000 * kMegabyte, {});
        const int holders = ++now;
        for (int seen = most; holders > seen && !most.compare_exchange_weak(seen, holders);) {
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        --now;
        ++done;
      });
  }
  EXPECT_EQ(done, 10);
  EXPECT_GE(most, 1);
  EXPECT_LE(most, 3);
}

// What will never fit is told so while others train: its worker has other work.
TEST(MemoryBudget, WhatIsBeyondTheLimitDoesNotWait) {
  MemoryBudget budget(resident_memory() + 1500 * kMegabyte);
  const MemoryBudget::Share first(budget, 1000 * kMegabyte, {});
  EXPECT_THROW(const MemoryBudget::Share second(budget, 2000 * kMegabyte, {}), NoRoom);
}

// Small ones that come later do not slip in before it for ever.
TEST(MemoryBudget, ALargeOneHasItsTurn) {
  MemoryBudget budget(resident_memory() + 1500 * kMegabyte);
  std::optional<MemoryBudget::Share> first(std::in_place, budget, 500 * kMegabyte, std::stop_token());
  std::atomic<bool> large_is_in = false;
  std::atomic<bool> small_was_first = false;
  const std::jthread large([&] {
    const MemoryBudget::Share share(budget, 1200 * kMegabyte, {});
    large_is_in = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it waits by now
  const std::jthread small([&] {
    const MemoryBudget::Share share(budget, 100 * kMegabyte, {});
    small_was_first = !large_is_in;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(small_was_first);
  first.reset();
}

TEST(MemoryBudget, WhoWaitsCanBeStopped) {
  MemoryBudget budget(resident_memory() + 1500 * kMegabyte);
  const MemoryBudget::Share first(budget, 1000 * kMegabyte, {});
  std::stop_source stop;
  stop.request_stop();
  const Thrown thrown =
      thrown_by([&] { const MemoryBudget::Share second(budget, 1000 * kMegabyte, stop.get_token()); });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
}

TEST(MemoryBudget, WithoutALimitItIsAShareOfWhatIsFree) {
  const MemoryBudget budget(std::nullopt);
  EXPECT_GT(budget.limit(), resident_memory());
  EXPECT_LT(budget.limit(), resident_memory() + available_memory().value_or(0));
}

}  // namespace
}  // namespace retort::search
