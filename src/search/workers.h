// A job on several threads that end together. Private to this room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>

namespace retort::search {

// Calls job(stop) on `workers` threads, or as many as the system gives, on the caller's where it gives none, and returns when all
// have. The first error stops the others and is
// rethrown; a stop by the user becomes Error(Interrupted).
void on_workers(int workers, const std::stop_token& user_stop,
                const std::function<void(const std::stop_token&)>& job);

// Half a second, for those who wait for other machines; less when stopped.
void wait_a_little(const std::stop_token& stop);

// For threads of one process that wait for what other machines do: one of them asks, less and less often, and no two
// processes in step; the others wait for it.
class Waiting {
 public:
  // Returns when `ready` says so to whoever asks it, when it throws, or when stopped. At most `most_seconds` between
  // two questions.
  void until(const std::function<bool()>& ready, double most_seconds, const std::stop_token& stop);

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asking_ = false;
  uint64_t answers_ = 0;
};

}  // namespace retort::search
