#include "base/work_clock.h"

#include <algorithm>
#include <atomic>
#include <ctime>

#include "base/error.h"

namespace retort {
namespace {

// 0: real time; else the cores that processor time is shared by.
std::atomic<int> cores_of_cpu_time = 0;

std::chrono::nanoseconds read(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

std::string_view to_string(WorkTime time) {
  return time == WorkTime::Wall ? "wall" : "cpu";
}

WorkTime parse_work_time(std::string_view text) {
  for (const WorkTime time : {WorkTime::Wall, WorkTime::Cpu})
    if (text == to_string(time)) return time;
  throw_usage("\"{}\" is no clock: write wall or cpu", text);
}

void set_work_time(WorkTime time, int cores) {
  cores_of_cpu_time = time == WorkTime::Cpu ? std::max(cores, 1) : 0;
}

std::chrono::nanoseconds OfProcess::time() noexcept {
  const int cores = cores_of_cpu_time;
  return cores == 0 ? read(CLOCK_MONOTONIC) : read(CLOCK_PROCESS_CPUTIME_ID) / cores;
}

std::chrono::nanoseconds OfThread::time() noexcept {
  return read(cores_of_cpu_time == 0 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID);
}

}  // namespace retort
