#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/control_groups.h"
#include "base/error.h"

namespace retort {

namespace {

namespace fs = std::filesystem;

// Quota over period of one group; infinite without a limit.
double quota_of(const fs::path& group) {
  constexpr double unlimited = std::numeric_limits<double>::infinity();
  double quota = 0;
  double period = 0;
  if (std::ifstream both(group / "cpu.max"); both) {  // "max 100000" does not read as two numbers
    if (!(both >> quota >> period)) return unlimited;
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : unlimited;
}

}  // namespace

std::optional<int> quota_cores(const fs::path& mount, const fs::path& own_groups) {
  double least = std::numeric_limits<double>::infinity();
  for_each_group("cpu", mount, own_groups,
                 [&](const fs::path& group) { least = std::min(least, quota_of(group)); });
  if (!(least < std::numeric_limits<int>::max())) return std::nullopt;
  return std::max(1, static_cast<int>(std::ceil(least)));
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more cores than cpu_set_t holds; the standard library's count serves there.
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0
                        ? CPU_COUNT(&set)
                        : static_cast<int>(std::thread::hardware_concurrency());
  static const std::optional<int> quota = quota_cores();
  return std::max(1, std::min(cores, quota.value_or(cores)));
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

void all_at_once(size_t count, const std::function<void(size_t, std::barrier<>&)>& body) {
  if (count == 0) return;
  std::barrier together(static_cast<std::ptrdiff_t>(count));
  std::exception_ptr failure;
  std::mutex failure_mutex;
  bool has_all = true;
  const auto work = [&](size_t i) {
    together.arrive_and_wait();  // all are there, or it is known that they are not
    if (!has_all) return;
    try {
      body(i, together);
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
    together.arrive_and_drop();
  };

  std::vector<std::jthread> others;
  others.reserve(count);
  try {
    while (others.size() + 1 < count) others.emplace_back(work, others.size() + 1);
  } catch (const std::exception&) {
    has_all = false;
    for (size_t i = others.size() + 1; i < count; ++i) together.arrive_and_drop();
  }
  const size_t given = others.size() + 1;
  work(0);
  others.clear();
  if (!has_all)
    throw_failure(
        "the system gives {} threads, and {} are needed at once: allow more (ulimit -u) or ask for fewer",
        given, count);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace retort
