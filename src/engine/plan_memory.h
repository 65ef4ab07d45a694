// One block of memory for buffers that live at different times.
//
// The algorithm is the usual greedy one (Pisarchyk and Lee, «Efficient memory management for deep neural net
// inference», arXiv 2001.03288, «greedy by size»): buffers in order of size, the largest first, each at the
// lowest offset where it collides with none that lives at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace retort::engine {

// The smallest multiple of `step` that is not below `size`.
constexpr size_t round_up(size_t size, size_t step) {
  return (size + step - 1) / step * step;
}
inline constexpr size_t kLineBytes = 64;  // a line of the caches, and the longest vector
inline constexpr size_t kLineFloats = kLineBytes / sizeof(float);

class MemoryPlan {
 public:
  // A buffer that is needed from step `first` to step `last`, both included. Returns its number.
  int request(size_t bytes, int first, int last);
  // Keeps a buffer to step `last` if it would end before.
  void extend(int buffer, int last);
  // Gives every buffer its offset; returns the bytes of all.
  size_t arrange();
  [[nodiscard]] size_t offset(int buffer) const { return buffers_[static_cast<size_t>(buffer)].offset; }

 private:
  struct Buffer {
    size_t bytes = 0;
    int first = 0;
    int last = 0;
    size_t offset = 0;
  };
  std::vector<Buffer> buffers_;
};

struct ArenaRelease {
  size_t bytes = 0;  // of the memory, which may be more than the arena's
  void operator()(std::byte* memory) const;
};

// Zeroed memory, in huge pages where it is large and the kernel gives them, whose address is a multiple of
// 64.
class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t bytes);
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] float* floats() const;
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<std::byte, ArenaRelease> data_;
  size_t bytes_ = 0;
};

}  // namespace retort::engine
