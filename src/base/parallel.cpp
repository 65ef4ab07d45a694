#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace retort {

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more cores than cpu_set_t holds; the standard library's count serves there.
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(size_t count, size_t chunk, int threads, const std::function<void(size_t)>& body) {
  chunk = std::max<size_t>(chunk, 1);
  const size_t chunks = count / chunk + (count % chunk != 0 ? 1 : 0);
  const size_t wanted = std::min(chunks, static_cast<size_t>(threads < 1 ? available_cores() : threads));

  std::atomic<size_t> next_chunk = 0;
  std::atomic<bool> stop = false;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    while (!stop) {
      const size_t index = next_chunk++;
      if (index >= chunks) return;
      const size_t begin = index * chunk;
      const size_t end = begin + std::min(chunk, count - begin);
      try {
        for (size_t i = begin; i < end; ++i) body(i);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };

  std::vector<std::thread> helpers;
  try {
    for (size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch)
    // The system gives no more threads: those we have, with the caller's own, do the work.
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace retort
