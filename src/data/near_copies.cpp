#include "data/near_copies.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/parallel.h"
#include "data/preprocess.h"

namespace retort::data {
namespace {

constexpr int kSide = 32;                 // of the grey picture that is transformed
constexpr int kFrequencies = 8;           // of each axis
constexpr double kFewestLevels = 4;       // standard deviation of a picture that has a hash, of 255
constexpr int kLargestComparedSide = 64;  // larger ones are compared at this size
constexpr int kStrongestDetail = 16;      // of 255: an outline counts as much as a fold
constexpr int kQuarters = 4;
constexpr int kQuarterBits = 16;
constexpr size_t kQuarterValues = size_t{1} << kQuarterBits;

using Basis = std::array<std::array<float, kSide>, kFrequencies>;

const Basis& cosines() {
  static const Basis basis = [] {
    Basis made;
    for (size_t k = 0; k < kFrequencies; ++k)
      for (size_t i = 0; i < kSide; ++i)
        made[k][i] = static_cast<float>(
            std::cos(std::numbers::pi / kSide * (static_cast<double>(i) + 0.5) * static_cast<double>(k)));
    return made;
  }();
  return basis;
}

// Of channels that are no colours their mean.
std::vector<uint8_t> grey_of(std::span<const uint8_t> image, ImageShape shape) {
  const auto channels = static_cast<size_t>(shape.channels);
  std::vector<uint8_t> grey(shape.bytes() / channels);
  if (channels == 3) {
    to_gray(image, grey);
    return grey;
  }
  for (size_t p = 0; p < grey.size(); ++p) {
    uint32_t sum = 0;
    for (size_t c = 0; c < channels; ++c) sum += image[p * channels + c];
    grey[p] = static_cast<uint8_t>(sum / channels);
  }
  return grey;
}

// The picture as kSide × kSide grey values.
std::array<uint8_t, kSide * kSide> grey_thumbnail(std::span<const uint8_t> image, ImageShape shape) {
  std::array<uint8_t, kSide * kSide> small{};
  resize(grey_of(image, shape), {shape.height, shape.width, 1}, small, {kSide, kSide, 1});
  return small;
}

double deviation(std::span<const uint8_t> values) {
  int64_t sum = 0;
  int64_t squares = 0;
  for (const int64_t value : values) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(values.size());
  const double mean = static_cast<double>(sum) / count;
  return std::sqrt(std::max(0.0, static_cast<double>(squares) / count - mean * mean));
}

// Sums of a pair of series, for their correlation.
class Correlation {
 public:
  void add(int a, int b) {
    ++count_;
    a_ += a;
    b_ += b;
    aa_ += static_cast<int64_t>(a) * a;
    bb_ += static_cast<int64_t>(b) * b;
    ab_ += static_cast<int64_t>(a) * b;
  }
  [[nodiscard]] double value() const {
    const auto n = static_cast<double>(count_);
    const double a = n * static_cast<double>(aa_) - static_cast<double>(a_) * static_cast<double>(a_);
    const double b = n * static_cast<double>(bb_) - static_cast<double>(b_) * static_cast<double>(b_);
    const double both = n * static_cast<double>(ab_) - static_cast<double>(a_) * static_cast<double>(b_);
    return a <= 0 || b <= 0 ? 0 : both / std::sqrt(a * b);
  }

