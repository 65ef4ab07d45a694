#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "base/control_groups.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// "max" is none.
std::optional<int64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  int64_t value = 0;
  if (!(in >> value)) return std::nullopt;
  return value;
}

// "name 123" in one of the lines.
int64_t line_in(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  std::string key;
  for (int64_t value = 0; in >> key >> value;)
    if (key == name) return value;
  return 0;
}

int64_t left_in(const fs::path& group) {
  auto limit = number_in(group / "memory.max");
  auto used = number_in(group / "memory.current");
  const char* droppable = "inactive_file";
  if (!used) {  // version 1; without a limit its number is near the largest
    limit = number_in(group / "memory.limit_in_bytes");
    used = number_in(group / "memory.usage_in_bytes");
    droppable = "total_inactive_file";
  }
  if (!limit || !used || *limit > kUnlimited / 2) return kUnlimited;
  return std::max<int64_t>(0,
                           *limit - std::max<int64_t>(0, *used - line_in(group / "memory.stat", droppable)));
}

// Of this process, in bytes. 0 where the system does not say.
struct OwnMemory {
  int64_t address_space = 0;
  int64_t resident = 0;
};
OwnMemory own_memory() {
  std::ifstream in("/proc/self/statm");
  int64_t pages = 0;
  int64_t resident_pages = 0;
  if (!(in >> pages >> resident_pages)) return {};
  const int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  return {pages * page_bytes, resident_pages * page_bytes};
}

}  // namespace

std::optional<int64_t> memory_left_in_groups(const fs::path& mount, const fs::path& own_groups) {
  int64_t least = kUnlimited;
  for_each_group("memory", mount, own_groups,
                 [&](const fs::path& group) { least = std::min(least, left_in(group)); });
  if (least == kUnlimited) return std::nullopt;
  return least;
}

std::optional<int64_t> available_memory() {
  std::ifstream in("/proc/meminfo");
  std::optional<int64_t> available = memory_left_in_groups();
  std::string line;
  while (std::getline(in, line)) {
    constexpr std::string_view kName = "MemAvailable:";
    if (!line.starts_with(kName)) continue;
    const int64_t bytes = std::stoll(line.substr(kName.size())) * 1024;
    return std::min(bytes, available.value_or(bytes));
  }
  return available;
}

uint64_t memory_left() {
  const int64_t machine = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  const auto left = static_cast<uint64_t>(available_memory().value_or(machine));
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return left;
  const auto taken = static_cast<uint64_t>(own_memory().address_space);
  return std::min<uint64_t>(left, limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, taken));
}

int64_t resident_memory() {
  return own_memory().resident;
}

}  // namespace retort
