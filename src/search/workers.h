// A job on several threads that end together. Private to this room.
#pragma once

#include <functional>
#include <stop_token>

namespace retort::search {

// Calls job(stop) on `workers` threads and returns when all have. The first error stops the others and is
// rethrown; a stop by the user becomes Error(Interrupted).
void on_workers(int workers, const std::stop_token& user_stop,
                const std::function<void(const std::stop_token&)>& job);

// Half a second, for those who wait for other machines; less when stopped.
void wait_a_little(const std::stop_token& stop);

}  // namespace retort::search
