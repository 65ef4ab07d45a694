// What stands in the way of a .tflite file, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "int8/check.h"

namespace retort::cli {

// "not supported:" and a few lines for each: operators and tensors for which the same is to say stand together.
// `operator_names`: of every operator of the file.
std::string problems_text(const std::vector<int8::Problem>& problems,
                          const std::vector<std::string>& operator_names);
Json problems_json(const std::vector<int8::Problem>& problems);

}  // namespace retort::cli
