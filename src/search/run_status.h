// What a search says of itself while it runs, for those who watch its study, and what they may ask of it. Private to
// this room; live.h reads it.
//
// Two documents of the study: the run's own, written every few seconds, and a request, which names the run that it is
// meant for: one that came too late stops no later run. Whoever may write the database may do worse, so a request gives
// nobody a right that they have not.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/progress.h"
#include "search/search.h"
#include "study/storage.h"

namespace retort::search {

inline constexpr std::string_view kRunKey = "run";
inline constexpr std::string_view kRequestKey = "run_request";  // {"stop": the run's id}

// Passes on what a search says to its caller, and keeps the last of it.
class RunStatus final : public ProgressSink {
 public:
  explicit RunStatus(const RunOptions& options);
  RunStatus(const RunStatus&) = delete;
  RunStatus& operator=(const RunStatus&) = delete;

  // The caller's, with this in place of its progress, its stop and its time_left.
  [[nodiscard]] RunOptions options();

  void update(std::string_view task, double done, double total, std::string_view note) override;
  void message(std::string_view text) override;
  void trained(int64_t images) override;

  // While it lives the run is in the storage, which must outlive it, and requests are followed. What cannot be stored
  // is not said: it ends no search.
  class Publication {
   public:
    // `also` stores something else as often, whatever the search is at.
    Publication(RunStatus& status, study::Storage& storage, std::function<void()> also);
    ~Publication();
    Publication(const Publication&) = delete;
    Publication& operator=(const Publication&) = delete;
    // How the run ended: "done", "stopped", "failed" (unless said, this).
    void set_end(std::string_view end) { end_ = end; }

   private:
    void run(const std::stop_token& stop);
    void publish(std::string_view state) noexcept;
    void follow_requests() noexcept;

    RunStatus& status_;
    study::Storage& storage_;
    std::function<void()> also_;
    std::string id_;
    std::string end_ = "failed";
    int beats_ = 0;
    std::mutex mutex_;
    std::condition_variable_any ended_;
    std::jthread thread_;  // last: it uses the rest
  };

 private:
  using Clock = std::chrono::steady_clock;
  struct Task {
    std::string name;
    double done = 0;
    double total = 0;
    std::string note;
    Clock::time_point updated;
  };
  // Those of which something was heard lately: one that failed never reaches its end.
  [[nodiscard]] std::vector<Task> tasks();

  const RunOptions& options_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  std::mutex mutex_;
  std::vector<Task> tasks_;  // in the order in which they began
  std::optional<Clock::time_point> end_;
};

}  // namespace retort::search
