#include "base/sizes.h"

#include "base/memory.h"

namespace retort {

void require_memory(uint64_t bytes, std::string_view what) {
  if (bytes < kSmallMemoryBytes) return;
  constexpr double kGigabyte = 1e9;
  const uint64_t left = memory_left();
  if (bytes > left)
    throw NoMemory(fmt::format("{} would take {:.1f} GB, more than the {:.1f} GB of memory that are left",
                               what, static_cast<double>(bytes) / kGigabyte,
                               static_cast<double>(left) / kGigabyte));
}

}  // namespace retort
