// A trial that diverges, has no memory, or takes its whole process with it: the search goes on, and the trial has Failed
// with its reason, counted once.
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <limits>
#include <new>
#include <utility>

#include "graph/notebook.h"
#include "search/search.h"
#include "search/study_folder.h"
#include "synthetic.h"
#include "wrapped_network.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr int kBad = 1;  // the trial that something happens to

int overflow(volatile char* below);
int (*volatile deeper)(volatile char*) = overflow;  // behind the compiler's back
int overflow(volatile char* below) {
  volatile char frame[4096];
  frame[0] = *below;
  return deeper(frame) + frame[0];
}

// The engine, but for what happens in the second step of one structure.
class Network final : public WrappedNetwork {
 public:
  Network(std::unique_ptr<engine::Network> network, const std::function<double()>* happens)
      : WrappedNetwork(std::move(network)), happens_(happens) {}
  engine::StepResult compute_gradients(const engine::Batch& batch, const engine::Objective& objective,
                                       Rng& rng) override {
    engine::StepResult result = WrappedNetwork::compute_gradients(batch, objective, rng);
    if (happens_ != nullptr && ++steps_ == 2) result.loss = (*happens_)();
    return result;
  }

 private:
  const std::function<double()>* happens_;
  int steps_ = 0;
};

class Backend final : public engine::Backend {
 public:
  explicit Backend(std::function<double()> happens) : happens_(std::move(happens)) {}
  [[nodiscard]] std::string_view name() const override { return "faulty"; }
  [[nodiscard]] std::unique_ptr<engine::Network> compile(
      const graph::Graph& graph, const engine::CompileOptions& options) const override {
    static const std::string bad =
        graph::structural_hash(graph::graph_from_config(three_structures(1).configs.at(kBad), {8, 8, 1}, 3));
    return std::make_unique<Network>(engine::backend().compile(graph, options),
                                     graph::structural_hash(graph) == bad ? &happens_ : nullptr);
  }

 private:
  std::function<double()> happens_;
};

StudyResult run(const fs::path& folder, const engine::Backend& backend = engine::backend()) {
  return run_search(three_structures(1), synthetic(), {.folder = folder, .workers = 1, .backend = backend});
}

// The bad one has failed with this reason; the others are as if nothing had happened.
void expect_others_complete(const StudyResult& study, std::string_view reason) {
  const TemporaryFolder folder;
  const StudyResult undisturbed = run(folder.path());
  ASSERT_EQ(study.trials.size(), undisturbed.trials.size());
  for (const TrialResult& trial : study.trials) {
    if (trial.number == kBad) {
      EXPECT_EQ(trial.outcome, Outcome::Failed);
      EXPECT_NE(trial.reason.find(reason), std::string::npos) << trial.reason;
      continue;
    }
    const TrialResult& other = undisturbed.trials.at(static_cast<size_t>(trial.number));
    EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
    EXPECT_EQ(trial.accuracy_int8, other.accuracy_int8);
    EXPECT_EQ(trial.flash_bytes, other.flash_bytes);
  }
  EXPECT_GE(study.best, 0);
}

TEST(Crash, ATrialThatDivergesFailsAlone) {
  const TemporaryFolder folder;
  int times = 0;
  const Backend backend([&times] {
    ++times;
    return std::numeric_limits<double>::quiet_NaN();
  });
  expect_others_complete(run(folder.path(), backend), "the loss is nan");
  EXPECT_EQ(times, 2) << "it is tried once more, with a lower rate";
  EXPECT_EQ(StudyFolder(folder.path()).storage().counts()[study::TrialState::Failed], 1);
}

TEST(Crash, ATrialWithoutMemoryFailsAlone) {
  const TemporaryFolder folder;
  int times = 0;
  const Backend backend([&times]() -> double {
    ++times;
    throw std::bad_alloc();
  });
  expect_others_complete(run(folder.path(), backend), "out of memory");
  EXPECT_EQ(times, 2) << "it is tried once more";
  EXPECT_EQ(StudyFolder(folder.path()).storage().counts()[study::TrialState::Failed], 1);
}

TEST(CrashDeathTest, ATrialThatEndsItsProcessIsTriedTwiceAndThenTheSearchGoesOn) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The children begin this test anew.
  constexpr const char* kFolder = "RETORT_TEST_CRASH_FOLDER";
  const TemporaryFolder own;
  setenv(kFolder, own.path().c_str(), 0);
  const fs::path folder = std::getenv(kFolder);
  const auto die = [&folder](int signal) {
    leave_crash_marks();
    const Backend backend([signal]() -> double {
      std::raise(signal);
      return 0;
    });
    run(folder, backend);
  };
  EXPECT_EXIT(die(SIGSEGV), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_TRUE(fs::exists(folder / "trials/1/crashed"));
  EXPECT_EXIT(die(SIGABRT), testing::KilledBySignal(SIGABRT), "");
  expect_others_complete(run(folder, Backend([]() -> double {
                               ADD_FAILURE() << "a third attempt";
                               return 0;
                             })),
                         "it ended its process: Aborted");
  EXPECT_FALSE(fs::exists(folder / "trials/1/crashed"));
  unsetenv(kFolder);
}

TEST(CrashDeathTest, AfterAMarkTheCallersHookRuns) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TemporaryFolder folder;
  // A stack that has run over leaves no room but the handler's own.
  const Backend backend([]() -> double {
    volatile char begin = 0;
    return overflow(&begin);
  });
  EXPECT_EXIT(
      {
        leave_crash_marks([] { _exit(7); });
        run(folder.path(), backend);
      },
      testing::ExitedWithCode(7), "");
  // What crashes outside of a trial does not call it.
  EXPECT_EXIT(
      {
        leave_crash_marks([] { _exit(7); });
        std::raise(SIGSEGV);
      },
      testing::KilledBySignal(SIGSEGV), "");
}

TEST(Crash, ATrialThatLosesWorkerAfterWorkerFails) {
  const TemporaryFolder folder;
  std::stop_source stop;
  const Backend stops([&stop]() -> double {
    stop.request_stop();
    return 1;
  });
  // Stopped in the bad trial, in order: that is no loss.
  EXPECT_THROW(
      run_search(three_structures(1), synthetic(),
                 {.folder = folder.path(), .workers = 1, .backend = stops, .stop = stop.get_token()}),
      Error);
  {
    StudyFolder study(folder.path());
    for (int i = 0; i < 10; ++i) {
      const auto claimed = study.storage().claim("dies", 60);
      ASSERT_TRUE(claimed);
      EXPECT_EQ(claimed->claim.trial, kBad);
      EXPECT_EQ(claimed->losses, i);
      study.storage().release("dies");
    }
  }
  expect_others_complete(run(folder.path(), Backend([]() -> double {
                               ADD_FAILURE() << "it is run";
                               return 0;
                             })),
                         "10 workers in a row were lost");
}

}  // namespace
}  // namespace retort::search
