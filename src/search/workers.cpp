#include "search/workers.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace retort::search {

void on_workers(int workers, const std::stop_token& user_stop,
                const std::function<void(const std::stop_token&)>& job) {
  std::stop_source stop;
  const std::stop_callback forward(user_stop, [&stop] { stop.request_stop(); });
  std::mutex mutex;
  std::exception_ptr first;
  const auto work = [&] {
    try {
      job(stop.get_token());
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      if (error.code() != ErrorCode::Interrupted && !first) first = std::current_exception();
      stop.request_stop();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
      stop.request_stop();
    }
  };
  std::vector<std::jthread> threads;
  try {
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // The system gives no more threads: those we have do the work, or else the caller's own.
    if (threads.empty()) work();
  }
  threads.clear();
  if (first) std::rethrow_exception(first);
  if (user_stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
}

void wait_a_little(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
}

void Waiting::until(const std::function<bool()>& ready, double most_seconds, const std::stop_token& stop) {
  constexpr double kFirstSeconds = 0.25;
  std::unique_lock lock(mutex_);
  if (asking_) {
    changed_.wait(lock, stop, [this, before = answers_] { return answers_ != before; });
    return;
  }
  asking_ = true;
  // Still under the lock when it goes.
  struct Answer {
    Waiting& waiting;
    ~Answer() {
      waiting.asking_ = false;
      ++waiting.answers_;
      waiting.changed_.notify_all();
    }
  };
  const Answer answer{*this};
  std::minstd_rand random(std::random_device{}());
  for (double pause = kFirstSeconds; !stop.stop_requested(); pause = std::min(2 * pause, most_seconds)) {
    const double seconds = pause * std::uniform_real_distribution(0.5, 1.0)(random);
    changed_.wait_for(lock, stop, std::chrono::duration<double>(seconds), [] { return false; });
    lock.unlock();
    bool is_ready = false;
    try {
      is_ready = stop.stop_requested() || ready();
    } catch (...) {
      lock.lock();
      throw;
    }
    lock.lock();
    if (is_ready) return;
  }
}

}  // namespace retort::search
