// A plain parallel loop for coarse work (decoding images, evaluating shards).
#pragma once

#include <cstddef>
#include <functional>

namespace retort {

// Cores this process may run on (its affinity mask, not the machine's count).
int available_cores();

// Calls body(i) once for each i in [0, count) on up to `threads` threads, taking chunks of `chunk` in order.
// Fewer than one thread means all available cores; a chunk of 0 counts as 1. The first exception is rethrown
// on the caller's thread after all threads have stopped.
void parallel_for(size_t count, size_t chunk, int threads, const std::function<void(size_t)>& body);

}  // namespace retort
