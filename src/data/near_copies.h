// Pictures that are nearly the same: stored anew at another quality, a little brighter, frames of one burst.
//
// Two steps. A perceptual hash finds candidates: the signs of the 63 lowest frequencies of a picture's cosine transform
// against their median (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Hashes
// that differ in at most 7 bits agree in one quarter but for one bit at most, so that looking up 17 values for each
// quarter finds all of them (multi-index hashing: Norouzi et al., CVPR 2012). Pixels then decide: both the pictures and
// their details (differences of neighbouring pixels, strong edges cut to the strength of a texture) must correlate. The
// details tell a copy from another picture of the same kind: two pullovers are alike, their folds are not.
//
// A mirrored or cropped picture is not found, nor one that hardly has any contrast.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace retort::data {

inline constexpr int kNearHashBits =
    12;  // that may differ; all pairs of up to 7 are found, most of the others

// Correlation of two images' pixels (all channels together) and of their grey details; 0 where one has none.
struct Likeness {
  double pixels = 0;
  double details = 0;
};
inline constexpr Likeness kNear = {.pixels = 0.9, .details = 0.6};
// Where more than a tenth of the pictures, and many of them, are near others, they are alike by nature (Fashion-MNIST's
// trousers), and only those count that are as near as this.
inline constexpr Likeness kNearAmongAlike = {.pixels = 0.98, .details = 0.9};
inline constexpr double kAlikeShare = 0.1;
inline constexpr size_t kFewestAlike = 1000;

struct NearPairs {
  // Indices into the images that were given, first < second; ascending.
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  // Whether everything was compared: not when thousands of pictures have nearly the same hash.
  bool complete = true;
  bool among_alike = false;  // kNearAmongAlike was asked for
};

// Of hashes. 60,000 pictures that all had one hash would take a few seconds at most.
inline constexpr uint64_t kMostHashComparisons = 4'000'000'000;

// Equal images are pairs too. All of one shape; what they are resized from does not matter. On up to `threads` threads
// (0: all cores); the result does not depend on them. 60,000 images take seconds.
NearPairs find_near_pairs(std::span<const std::span<const uint8_t>> images, ImageShape shape, int threads,
                          uint64_t most_comparisons = kMostHashComparisons);

// 63 bits, the lowest frequency in the lowest one.
struct PictureHash {
  uint64_t bits = 0;
  bool plain = false;  // has too little contrast for a hash
};
PictureHash picture_hash(std::span<const uint8_t> image, ImageShape shape);

Likeness likeness(std::span<const uint8_t> a, std::span<const uint8_t> b, ImageShape shape);

}  // namespace retort::data
