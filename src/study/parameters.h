// A trial's genes in Optuna's words. All trials of a study must have the same range for a name, or Optuna leaves
// it out of its analyses.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "study/storage.h"

namespace retort::study {

enum class Scale { Linear, Log };

// low ≤ value ≤ high.
Parameter integer_parameter(std::string name, int value, int low, int high, Scale scale = Scale::Linear);
Parameter real_parameter(std::string name, double value, double low, double high,
                         Scale scale = Scale::Linear);
// `choice` is one of `choices`.
Parameter categorical_parameter(std::string name, std::string_view choice,
                                std::span<const std::string> choices);

}  // namespace retort::study
