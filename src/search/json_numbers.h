// Numbers that may be unknown, as JSON: NaN is written as null.
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "search/results.h"
#include "search/settings.h"

namespace retort::search {

inline Json number_to_json(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

inline double number_from_json(const Json& json) {
  return json.is_null() ? kUnknown : json.get<double>();
}

// A size or a count of something that is there, as a study stores it: sums of many do not overflow. Throws Error(Failure)
// for what no study of ours holds.
inline int64_t size_from_json(const Json& json) {
  constexpr int64_t kMost = int64_t{1} << 48U;
  const auto size = json.get<int64_t>();
  if (size < 0 || size > kMost) throw_failure("a stored size is {}, which is none", json.dump());
  return size;
}

// More epochs than any stage has: heats and candidates of a long time have several times those of the options.
inline constexpr int kMostStoredEpochs = 1 << 26U;

// The epochs that were decided for stages, by their names. Throws Error(Failure) for a number that none of ours has.
inline std::map<std::string, int, std::less<>> epochs_from_json(const Json& json) {
  auto epochs = json.get<std::map<std::string, int, std::less<>>>();
  for (const auto& [stage, count] : epochs)
    if (count < 1 || count > kMostStoredEpochs)
      throw_failure("the stored epochs of '{}' are {}; 1 to {} are allowed", stage, count, kMostStoredEpochs);
  return epochs;
}

// How many threads a run had, as its options allow. Throws Error(Failure) for another number.
inline int threads_from_json(const Json& json) {
  const auto threads = json.get<int64_t>();
  if (threads < 0 || threads > kMostThreads)
    throw_failure("a stored number of threads is {}; 0 to {} are allowed", threads, kMostThreads);
  return static_cast<int>(threads);
}

}  // namespace retort::search
