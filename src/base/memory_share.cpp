#include "base/memory_share.h"

#include <condition_variable>
#include <mutex>

#include "base/memory.h"
#include "base/sizes.h"

namespace retort {
namespace {

// What is held, of the whole process.
struct Held {
  std::mutex mutex;
  std::condition_variable less;
  uint64_t bytes = 0;
};
Held& held() {
  static Held all;
  return all;
}

}  // namespace

MemoryShare::MemoryShare(uint64_t bytes, std::string_view what) {
  if (bytes < kSmallMemoryBytes) return;
  Held& all = held();
  std::unique_lock lock(all.mutex);
  all.less.wait(lock, [&] {
    if (all.bytes == 0) return true;
    // Some of what is held has been taken and is counted twice: rather too little than too much.
    const uint64_t left = memory_left();
    return all.bytes <= left && bytes <= left - all.bytes;
  });
  require_memory(bytes, what);
  all.bytes += bytes;
  bytes_ = bytes;
}

MemoryShare::~MemoryShare() {
  if (bytes_ == 0) return;
  Held& all = held();
  {
    const std::lock_guard lock(all.mutex);
    all.bytes -= bytes_;
  }
  all.less.notify_all();
}

}  // namespace retort
