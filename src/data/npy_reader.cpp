#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/arrays.h"
#include "data/export.h"
#include "data/npy.h"
#include "data/readers.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

struct Images {
  int64_t count = 0;
  ImageShape shape;
};

Images image_shape(const NpyArray& array, const std::string& name) {
  const size_t rank = array.shape.size();
  if (rank != 3 && rank != 4)
    throw_usage("{}: has shape {}; images are N x height x width or N x height x width x channels", name,
                shape_text(array.shape));
  constexpr int64_t kMaxSide = 1 << 16;
  for (size_t d = 0; d < rank; ++d)
    if (array.shape[d] < 1 || (d > 0 && array.shape[d] > kMaxSide))
      throw_usage("{}: has shape {}; dimension {} must be {}", name, shape_text(array.shape), d,
                  d == 0 ? "at least 1" : "1 to 65536");
  const int64_t channels = rank == 4 ? array.shape[3] : 1;
  constexpr int64_t kMaxBytes = int64_t{256} << 20;
  if (array.shape[1] * array.shape[2] * channels > kMaxBytes)
    throw_usage("{}: has shape {}; an image may have {} million values at most", name,
                shape_text(array.shape), kMaxBytes >> 20);
  return {array.shape[0],
          {static_cast<int>(array.shape[1]), static_cast<int>(array.shape[2]), static_cast<int>(channels)}};
}

std::string_view not_finite(float value) {
  return std::isnan(value) ? "NaN" : "an infinity";
}

// Every value of images that are not left out is finite: either it throws or it takes such images' labels.
std::vector<float> finite_floats(const NpyArray& array, const std::string& name, const LoadOptions& options,
                                 std::vector<uint16_t>& labels) {
  std::vector<float> values = array.as_float();
  const size_t image_values = values.size() / labels.size();
  if (options.bad_images == BadImages::Fail) {
    require_finite(values, image_values, name);
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    if (labels[i / image_values] != kNoLabel)
      note_left_out(options, fmt::format("{}, image {}", name, i / image_values),
                    fmt::format("holds {}", not_finite(values[i])));
    labels[i / image_values] = kNoLabel;
    values[i] = 0;
  }
  return values;
}

// Smallest and largest value of the images that have labels.
ValueRange value_range(const std::vector<float>& values, const std::vector<uint16_t>& labels) {
  const size_t image_values = values.size() / labels.size();
  ValueRange range{std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
  for (size_t i = 0; i < values.size(); ++i) {
    if (labels[i / image_values] == kNoLabel) continue;
    range.low = std::min(range.low, values[i]);
    range.high = std::max(range.high, values[i]);
  }
  return range;
}

// One label an image, kNoLabel for those that are left out. `classes` is what a one-hot array has columns,
// else the largest label + 1.
std::vector<uint16_t> read_labels(const NamedArray& labelled, int64_t images, const LoadOptions& options,
                                  size_t& classes) {
  const auto& [name, array] = labelled;
  const bool column = array.shape.size() == 2 && array.shape[1] == 1;
  const bool one_hot = array.shape.size() == 2 && array.shape[1] > 1;
  if (array.shape.size() != 1 && !column && !one_hot)
    throw_usage("{}: has shape {}; labels are N integers or N x classes one-hot rows", name,
                shape_text(array.shape));
  if (array.shape[0] != images) throw_usage("{}: has {} labels for {} images", name, array.shape[0], images);

  std::vector<uint16_t> labels(static_cast<size_t>(images));
  if (one_hot) {
    const auto width = static_cast<size_t>(array.shape[1]);
    if (width > kMaxClasses) throw_usage("{}: has {} classes; {} at most", name, width, kMaxClasses);
    std::vector<float> row(width);
    for (size_t i = 0; i < labels.size(); ++i) {
      array.to_float(i * width, row);
      const auto hot = std::ranges::find(row, 1.0F);
      const bool good =
          hot != row.end() && std::ranges::count(row, 0.0F) == static_cast<std::ptrdiff_t>(width - 1);
      if (!good && options.bad_images == BadImages::Fail)
        throw_usage("{}: row {} is not one-hot: one value must be 1 and the others 0", name, i);
      if (!good)
        note_left_out(options, fmt::format("{}, row {}", name, i),
                      "is not one-hot: one value must be 1 and the others 0");
      labels[i] = good ? static_cast<uint16_t>(hot - row.begin()) : kNoLabel;
    }
    classes = width;
    return labels;
  }
  if (array.dtype[1] != 'i' && array.dtype[1] != 'u')
    throw_usage("{}: has dtype {}; labels are integers, or one-hot rows", name, array.dtype);
  const std::vector<int64_t> values = array.as_integer();
  classes = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (values[i] < 0 || values[i] >= static_cast<int64_t>(kMaxClasses)) {
      if (options.bad_images == BadImages::Fail)
        throw_usage("{}: label {} at index {} is out of range: labels are 0 to {}", name, values[i], i,
                    kMaxClasses - 1);
      note_left_out(options, fmt::format("{}, index {}", name, i),
                    fmt::format("label {} is out of range: labels are 0 to {}", values[i], kMaxClasses - 1));
      labels[i] = kNoLabel;
      continue;
    }
    labels[i] = static_cast<uint16_t>(values[i]);
    classes = std::max<size_t>(classes, labels[i] + size_t{1});
  }
  return labels;
}

