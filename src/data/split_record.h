// The split that a model was trained by, as its files keep it: what comes after divides the same data alike and measures on no
// image that the model was trained on.
#pragma once

#include <cstdint>

#include "base/json_fwd.h"
#include "data/dataset.h"

namespace retort::data {

struct SplitRecord {
  SplitOptions options;
  // What they made of the data then: other numbers now mean other data.
  int64_t train_images = 0;
  int64_t validation_images = 0;
};
SplitRecord record_of(const SplitOptions& options, const Split& split);

// Reading throws Json::exception for what is none; the bound may be missing, as it was in earlier versions.
void to_json(Json& json, const SplitOptions& options);
void from_json(const Json& json, SplitOptions& options);
void to_json(Json& json, const SplitRecord& record);
void from_json(const Json& json, SplitRecord& record);

}  // namespace retort::data
