// What a search has taken is stored while it is at work, and no more after its end.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/json.h"
#include "graph/notebook.h"
#include "search/study_folder.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr double kLimitSeconds = 100;
constexpr double kLostSeconds = 1;  // less than a beat: it is not the first that stores them

double stored_seconds(const study::Storage& storage) {
  return read_document(storage, kSecondsKey).value_or(Json(0.0)).get<double>();
}

// A teacher whose training is long: its process is killed in it, when enough seconds are stored.
class KilledInTheTeacher final : public ProgressSink {
 public:
  explicit KilledInTheTeacher(const fs::path& folder) : place_(study::sqlite_place(folder / "study.db")) {}
  void update(std::string_view task, double, double, std::string_view) override {
    if (task != "teacher") return;
    const auto storage = study::open_storage(place_, study::Access::Read);
    const auto start = std::chrono::steady_clock::now();
    // Processor time must go by, too.
    while (std::chrono::steady_clock::now() - start < std::chrono::minutes(2))
      if (stored_seconds(*storage) > kLostSeconds) std::raise(SIGKILL);
  }
  void message(std::string_view) override {}

 private:
  study::Place place_;
};

class SpentTimeDeathTest : public testing::TestWithParam<WorkTime> {};

TEST_P(SpentTimeDeathTest, ARunThatIsKilledHasSpentItsTime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The child begins this test anew.
  constexpr const char* kFolder = "RETORT_TEST_KILLED_FOLDER";
  std::optional<TemporaryFolder> own;
  if (std::getenv(kFolder) == nullptr) setenv(kFolder, own.emplace().path().c_str(), 1);
  const fs::path folder = std::getenv(kFolder);
  SearchSettings settings = three_structures(1);
  settings.teacher = {.kind = TeacherKind::Train, .config = "1,1,8,0", .epochs = 1};
  settings.seconds = kLimitSeconds;
  settings.clock = GetParam();
  {  // As if all had been measured, and a teacher had time.
    Json speeds;
    for (const std::string& config : settings.configs)
      speeds[graph::structural_hash(graph::graph_from_config(config, {8, 8, 1}, 3))] = 0.01;
    StudyFolder study(folder);
    study.put_document(kSpeedsKey, speeds);
    study.put_document(kTeacherEpochsKey, 1);
  }
  KilledInTheTeacher killed(folder);
  EXPECT_EXIT(run_search(settings, synthetic(),
                         {.folder = folder, .workers = 1, .teacher_threads = 1, .progress = killed}),
              testing::KilledBySignal(SIGKILL), "");
  unsetenv(kFolder);

  const double spent = stored_seconds(StudyFolder(folder).storage());
  EXPECT_GT(spent, kLostSeconds);
  std::stop_source stop;
  std::optional<double> left;
  const Thrown thrown = thrown_by([&] {
    run_search(settings, synthetic(),
               {.folder = folder, .workers = 1, .stop = stop.get_token(), .time_left = [&](double seconds) {
                  if (!left) left = seconds;
                  stop.request_stop();
                }});
  });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted) << thrown.sentence;
  ASSERT_TRUE(left);
  EXPECT_LE(*left, kLimitSeconds - spent);
  EXPECT_GE(stored_seconds(StudyFolder(folder).storage()), spent);
}
INSTANTIATE_TEST_SUITE_P(Clocks, SpentTimeDeathTest, testing::Values(WorkTime::Wall, WorkTime::Cpu),
                         [](const auto& clock) { return std::string(to_string(clock.param)); });

TEST_F(SearchTest, WhatWasSpentIsFinalWhenItEnds) {
  const TemporaryFolder folder;
  const double spent = run(folder.path()).seconds;
  EXPECT_GT(spent, 0);
  EXPECT_EQ(load_study(folder.path()).seconds, spent);
  // Nothing is left to do, and looking at it takes no time of the search's.
  EXPECT_EQ(run(folder.path()).seconds, spent);
  EXPECT_EQ(load_study(folder.path()).seconds, spent);
}

}  // namespace
}  // namespace retort::search
