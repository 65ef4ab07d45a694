#include "data/views.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>

#include "base/error.h"

namespace retort::data {
namespace {

struct Shift {
  int down = 0;
  int right = 0;
};

constexpr int ring_of(int down, int right) {
  return std::max(down < 0 ? -down : down, right < 0 ? -right : right);
}

constexpr std::array<Shift, kViewCount / 2> make_shifts() {
  std::array<Shift, kViewCount / 2> shifts{};
  size_t count = 0;
  for (int ring = 0; ring <= kMaxViewShift; ++ring)
    for (int down = -ring; down <= ring; ++down)
      for (int right = -ring; right <= ring; ++right)
        if (ring_of(down, right) == ring) shifts[count++] = {down, right};
  return shifts;
}

constexpr std::array<Shift, kViewCount / 2> kShifts = make_shifts();

}  // namespace

std::vector<int> view_numbers(const ViewOptions& options) {
  if (options.max_shift < 0 || options.max_shift > kMaxViewShift)
    throw_usage("views can be shifted by 0 to {} pixels, not {}", kMaxViewShift, options.max_shift);
  const int side = 2 * options.max_shift + 1;
  const int step = options.mirror == Mirror::Horizontal ? 1 : 2;
  std::vector<int> numbers;
  for (int view = 0; view < 2 * side * side; view += step) numbers.push_back(view);
  return numbers;
}

size_t view_count(const ViewOptions& options) {
  return view_numbers(options).size();
}

void write_view(std::span<const uint8_t> image, ImageShape shape, int view, std::span<uint8_t> out) {
  assert(view >= 0 && view < kViewCount && image.size() == shape.bytes() && out.size() == shape.bytes());
  const Shift shift = kShifts[static_cast<size_t>(view / 2)];
  const bool mirrored = view % 2 == 1;
  const auto channels = static_cast<size_t>(shape.channels);
  const size_t row = static_cast<size_t>(shape.width) * channels;
  for (int y = 0; y < shape.height; ++y) {
    const auto source_y = static_cast<size_t>(std::clamp(y - shift.down, 0, shape.height - 1));
    uint8_t* to = out.data() + static_cast<size_t>(y) * row;
    for (int x = 0; x < shape.width; ++x) {
      const int moved = std::clamp(x - shift.right, 0, shape.width - 1);
      const auto source_x = static_cast<size_t>(mirrored ? shape.width - 1 - moved : moved);
      to = std::copy_n(image.data() + source_y * row + source_x * channels, channels, to);
    }
  }
}

}  // namespace retort::data
