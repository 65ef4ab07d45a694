#include "search/workers.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
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
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < workers; ++i)
      threads.emplace_back([&] {
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
      });
  }
  if (first) std::rethrow_exception(first);
  if (user_stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
}

void wait_a_little(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
}

}  // namespace retort::search
