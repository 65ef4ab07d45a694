// Vectors that begin on a cache line, for loads that must not straddle two.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace retort::int8 {

inline constexpr size_t kCacheLineBytes = 64;

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U>
  explicit AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLineBytes}));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, std::align_val_t{kCacheLineBytes}); }
  bool operator==(const AlignedAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace retort::int8
