// Files by the numbers that the system calls them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace retort {

// A file that is closed on scope exit; −1 is none. Not copied: one owner closes it.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }
  [[nodiscard]] bool is_open() const { return value_ >= 0; }
  // Leaves it open, for another owner.
  void release() { value_ = -1; }
  // What close() says: −1 and errno where the last bytes could not be written.
  int close();

 private:
  int value_;
};

// All of them, however often a signal interrupts; throws std::system_error when they cannot be written.
void write_fully(int descriptor, std::span<const uint8_t> bytes);

// What an errno says, as a part of a sentence: "No such file or directory".
std::string system_reason(int error);

}  // namespace retort