 private:
  int64_t count_ = 0;
  int64_t a_ = 0;
  int64_t b_ = 0;
  int64_t aa_ = 0;
  int64_t bb_ = 0;
  int64_t ab_ = 0;
};

// Of grey values: JPEG files have colours at half the resolution.
double detail_correlation(std::span<const uint8_t> first, std::span<const uint8_t> second, ImageShape shape) {
  const std::vector<uint8_t> a = grey_of(first, shape);
  const std::vector<uint8_t> b = grey_of(second, shape);
  Correlation details;
  const auto add = [&](size_t at, size_t before) {
    details.add(std::clamp(a[at] - a[before], -kStrongestDetail, kStrongestDetail),
                std::clamp(b[at] - b[before], -kStrongestDetail, kStrongestDetail));
  };
  const auto width = static_cast<size_t>(shape.width);
  for (size_t at = 0; at < a.size(); ++at) {
    if (at % width > 0) add(at, at - 1);
    if (at >= width) add(at, at - width);
  }
  return details.value();
}

double pixel_correlation(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  Correlation pixels;
  for (size_t i = 0; i < a.size(); ++i) pixels.add(a[i], b[i]);
  return pixels.value();
}

bool reaches(const Likeness& alike, const Likeness& least) {
  return alike.pixels >= least.pixels && alike.details >= least.details;
}

// Without details, which take longer, where the pixels differ too much.
Likeness likeness_if_near(std::span<const uint8_t> a, std::span<const uint8_t> b, ImageShape shape) {
  Likeness alike{.pixels = pixel_correlation(a, b), .details = 0};
  if (alike.pixels >= kNear.pixels) alike.details = detail_correlation(a, b, shape);
  return alike;
}

uint32_t quarter(uint64_t hash, int which) {
  return static_cast<uint32_t>(hash >> (kQuarterBits * which)) & (kQuarterValues - 1);
}

// Pictures by the value of one quarter of their hash.
struct Shelf {
  std::vector<uint32_t> begins;  // of each value, and the end
  std::vector<uint32_t> pictures;

