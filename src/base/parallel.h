// A plain parallel loop for coarse work (decoding images, evaluating shards).
#pragma once

#include <barrier>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>

namespace retort {

// Cores this process may use: those of its affinity mask (not the machine's count), or as many as its control
// groups give it the time of, if that is fewer.
int available_cores();

inline constexpr int kMostThreads = 4096;  // that may be asked for

// Cores' worth of time that the control groups named in the file `own_groups` allow, rounded up: cpu.max of
// version 2, cpu.cfs_quota_us of version 1, of a group and of those around it. `mount` is where the groups'
// folders lie. Nothing when there is no limit.
std::optional<int> quota_cores(const std::filesystem::path& mount = "/sys/fs/cgroup",
                               const std::filesystem::path& own_groups = "/proc/self/cgroup");

// Calls body(i) once for each i in [0, count) on up to `threads` threads, taking chunks of `chunk` in order.
// Fewer than one thread means all available cores; a chunk of 0 counts as 1. The first exception is rethrown
// on the caller's thread after all threads have stopped.
void parallel_for(size_t count, size_t chunk, int threads, const std::function<void(size_t)>& body);

// Calls body(i, together) once for each i in [0, count), all at the same time, each on a thread of its own: they may wait for each
// other at `together`, where one that has ended is waited for no more. The first exception is rethrown when all have ended. Throws
// Error(Failure), before any is called, where the system does not give so many threads.
void all_at_once(size_t count, const std::function<void(size_t, std::barrier<>&)>& body);

}  // namespace retort
