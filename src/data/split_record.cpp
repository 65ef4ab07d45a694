#include "data/split_record.h"

#include "base/json.h"

namespace retort::data {

SplitRecord record_of(const SplitOptions& options, const Split& split) {
  return {.options = options,
          .train_images = static_cast<int64_t>(split.train.size()),
          .validation_images = static_cast<int64_t>(split.validation.size())};
}

void to_json(Json& json, const SplitOptions& options) {
  const auto& most = options.most_validation_images;
  json = {{"seed", options.seed},
          {"validation_fraction", options.validation_fraction},
          {"most_validation_images", most ? Json(*most) : Json()},
          {"test_fraction", options.test_fraction}};
}

void from_json(const Json& json, SplitOptions& options) {
  options = {.seed = json.at("seed").get<uint64_t>(),
             .validation_fraction = json.at("validation_fraction").get<double>(),
             .test_fraction = json.at("test_fraction").get<double>()};
  if (const Json most = json.value("most_validation_images", Json()); !most.is_null())
    options.most_validation_images = most.get<int64_t>();
}

void to_json(Json& json, const SplitRecord& record) {
  json = record.options;
  json["train_images"] = record.train_images;
  json["validation_images"] = record.validation_images;
}

void from_json(const Json& json, SplitRecord& record) {
  record = {.options = json.get<SplitOptions>(),
            .train_images = json.at("train_images").get<int64_t>(),
            .validation_images = json.at("validation_images").get<int64_t>()};
}

}  // namespace retort::data
