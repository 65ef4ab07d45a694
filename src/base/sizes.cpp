#include "base/sizes.h"

#include <unistd.h>

#include "base/error.h"

namespace retort {

uint64_t memory_bytes() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void require_memory(uint64_t bytes, std::string_view what) {
  constexpr double kGigabyte = 1e9;
  if (bytes > memory_bytes())
    throw_usage("{} would take {:.1f} GB, more than this machine's {:.1f} GB of memory", what,
                static_cast<double>(bytes) / kGigabyte, static_cast<double>(memory_bytes()) / kGigabyte);
}

}  // namespace retort
