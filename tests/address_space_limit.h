// Little memory, for tests of what is refused before memory is taken. Not for sanitizers, whose own memory has no room in it.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace retort {

// As long as it lives this process may take so many bytes more.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(uint64_t left) {
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
    const rlimit tight{.rlim_cur = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) + left,
                       .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  }
  ~AddressSpaceLimit() { ::setrlimit(RLIMIT_AS, &before_); }
  AddressSpaceLimit(const AddressSpaceLimit&) = delete;
  AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace retort
