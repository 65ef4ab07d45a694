// A curriculum: images sorted by how sure the teacher is of them, and how many of them training may use when.
// Bengio et al., «Curriculum learning», ICML 2009; the order by entropy is the notebook's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"

namespace retort::data {

// Entropy of the softmax of each row of `logits` (images × classes): H = −Σ p·ln(p + 1e-10), in nats.
// Throws Error(Usage) naming the row when a logit is no finite number.
std::vector<float> prediction_entropies(std::span<const float> logits, size_t classes);

// `indices` (into the images that `entropies` has one value for each of) from low entropy to high; equal ones
// by index.
std::vector<uint32_t> easy_first(std::span<const uint32_t> indices, std::span<const float> entropies);

// The control: the same growth, but in an order that knows nothing of the teacher.
std::vector<uint32_t> random_order(std::span<const uint32_t> indices, Rng rng);

struct Pacing {
  double first_share = 0.2;  // of the images, usable from the start
  double full_after = 0.5;   // fraction of the stage after which all are; growth is linear until then
};

// How many images, from the front of the order, may be used at fraction t of the stage. 1 ≤ result ≤ count
// unless count is 0; never shrinks with t.
size_t usable_images(size_t count, double t, const Pacing& pacing = {});

}  // namespace retort::data