  [[nodiscard]] std::span<const uint32_t> at(uint32_t value) const {
    return std::span(pictures).subspan(begins[value], begins[value + 1] - begins[value]);
  }
  [[nodiscard]] uint64_t count(uint32_t value) const { return begins[value + 1] - begins[value]; }
};

Shelf shelve(const std::vector<PictureHash>& hashes, int which) {
  Shelf shelf;
  shelf.begins.assign(kQuarterValues + 1, 0);
  for (const PictureHash& hash : hashes)
    if (!hash.plain) ++shelf.begins[quarter(hash.bits, which) + 1];
  std::partial_sum(shelf.begins.begin(), shelf.begins.end(), shelf.begins.begin());
  shelf.pictures.resize(shelf.begins.back());
  std::vector<uint32_t> next(shelf.begins.begin(), shelf.begins.end() - 1);
  for (uint32_t i = 0; i < hashes.size(); ++i)
    if (!hashes[i].plain) shelf.pictures[next[quarter(hashes[i].bits, which)]++] = i;
  return shelf;
}

// The value itself and those that differ from it in one bit.
template <typename Visit>
void for_each_near(uint32_t value, const Visit& visit) {
  visit(value);
  for (int bit = 0; bit < kQuarterBits; ++bit) visit(value ^ (1U << bit));
}

// Comparisons that shelves with at most `most` pictures in a place lead to.
uint64_t comparisons(const std::array<Shelf, kQuarters>& shelves, uint64_t most) {
  uint64_t sum = 0;
  for (const Shelf& shelf : shelves)
    for (uint32_t value = 0; value < kQuarterValues; ++value) {
      const uint64_t here = shelf.count(value);
      if (here == 0 || here > most) continue;
      for_each_near(value, [&](uint32_t other) {
        if (const uint64_t there = shelf.count(other); there <= most) sum += here * there;
      });
    }
  return sum / 2;
}

// Whether an earlier quarter leads to this pair too.
bool found_before(uint64_t differing, int which) {
  for (int earlier = 0; earlier < which; ++earlier)
    if (std::popcount(quarter(differing, earlier)) <= 1) return true;
  return false;
}

}  // namespace

PictureHash picture_hash(std::span<const uint8_t> image, ImageShape shape) {
  const auto thumbnail = grey_thumbnail(image, shape);
  if (deviation(thumbnail) < kFewestLevels) return {.plain = true};
  const Basis& basis = cosines();
  std::array<std::array<float, kFrequencies>, kSide> rows{};  // transformed along x
  for (size_t y = 0; y < kSide; ++y)
    for (size_t k = 0; k < kFrequencies; ++k)
      for (size_t x = 0; x < kSide; ++x)
        rows[y][k] += basis[k][x] * static_cast<float>(thumbnail[y * kSide + x]);
  std::array<float, kFrequencies * kFrequencies> frequencies{};
  for (size_t v = 0; v < kFrequencies; ++v)
    for (size_t y = 0; y < kSide; ++y)
      for (size_t k = 0; k < kFrequencies; ++k) frequencies[v * kFrequencies + k] += basis[v][y] * rows[y][k];
  // The first is the mean, which says nothing of the picture.
  std::array<float, kFrequencies * kFrequencies - 1> sorted{};
  std::copy(frequencies.begin() + 1, frequencies.end(), sorted.begin());
  std::ranges::nth_element(sorted, sorted.begin() + sorted.size() / 2);
  PictureHash hash;
  for (size_t i = 1; i < frequencies.size(); ++i)
    if (frequencies[i] > sorted[sorted.size() / 2]) hash.bits |= uint64_t{1} << (i - 1);
  return hash;
}

Likeness likeness(std::span<const uint8_t> a, std::span<const uint8_t> b, ImageShape shape) {
  return {.pixels = pixel_correlation(a, b), .details = detail_correlation(a, b, shape)};
}

NearPairs find_near_pairs(std::span<const std::span<const uint8_t>> images, ImageShape shape, int threads,
                          uint64_t most_comparisons) {
  std::vector<PictureHash> hashes(images.size());
  parallel_for(images.size(), 64, threads, [&](size_t i) { hashes[i] = picture_hash(images[i], shape); });
  std::array<Shelf, kQuarters> shelves;
  for (int q = 0; q < kQuarters; ++q) shelves[static_cast<size_t>(q)] = shelve(hashes, q);
  uint64_t most = images.size();
  while (most > 1 && comparisons(shelves, most) > most_comparisons) most /= 2;
  NearPairs found;
  for (const Shelf& shelf : shelves)
    for (uint32_t value = 0; value < kQuarterValues; ++value)
      if (shelf.count(value) > most) found.complete = false;

  ImageShape compared = shape;
  if (const int side = std::max(shape.height, shape.width); side > kLargestComparedSide) {
    compared.height = std::max(1, shape.height * kLargestComparedSide / side);
    compared.width = std::max(1, shape.width * kLargestComparedSide / side);
  }
  const auto compare = [&](uint32_t a, uint32_t b) -> Likeness {
    if (compared == shape) return likeness_if_near(images[a], images[b], shape);
    std::vector<uint8_t> small(2 * compared.bytes());
    const std::span<uint8_t> first = std::span(small).first(compared.bytes());
    const std::span<uint8_t> second = std::span(small).last(compared.bytes());
    resize(images[a], shape, first, compared);
    resize(images[b], shape, second, compared);
    return likeness_if_near(first, second, compared);
  };

  struct Partner {
    uint32_t picture;
    Likeness likeness;
  };
  std::vector<std::vector<Partner>> partners(images.size());  // later ones of each
  parallel_for(images.size(), 64, threads, [&](size_t i) {
    const auto picture = static_cast<uint32_t>(i);
    if (hashes[i].plain) return;
    for (int q = 0; q < kQuarters; ++q) {
      const Shelf& shelf = shelves[static_cast<size_t>(q)];
      const uint32_t value = quarter(hashes[i].bits, q);
      if (shelf.count(value) > most) continue;
      for_each_near(value, [&](uint32_t near) {
        if (shelf.count(near) > most) return;
        const auto here = shelf.at(near);
        for (const uint32_t other :
             here.subspan(static_cast<size_t>(std::ranges::upper_bound(here, picture) - here.begin()))) {
          const uint64_t differing = hashes[i].bits ^ hashes[other].bits;
          if (std::popcount(differing) > kNearHashBits || found_before(differing, q)) continue;
          if (const Likeness alike = compare(picture, other); reaches(alike, kNear))
            partners[i].push_back({other, alike});
        }
      });
    }
  });
  std::vector<bool> involved(images.size(), false);
  for (size_t i = 0; i < partners.size(); ++i)
    for (const Partner& partner : partners[i]) involved[i] = involved[partner.picture] = true;
  const auto near = static_cast<size_t>(std::ranges::count(involved, true));
  found.among_alike =
      near >= kFewestAlike && static_cast<double>(near) > kAlikeShare * static_cast<double>(images.size());
  for (uint32_t i = 0; i < partners.size(); ++i) {
    std::ranges::sort(partners[i], {}, &Partner::picture);
    for (const auto& [other, alike] : partners[i])
      if (!found.among_alike || reaches(alike, kNearAmongAlike)) found.pairs.emplace_back(i, other);
  }
  return found;
}

}  // namespace retort::data
