// Augmentation as a finite set of views of an image, so that a teacher's logits can be computed once for
// each.
//
// Views have fixed numbers, whatever the options choose among them: view 0 is the image itself and view 1 its
// mirror image; views 2k and 2k + 1 are the same two moved by the k-th shift. Shifts 1–8 go one pixel, shifts
// 9–24 up to two, ring after ring. Within a ring opposite shifts follow each other and directions spread out, so
// that the first so many shifts, however many, sum to none or to the last of them. Where a shift uncovers a
// border, the edge pixel is repeated.
//
// Numbers are this version's: versions before had two rings, each row by row from the top left, from view 2 on. What
// is stored names views as ViewPlace.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/dataset.h"

namespace retort::data {

inline constexpr int kMaxViewShift = 4;
inline constexpr int kViewCount = 2 * (2 * kMaxViewShift + 1) * (2 * kMaxViewShift + 1);

enum class Mirror { None, Horizontal };

// The default is the image itself alone.
struct ViewOptions {
  Mirror mirror = Mirror::None;  // not for digits, letters, signs
  int max_shift = 0;             // pixels in each direction, 0 to kMaxViewShift
  int most = kViewCount;         // of the chosen ones only the first so many, at least 1
};

// The numbers of the chosen views, ascending, 0 first. Throws Error(Usage) for a shift or `most` out of range.
std::vector<int> view_numbers(const ViewOptions& options);
size_t view_count(const ViewOptions& options);

// What a view shows: the image, or its mirror image, moved by so many pixels.
struct ViewPlace {
  int down = 0;
  int right = 0;
  bool mirrored = false;
  bool operator==(const ViewPlace&) const = default;
};
ViewPlace view_place(int view);
std::optional<int> view_number(const ViewPlace& place);  // none: there is no such view

// Writes one view of an image; `image` and `out` hold shape.bytes() each and do not overlap. 0 ≤ view <
// kViewCount.
void write_view(std::span<const uint8_t> image, ImageShape shape, int view, std::span<uint8_t> out);

}  // namespace retort::data
