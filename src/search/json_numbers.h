// Numbers that may be unknown, as JSON: NaN is written as null.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "search/results.h"

namespace retort::search {

inline nlohmann::json number_to_json(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

inline double number_from_json(const nlohmann::json& json) {
  return json.is_null() ? kUnknown : json.get<double>();
}

// A size or a count of something that is there, as a study stores it: sums of many do not overflow. Throws Error(Failure)
// for what no study of ours holds.
inline int64_t size_from_json(const nlohmann::json& json) {
  constexpr int64_t kMost = int64_t{1} << 48U;
  const auto size = integer_from_json<int64_t>(json);
  if (size < 0 || size > kMost) throw_failure("a stored size is {}, which is none", json.dump());
  return size;
}

// How many threads a run had, as its options allow. Throws Error(Failure) for another number.
inline int threads_from_json(const nlohmann::json& json) {
  const auto threads = integer_from_json<int64_t>(json);
  if (threads < 0 || threads > kMostThreads)
    throw_failure("a stored number of threads is {}; 0 to {} are allowed", threads, kMostThreads);
  return static_cast<int>(threads);
}

}  // namespace retort::search
