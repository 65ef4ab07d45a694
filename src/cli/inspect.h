// What `retort inspect --json` says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "cost/target.h"

namespace retort::cli {

// Of a .tflite file's bytes: operators, shapes, cost with the target, what is not supported. `name` is for errors.
// Throws Error(Usage) for bytes that are no such file.
Json inspection_json(const std::vector<uint8_t>& tflite, const std::string& name, const cost::Target& target);

}  // namespace retort::cli
