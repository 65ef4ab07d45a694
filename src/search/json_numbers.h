// Numbers that may be unknown, as JSON: NaN is written as null.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

#include "search/results.h"

namespace retort::search {

inline nlohmann::json number_to_json(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

inline double number_from_json(const nlohmann::json& json) {
  return json.is_null() ? kUnknown : json.get<double>();
}

}  // namespace retort::search