// "y_train.npy" of a file's path; the name itself of an array in memory.
std::string last_part(const std::string& name) {
  return fs::path(name).filename().string();
}

enum class Part { Train, Test };

void take_set(NamedArray& x, const NamedArray& y, const std::string& train_labels, Part part,
              const LoadOptions& options, Dataset& dataset) {
  const Images images = image_shape(x.array, x.name);
  ImageSet& set = part == Part::Train ? dataset.train : dataset.test;
  set.shape = images.shape;
  size_t classes = 0;
  set.labels = read_labels(y, images.count, options, classes);
  if (part == Part::Train)
    dataset.classes = numbered_classes(classes);
  else if (classes > dataset.classes.size() && options.bad_images == BadImages::Fail)
    throw_usage("{}: has {} classes where {} has {}", y.name, classes, last_part(train_labels),
                dataset.classes.size());
  for (size_t i = 0; i < set.labels.size(); ++i) {
    if (set.labels[i] < dataset.classes.size() || set.labels[i] == kNoLabel) continue;
    note_left_out(options, fmt::format("{}, index {}", y.name, i),
                  fmt::format("label {} is out of range: {} has {} classes", set.labels[i],
                              last_part(train_labels), dataset.classes.size()));
    set.labels[i] = kNoLabel;
  }

  const bool as_bytes = x.array.dtype.ends_with("u1");
  if (!as_bytes && !x.array.dtype.ends_with("f4"))
    throw_usage("{}: has dtype {}; images are uint8 or float32", x.name, x.array.dtype);
  if (as_bytes) {
    set.pixels = std::move(x.array.bytes);
  } else {
    const std::vector<float> values = finite_floats(x.array, x.name, options, set.labels);
    if (part == Part::Train) {
      const ValueRange range = value_range(values, set.labels);
      if (range.low == range.high)
        throw_usage("{}: every value is {}; there is nothing to learn from", x.name, range.low);
      if (range.low < range.high) dataset.range = range;  // else no image is left, which is said later
    }
    x.array.bytes = {};
    set.pixels = to_bytes(values, dataset.range);
  }
  dataset.skipped += drop_unlabelled(set);
}

// Without a spec, unchecked, not hashed.
Dataset take(ArrayData arrays, const LoadOptions& options) {
  Dataset dataset;
  const std::string train_dtype = arrays.x_train.array.dtype;
  const std::string train_labels = arrays.y_train.name;
  take_set(arrays.x_train, arrays.y_train, train_labels, Part::Train, options, dataset);
  require_every_class(dataset, train_labels);
  if (!arrays.test) return dataset;
  auto& [x_test, y_test] = *arrays.test;
  const std::string test_dtype = x_test.array.dtype;
  take_set(x_test, y_test, train_labels, Part::Test, options, dataset);
  if (test_dtype != train_dtype)
    throw_usage("{}: has dtype {} where {} has {}", x_test.name, test_dtype, last_part(arrays.x_train.name),
                train_dtype);
  return dataset;
}

class NpyReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink&) const override {
    const fs::path folder = spec.directory;
    require_folder(folder);
    const auto file = [&](const char* name) {
      return NamedArray{(folder / name).string(), read_npy(folder / name)};
    };
    ArrayData arrays{.x_train = file("x_train.npy"), .y_train = file("y_train.npy"), .test = {}};
    const bool has_images = fs::exists(folder / "x_test.npy");
    if (has_images != fs::exists(folder / "y_test.npy"))
      throw_usage("{}: has {} without {}", folder.string(), has_images ? "x_test.npy" : "y_test.npy",
                  has_images ? "y_test.npy" : "x_test.npy");
    if (has_images) arrays.test = {file("x_test.npy"), file("y_test.npy")};
    const bool as_bytes = arrays.x_train.array.dtype.ends_with("u1");
    Dataset dataset = take(std::move(arrays), options);
    if (fs::exists(folder / "dataset.json")) describe(dataset, folder / "dataset.json", as_bytes);
    return dataset;
  }

 private:
  // What export_npy says of the arrays beside it: the classes' names, and the values that bytes stand for.
  static void describe(Dataset& dataset, const fs::path& path, bool as_bytes) {
    const std::string text = read_text(path, kMostDescriptionBytes);
    try {
      const auto description = parse_json(text);
      const auto classes = description.at("classes").get<std::vector<std::string>>();
      if (classes.size() != dataset.classes.size())
        throw_usage("{}: names {} classes, and the labels have {}", path.string(), classes.size(),
                    dataset.classes.size());
      const ValueRange range = {description.at("range").at("low").get<float>(),
                                description.at("range").at("high").get<float>()};
      if (!is_range(range))
        throw_usage("{}: the range is {} to {}: low must be below high, both finite numbers", path.string(),
                    range.low, range.high);
      dataset.classes = classes;
      if (as_bytes) dataset.range = range;
    } catch (const Json::exception& error) {
      throw_usage(
          "{}: is no description of a data set as `retort data export` writes it ({}): mend or remove it",
          path.string(), error.what());
    }
  }
};

}  // namespace

std::unique_ptr<Reader> make_npy_reader() {
  return std::make_unique<NpyReader>();
}

void require_finite(std::span<const float> values, size_t image_values, std::string_view name) {
  const auto bad = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (bad == values.end()) return;
  const auto at = static_cast<size_t>(bad - values.begin());
  throw_usage("{}: image {} holds {} (value {} of the file); values must be finite numbers", name,
              at / image_values, not_finite(*bad), at);
}

bool is_range(ValueRange range) {
  return range.low < range.high && std::isfinite(range.low) && std::isfinite(range.high);
}

std::vector<uint8_t> to_bytes(std::span<const float> values, ValueRange range) {
  std::vector<uint8_t> bytes(values.size());
  // In double: the difference of two floats may overflow.
  const double low = range.low;
  const double scale = 255 / (static_cast<double>(range.high) - low);
  for (size_t i = 0; i < values.size(); ++i)
    bytes[i] = static_cast<uint8_t>(std::clamp(std::round((values[i] - low) * scale), 0.0, 255.0));
  return bytes;
}

std::shared_ptr<const Dataset> dataset_of_arrays(std::string_view name, ArrayData arrays,
                                                 const std::vector<std::string>& classes,
                                                 const LoadOptions& options) {
  auto dataset = std::make_shared<Dataset>(take(std::move(arrays), options));
  dataset->spec = name;
  if (!classes.empty()) {
    if (classes.size() != dataset->classes.size())
      throw_usage("{}: {} classes are named and the labels have {}", name, classes.size(),
                  dataset->classes.size());
    dataset->classes = classes;
  }
  require_sound(*dataset);
  dataset->content_hash = content_hash(*dataset);
  return dataset;
}

}  // namespace retort::data
