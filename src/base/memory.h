// How much memory this process may use, and how much it does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace retort {

// Bytes that control groups leave this process's group: of it and of those around it the least of limit minus use,
// where pages of files that can be dropped do not count as used. memory.max of version 2, memory.limit_in_bytes of version
// 1; `mount` is where the groups' folders lie. Nothing when there is no limit.
std::optional<int64_t> memory_left_in_groups(const std::filesystem::path& mount = "/sys/fs/cgroup",
                                             const std::filesystem::path& own_groups = "/proc/self/cgroup");

// What could be taken without swapping: the system's MemAvailable, or what the groups leave if that is less. Nothing
// where the system does not say.
std::optional<int64_t> available_memory();

// The most that this process can still take: available_memory(), or all of the machine's where the system does not say,
// and no more than the limit on its address space (ulimit -v) leaves.
uint64_t memory_left();

// Resident now. 0 where the system does not say.
int64_t resident_memory();

}  // namespace retort
