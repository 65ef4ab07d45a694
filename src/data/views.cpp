#include "data/views.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/error.h"

namespace retort::data {
namespace {

struct Shift {
  int down = 0;
  int right = 0;
};

// Half of a ring, from the right (0, ring) by the bottom to the left: 4 · ring shifts, the others are opposite.
constexpr Shift on_half_ring(int ring, int at) {
  if (at <= ring) return {at, ring};
  if (at <= 3 * ring) return {ring, 2 * ring - at};
  return {4 * ring - at, -ring};
}

constexpr int bit_reversed(int value, int bits) {
  int reversed = 0;
  for (int bit = 0; bit < bits; ++bit) reversed = 2 * reversed + (value >> bit) % 2;
  return reversed;
}

constexpr std::array<Shift, kViewCount / 2> make_shifts() {
  constexpr int kBits = std::bit_width(static_cast<unsigned>(4 * kMaxViewShift));
  std::array<Shift, kViewCount / 2> shifts{};
  size_t count = 1;  // the first is none
  for (int ring = 1; ring <= kMaxViewShift; ++ring)
    // Bit-reversed fractions of the half turn: each direction goes to the middle of a gap that was left.
    for (int i = 0; i < 1 << kBits; ++i) {
      const int part = bit_reversed(i, kBits) * 4 * ring;
      if (part % (1 << kBits) >= 4 * ring) continue;  // not the first of those that fall on one place
      const Shift shift = on_half_ring(ring, part >> kBits);
      shifts[count++] = shift;
      shifts[count++] = {-shift.down, -shift.right};
    }
  return shifts;
}

constexpr std::array<Shift, kViewCount / 2> kShifts = make_shifts();

// Channels: their number, or 0 when only the shape knows it. A pixel is then copied by a few instructions
// where a call would cost more than the copy.
template <size_t Channels>
void write_moved(const uint8_t* image, ImageShape shape, int view, uint8_t* out) {
  const Shift shift = kShifts[static_cast<size_t>(view / 2)];
  const bool mirrored = view % 2 == 1;
  const size_t channels = Channels > 0 ? Channels : static_cast<size_t>(shape.channels);
  const auto width = static_cast<size_t>(shape.width);
  // Columns [begin, end) come from inside the image, beginning with column `first` of it or its mirror image.
  const auto begin = static_cast<size_t>(std::clamp(shift.right, 0, shape.width));
  const auto end = static_cast<size_t>(std::clamp(shape.width + shift.right, 0, shape.width));
  const auto first = static_cast<size_t>(std::max(-shift.right, 0));
  const auto copy_pixel = [&](const uint8_t* row, size_t x, uint8_t* to) {
    const uint8_t* from = row + (mirrored ? width - 1 - x : x) * channels;
    for (size_t channel = 0; channel < channels; ++channel) to[channel] = from[channel];
  };
  for (int y = 0; y < shape.height; ++y) {
    const auto source_y = static_cast<size_t>(std::clamp(y - shift.down, 0, shape.height - 1));
    const uint8_t* row = image + source_y * width * channels;
    uint8_t* to = out + static_cast<size_t>(y) * width * channels;
    for (size_t x = 0; x < begin; ++x) copy_pixel(row, 0, to + x * channels);
    if (mirrored)
      for (size_t x = begin; x < end; ++x) copy_pixel(row, first + x - begin, to + x * channels);
    else if (begin < end)
      std::memcpy(to + begin * channels, row + first * channels, (end - begin) * channels);
    for (size_t x = std::max(begin, end); x < width; ++x) copy_pixel(row, width - 1, to + x * channels);
  }
}

}  // namespace

std::vector<int> view_numbers(const ViewOptions& options) {
  if (options.max_shift < 0 || options.max_shift > kMaxViewShift)
    throw_usage("views can be shifted by 0 to {} pixels, not {}", kMaxViewShift, options.max_shift);
  if (options.most < 1) throw_usage("{} views of an image: at least 1 is needed", options.most);
  const int side = 2 * options.max_shift + 1;
  const int step = options.mirror == Mirror::Horizontal ? 1 : 2;
  std::vector<int> numbers;
  for (int view = 0; view < 2 * side * side; view += step) numbers.push_back(view);
  numbers.resize(std::min(numbers.size(), static_cast<size_t>(options.most)));
  return numbers;
}

size_t view_count(const ViewOptions& options) {
  return view_numbers(options).size();
}

ViewPlace view_place(int view) {
  assert(view >= 0 && view < kViewCount);
  const Shift shift = kShifts[static_cast<size_t>(view / 2)];
  return {.down = shift.down, .right = shift.right, .mirrored = view % 2 == 1};
}

std::optional<int> view_number(const ViewPlace& place) {
  for (int view = 0; view < kViewCount; ++view)
    if (view_place(view) == place) return view;
  return std::nullopt;
}

void write_view(std::span<const uint8_t> image, ImageShape shape, int view, std::span<uint8_t> out) {
  assert(view >= 0 && view < kViewCount && image.size() == shape.bytes() && out.size() == shape.bytes());
  if (view == 0)
    std::copy(image.begin(), image.end(), out.begin());
  else if (shape.channels == 1)
    write_moved<1>(image.data(), shape, view, out.data());
  else if (shape.channels == 3)
    write_moved<3>(image.data(), shape, view, out.data());
  else
    write_moved<0>(image.data(), shape, view, out.data());
}

}  // namespace retort::data
