// What random structures and random changes of structures draw alike. Private to this room.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/rng.h"

namespace retort::search {

// One of an array's or a vector's values, each as likely.
template <typename Values>
typename Values::value_type pick(Rng& rng, const Values& values) {
  return values[rng.below(static_cast<uint32_t>(values.size()))];
}

inline int nearest_multiple(double width, int step) {
  return static_cast<int>(std::lround(width / step)) * step;
}

}  // namespace retort::search
