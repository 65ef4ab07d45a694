// Memory that several threads ask for, each for much at once.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

namespace retort {

// A part of the memory that is left, while it lives. Whoever asks for one waits until what all hold together is left too, so that
// threads that each take much do so one after the other where memory is short. Less than kSmallMemoryBytes is nobody's
// concern. A thread that holds one asks for no second: two such might wait for each other.
class MemoryShare {
 public:
  MemoryShare() = default;
  // Throws NoMemory as require_memory() does, where it is too much even alone.
  MemoryShare(uint64_t bytes, std::string_view what);
  ~MemoryShare();
  MemoryShare(MemoryShare&& other) noexcept : bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryShare& operator=(MemoryShare&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

 private:
  uint64_t bytes_ = 0;
};

}  // namespace retort
