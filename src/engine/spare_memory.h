// Memory that a thread's networks leave for its next ones.
#pragma once

#include <cstdint>

namespace retort::engine {

// The most that a thread keeps of networks that are gone.
inline constexpr int64_t kMostSpareBytes = int64_t{256} << 20;

// Gives what this thread keeps back to the system.
void release_spare_memory();

}  // namespace retort::engine
