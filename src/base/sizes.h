// Sizes that come from outside. Their products are made here, so that none overflows unseen.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace retort {

// The product of sizes; the largest number where it would not fit, or where one is negative. Whoever calls compares it
// with what there is, and anything this large is refused.
template <std::integral T>
constexpr uint64_t saturating_product(std::span<const T> sizes) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  if (std::ranges::find(sizes, T{0}) != sizes.end()) return 0;
  uint64_t product = 1;
  for (const T size : sizes)
    if (std::cmp_less(size, 0) || __builtin_mul_overflow(product, static_cast<uint64_t>(size), &product))
      return kMost;
  return product;
}
template <std::integral T>
constexpr uint64_t saturating_product(std::initializer_list<T> sizes) {
  return saturating_product(std::span<const T>(sizes.begin(), sizes.size()));
}

// What was read is sound, but has no room on this machine now.
class NoMemory : public Error {
 public:
  explicit NoMemory(const std::string& message) : Error(ErrorCode::Usage, message) {}
};

// Throws NoMemory "`what` would take 12.3 GB, more than the 8.0 GB of memory that are left" when memory_left() says so:
// before the memory is asked for, which the system might grant and then not have. Less than kSmallMemoryBytes is always
// granted: the question costs as much as reading a picture.
inline constexpr uint64_t kSmallMemoryBytes = uint64_t{16} << 20U;
void require_memory(uint64_t bytes, std::string_view what);

}  // namespace retort
