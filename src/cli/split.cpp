#include "cli/split.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/options.h"

namespace retort::cli {
namespace {

constexpr uint64_t kMostBytes = uint64_t{16} << 20U;
constexpr const char* kHash = "sha256";

std::filesystem::path beside(const std::filesystem::path& model) {
  return model.parent_path() / "model.json";
}

bool is_given(const CLI::App& app, const char* name) {
  return app.get_option(name)->count() > 0;
}

data::SplitOptions chosen(const CLI::App& app, const data::SplitOptions& options,
                          const data::SplitOptions& trained) {
  data::SplitOptions result = trained;
  if (is_given(app, "--validation")) {
    result.validation_fraction = options.validation_fraction;
    result.most_validation_images.reset();  // a share that was asked for is not cut by the model's bound
  }
  if (is_given(app, "--validation-images")) result.most_validation_images = options.most_validation_images;
  if (is_given(app, "--test-fraction")) result.test_fraction = options.test_fraction;
  if (is_given(app, "--split-seed")) result.seed = options.seed;
  return result;
}

}  // namespace

void add_model_split_options(CLI::App& app, data::SplitOptions& options) {
  add_split_options(app, options);
  for (const char* name : kSplitOptions) {
    CLI::Option* option = app.get_option(name);
    option->default_str("the model's, else " + option->get_default_str());
  }
}

DividedData divide(const data::Dataset& dataset, const CLI::App& app, const data::SplitOptions& options,
                   const std::optional<data::SplitRecord>& record, std::string_view name,
                   ProgressSink& progress) {
  DividedData divided{.options = options, .parts = {}};
  if (!record) {
    divided.parts = data::stratified_split(dataset, divided.options);
    return divided;
  }
  divided.options = chosen(app, options, record->options);
  if (std::ranges::any_of(kSplitOptions, [&](const char* option) { return is_given(app, option); })) {
    divided.parts = data::stratified_split(dataset, divided.options);
    if (Json(divided.options) != Json(record->options))
      progress.message(
          fmt::format("{}: was trained by another split: what it was trained on may be among what validates "
                      "or tests here.",
                      name));
    return divided;
  }
  try {
    divided.parts = data::stratified_split(dataset, divided.options);
  } catch (const Error& error) {
    throw_usage("{}: the split that it was trained by is none of this data: {}", name, error.what());
  }
  const data::SplitRecord here = data::record_of(divided.options, divided.parts);
  if (here.train_images != record->train_images || here.validation_images != record->validation_images)
    progress.message(fmt::format(
        "{}: was trained on {} images and validated on {}, and the same split of this data gives {} and {}: "
        "it is other data, and what the model was trained on may be among what validates or tests here.",
        name, format_integer(record->train_images), format_integer(record->validation_images),
        format_integer(here.train_images), format_integer(here.validation_images)));
  return divided;
}

std::string about_model(const std::filesystem::path& model, std::span<const uint8_t> tflite) {
  const std::filesystem::path file = beside(model);
  if (!std::filesystem::is_regular_file(file)) return {};
  std::string text = read_text(file, kMostBytes);
  if (parse_json_object(text).value(kHash, Json()) != sha256_hex(tflite)) return {};
  return text;
}

std::optional<data::SplitRecord> split_of(const std::filesystem::path& model,
                                          std::span<const uint8_t> tflite) {
  const Json split = parse_json_object(about_model(model, tflite)).value("split", Json());
  if (split.is_null()) return std::nullopt;
  try {
    return split.get<data::SplitRecord>();
  } catch (const Json::exception& error) {
    throw_usage("{}: its \"split\" is not as a search writes it: {}", beside(model).string(), error.what());
  }
}

std::filesystem::path about_path(const std::filesystem::path& model) {
  std::filesystem::path file = beside(model);
  require_writable("--out", file);
  if (std::filesystem::exists(file) && !parse_json_object(read_text(file, kMostBytes)).contains(kHash))
    throw_usage("--out: {} tells of no model, so it is somebody's own and not written over", file.string());
  return file;
}

}  // namespace retort::cli
