#include "search/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "no_more_threads.h"
#include "synthetic.h"

namespace retort::search {
namespace {

void wait_for(const std::stop_token& stop) {
  while (!stop.stop_requested()) std::this_thread::yield();
}

TEST(Workers, AnErrorStopsTheOthersAndIsTheOneReported) {
  std::atomic<int> next = 0;
  const Thrown thrown = thrown_by([&] {
    on_workers(3, {}, [&](const std::stop_token& stop) {
      if (next++ == 0) throw_usage("wrong");
      wait_for(stop);
      throw Error(ErrorCode::Interrupted, "stopped because of the other");
    });
  });
  EXPECT_EQ(next, 3);
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_EQ(thrown.sentence, "wrong");
  EXPECT_THROW(on_workers(2, {}, [](const std::stop_token&) { throw std::logic_error("any other"); }),
               std::logic_error);
}

TEST(Workers, AStopByTheUserReachesAllAndIsAnInterruption) {
  std::stop_source user;
  std::atomic<int> ended = 0;
  const Thrown thrown = thrown_by([&] {
    on_workers(2, user.get_token(), [&](const std::stop_token& stop) {
      user.request_stop();
      wait_for(stop);
      ++ended;
    });
  });
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
}

TEST(Workers, WithoutThreadsTheCallersDoesTheWork) {
#ifdef RETORT_SANITIZED
  GTEST_SKIP() << "a sanitizer has its own stacks";
#endif
  const NoMoreThreads none;
  std::vector<std::thread::id> threads;
  on_workers(3, {}, [&](const std::stop_token&) { threads.push_back(std::this_thread::get_id()); });
  EXPECT_EQ(threads, std::vector{std::this_thread::get_id()});
  EXPECT_EQ(
      thrown_by([] { on_workers(3, {}, [](const std::stop_token&) { throw_usage("wrong"); }); }).sentence,
      "wrong");
}

TEST(Waiting, OneAsksForAllLessAndLessOften) {
  Waiting waiting;
  std::atomic<int> questions = 0;
  std::atomic<int> asking = 0;
  std::atomic<int> back = 0;
  on_workers(4, {}, [&](const std::stop_token& stop) {
    waiting.until(
        [&] {
          EXPECT_EQ(++asking, 1) << "two ask at once";
          --asking;
          return ++questions == 3;
        },
        0.3, stop);
    ++back;
  });
  EXPECT_EQ(back, 4);
  EXPECT_LE(questions, 12) << "each asks for itself";
  EXPECT_GE(questions, 3);
}

TEST(Waiting, AStopEndsIt) {
  Waiting waiting;
  std::stop_source user;
  const Thrown thrown = thrown_by([&] {
    on_workers(3, user.get_token(), [&](const std::stop_token& stop) {
      waiting.until(
          [&] {
            user.request_stop();
            return false;
          },
          3600, stop);
    });
  });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
}

}  // namespace
}  // namespace retort::search
