#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "data/npy.h"
#include "data/readers.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("{}", fmt::join(shape, "x"));
}

struct Images {
  int64_t count = 0;
  ImageShape shape;
};

Images image_shape(const NpyArray& array, const fs::path& path) {
  const size_t rank = array.shape.size();
  if (rank != 3 && rank != 4)
    throw_usage("{}: has shape {}; images are N x height x width or N x height x width x channels",
                path.string(), array.shape.empty() ? "()" : shape_text(array.shape));
  constexpr int64_t kMaxSide = 1 << 16;
  for (size_t d = 0; d < rank; ++d)
    if (array.shape[d] < 1 || (d > 0 && array.shape[d] > kMaxSide))
      throw_usage("{}: has shape {}; dimension {} must be {}", path.string(), shape_text(array.shape), d,
                  d == 0 ? "at least 1" : "1 to 65536");
  const int64_t channels = rank == 4 ? array.shape[3] : 1;
  constexpr int64_t kMaxBytes = int64_t{256} << 20;
  if (array.shape[1] * array.shape[2] * channels > kMaxBytes)
    throw_usage("{}: has shape {}; an image may have {} million values at most", path.string(),
                shape_text(array.shape), kMaxBytes >> 20);
  return {array.shape[0],
          {static_cast<int>(array.shape[1]), static_cast<int>(array.shape[2]), static_cast<int>(channels)}};
}

// Every value of images that are not left out is finite: either it throws or it takes such images' labels.
std::vector<float> finite_floats(const NpyArray& array, const fs::path& path, const LoadOptions& options,
                                 std::vector<uint16_t>& labels) {
  std::vector<float> values = array.as_float();
  const size_t image_values = values.size() / labels.size();
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    if (options.bad_images == BadImages::Fail)
      throw_usage("{}: image {} holds {} (value {} of the file); values must be finite numbers",
                  path.string(), i / image_values, std::isnan(values[i]) ? "NaN" : "an infinity", i);
    if (labels[i / image_values] != kNoLabel)
      note_left_out(options, fmt::format("{}, image {}", path.string(), i / image_values),
                    std::isnan(values[i]) ? "holds NaN" : "holds an infinity");
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

std::vector<uint8_t> quantise(const std::vector<float>& values, ValueRange range) {
  std::vector<uint8_t> bytes(values.size());
  // In double: the difference of two floats may overflow.
  const double low = range.low;
  const double scale = 255 / (static_cast<double>(range.high) - low);
  for (size_t i = 0; i < values.size(); ++i)
    bytes[i] = static_cast<uint8_t>(std::clamp(std::round((values[i] - low) * scale), 0.0, 255.0));
  return bytes;
}

// One label an image, kNoLabel for those that are left out. `classes` is what a one-hot array has columns,
// else the largest label + 1.
std::vector<uint16_t> read_labels(const fs::path& path, int64_t images, const LoadOptions& options,
                                  size_t& classes) {
  const NpyArray array = read_npy(path);
  const bool column = array.shape.size() == 2 && array.shape[1] == 1;
  const bool one_hot = array.shape.size() == 2 && array.shape[1] > 1;
  if (array.shape.size() != 1 && !column && !one_hot)
    throw_usage("{}: has shape {}; labels are N integers or N x classes one-hot rows", path.string(),
                array.shape.empty() ? "()" : shape_text(array.shape));
  if (array.shape[0] != images)
    throw_usage("{}: has {} labels for {} images", path.string(), array.shape[0], images);

  std::vector<uint16_t> labels(static_cast<size_t>(images));
  if (one_hot) {
    const auto width = static_cast<size_t>(array.shape[1]);
    if (width > kMaxClasses) throw_usage("{}: has {} classes; {} at most", path.string(), width, kMaxClasses);
    const std::vector<float> values = array.as_float();
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto row = values.begin() + static_cast<std::ptrdiff_t>(i * width);
      const auto end = row + static_cast<std::ptrdiff_t>(width);
      const auto hot = std::find(row, end, 1.0F);
      const bool good = hot != end && std::count(row, end, 0.0F) == static_cast<std::ptrdiff_t>(width - 1);
      if (!good && options.bad_images == BadImages::Fail)
        throw_usage("{}: row {} is not one-hot: one value must be 1 and the others 0", path.string(), i);
      if (!good)
        note_left_out(options, fmt::format("{}, row {}", path.string(), i),
                      "is not one-hot: one value must be 1 and the others 0");
      labels[i] = good ? static_cast<uint16_t>(hot - row) : kNoLabel;
    }
    classes = width;
    return labels;
  }
  if (array.dtype[1] != 'i' && array.dtype[1] != 'u')
    throw_usage("{}: has dtype {}; labels are integers, or one-hot rows", path.string(), array.dtype);
  const std::vector<int64_t> values = array.as_integer();
  classes = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (values[i] < 0 || values[i] >= static_cast<int64_t>(kMaxClasses)) {
      if (options.bad_images == BadImages::Fail)
        throw_usage("{}: label {} at index {} is out of range: labels are 0 to {}", path.string(), values[i],
                    i, kMaxClasses - 1);
      note_left_out(options, fmt::format("{}, index {}", path.string(), i),
                    fmt::format("label {} is out of range: labels are 0 to {}", values[i], kMaxClasses - 1));
      labels[i] = kNoLabel;
      continue;
    }
    labels[i] = static_cast<uint16_t>(values[i]);
    classes = std::max<size_t>(classes, labels[i] + size_t{1});
  }
  return labels;
}

class NpyReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink&) const override {
    const fs::path folder = spec.directory;
    require_folder(folder);
    Dataset dataset;
    const fs::path train_labels = folder / "y_train.npy";
    const std::string train_dtype =
        read_set(folder / "x_train.npy", train_labels, Part::Train, options, dataset);
    require_every_class(dataset, train_labels.string());
    const bool has_images = fs::exists(folder / "x_test.npy");
    if (has_images != fs::exists(folder / "y_test.npy"))
      throw_usage("{}: has {} without {}", folder.string(), has_images ? "x_test.npy" : "y_test.npy",
                  has_images ? "y_test.npy" : "x_test.npy");
    if (has_images) {
      const std::string test_dtype =
          read_set(folder / "x_test.npy", folder / "y_test.npy", Part::Test, options, dataset);
      if (test_dtype != train_dtype)
        throw_usage("{}: has dtype {} where x_train.npy has {}", (folder / "x_test.npy").string(), test_dtype,
                    train_dtype);
    }
    return dataset;
  }

 private:
  enum class Part { Train, Test };

  // Returns the images' dtype.
  static std::string read_set(const fs::path& x, const fs::path& y, Part part, const LoadOptions& options,
                              Dataset& dataset) {
    NpyArray array = read_npy(x);
    const Images images = image_shape(array, x);
    ImageSet& set = part == Part::Train ? dataset.train : dataset.test;
    set.shape = images.shape;
    size_t classes = 0;
    set.labels = read_labels(y, images.count, options, classes);
    if (part == Part::Train)
      dataset.classes = numbered_classes(classes);
    else if (classes > dataset.classes.size() && options.bad_images == BadImages::Fail)
      throw_usage("{}: has {} classes where y_train.npy has {}", y.string(), classes, dataset.classes.size());
    for (size_t i = 0; i < set.labels.size(); ++i) {
      if (set.labels[i] < dataset.classes.size() || set.labels[i] == kNoLabel) continue;
      note_left_out(options, fmt::format("{}, index {}", y.string(), i),
                    fmt::format("label {} is out of range: y_train.npy has {} classes", set.labels[i],
                                dataset.classes.size()));
      set.labels[i] = kNoLabel;
    }

    const bool as_bytes = array.dtype.ends_with("u1");
    if (!as_bytes && !array.dtype.ends_with("f4"))
      throw_usage("{}: has dtype {}; images are uint8 or float32", x.string(), array.dtype);
    if (as_bytes) {
      set.pixels = std::move(array.bytes);
    } else {
      const std::vector<float> values = finite_floats(array, x, options, set.labels);
      if (part == Part::Train) {
        const ValueRange range = value_range(values, set.labels);
        if (range.low == range.high)
          throw_usage("{}: every value is {}; there is nothing to learn from", x.string(), range.low);
        if (range.low < range.high) dataset.range = range;  // else no image is left, which is said later
      }
      set.pixels = quantise(values, dataset.range);
    }
    dataset.skipped += drop_unlabelled(set);
    return array.dtype;
  }
};

}  // namespace

std::unique_ptr<Reader> make_npy_reader() {
  return std::make_unique<NpyReader>();
}

}  // namespace retort::data
