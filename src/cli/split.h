// The split of a command that reads a model: as the model's data was divided when it was trained, unless options say
// otherwise, so that no image validates that it was trained on.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "data/dataset.h"
#include "data/split_record.h"

namespace retort::cli {

inline constexpr std::array kSplitOptions = {"--validation", "--validation-images", "--test-fraction",
                                             "--split-seed"};

// add_split_options() whose defaults are for models that do not tell their split.
void add_model_split_options(CLI::App& app, data::SplitOptions& options);

struct DividedData {
  data::SplitOptions options;
  data::Split parts;
};
// `options` are what those of `app` say, `record` is the split of the model `name`. Says so where this is not the data that the
// model was trained on.
DividedData divide(const data::Dataset& dataset, const CLI::App& app, const data::SplitOptions& options,
                   const std::optional<data::SplitRecord>& record, std::string_view name,
                   ProgressSink& progress);

// model.json, which a search and `retort quantize` write beside a .tflite file: its text where it tells of this very file, else
// empty.
std::string about_model(const std::filesystem::path& model, std::span<const uint8_t> tflite);
// The split that it tells.
std::optional<data::SplitRecord> split_of(const std::filesystem::path& model,
                                          std::span<const uint8_t> tflite);
// Where it is to be written, beside `model`. Error(Usage) where somebody's own file has its name.
std::filesystem::path about_path(const std::filesystem::path& model);

}  // namespace retort::cli
