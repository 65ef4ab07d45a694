// Clocks for work that is planned and measured: real time, or the processor's.
#pragma once

#include <chrono>
#include <string_view>

namespace retort {

enum class WorkTime {
  Wall,
  // What this process computes: other programs on the machine, stops of the process and a machine asleep do not count.
  Cpu,
};
std::string_view to_string(WorkTime time);  // "wall", "cpu"
// Error(Usage) for other words.
WorkTime parse_work_time(std::string_view text);

// What both clocks count, for the whole process, until it is said again; at first Wall. `cores`: as many threads as
// compute at once, at least 1. Times from before and after a change are not comparable.
void set_work_time(WorkTime time, int cores);

// A clock of the standard library's kind.
template <typename Of>
struct WorkClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WorkClock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept { return time_point(Of::time()); }
};
struct OfProcess {
  static std::chrono::nanoseconds time() noexcept;
};
struct OfThread {
  static std::chrono::nanoseconds time() noexcept;
};
// Of the process: seconds of processor time of all its threads over the cores, so that an hour of it is an hour of a
// machine that has nothing else to do. For deadlines.
using ProcessClock = WorkClock<OfProcess>;
// Of the calling thread, for how long its own work takes; with threads that help it, each with a like share, too. Both
// ends of a span must be taken on the same thread.
using ThreadClock = WorkClock<OfThread>;

template <typename Clock>
double seconds_since(std::chrono::time_point<Clock> start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace retort
