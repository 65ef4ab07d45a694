#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

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

std::vector<float> finite_floats(const NpyArray& array, const fs::path& path) {
  std::vector<float> values = array.as_float();
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    const auto index = bad - values.begin();
    throw_usage("{}: image {} holds {} (value {} of the file); values must be finite numbers", path.string(),
                index / (array.count() / array.shape[0]), std::isnan(*bad) ? "NaN" : "an infinity", index);
  }
  return values;
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

// One label an image. `classes` is what a one-hot array has columns, else the largest label + 1.
std::vector<uint16_t> read_labels(const fs::path& path, int64_t images, size_t& classes) {
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
      if (hot == end || std::count(row, end, 0.0F) != static_cast<std::ptrdiff_t>(width - 1))
        throw_usage("{}: row {} is not one-hot: one value must be 1 and the others 0", path.string(), i);
      labels[i] = static_cast<uint16_t>(hot - row);
    }
    classes = width;
    return labels;
  }
  if (array.dtype[1] != 'i' && array.dtype[1] != 'u')
    throw_usage("{}: has dtype {}; labels are integers, or one-hot rows", path.string(), array.dtype);
  const std::vector<int64_t> values = array.as_integer();
  classes = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (values[i] < 0 || values[i] >= static_cast<int64_t>(kMaxClasses))
      throw_usage("{}: label {} at index {} is out of range: labels are 0 to {}", path.string(), values[i], i,
                  kMaxClasses - 1);
    labels[i] = static_cast<uint16_t>(values[i]);
    classes = std::max<size_t>(classes, labels[i] + size_t{1});
  }
  return labels;
}

class NpyReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions&, ProgressSink&) const override {
    const fs::path folder = spec.directory;
    require_folder(folder);
    Dataset dataset;
    size_t classes = 0;
    const std::string train_dtype =
        read_set(folder / "x_train.npy", folder / "y_train.npy", Part::Train, dataset, classes);
    dataset.classes = numbered_classes(classes);
    const bool has_images = fs::exists(folder / "x_test.npy");
    if (has_images != fs::exists(folder / "y_test.npy"))
      throw_usage("{}: has {} without {}", folder.string(), has_images ? "x_test.npy" : "y_test.npy",
                  has_images ? "y_test.npy" : "x_test.npy");
    if (has_images) {
      size_t test_classes = 0;
      const std::string test_dtype =
          read_set(folder / "x_test.npy", folder / "y_test.npy", Part::Test, dataset, test_classes);
      if (test_dtype != train_dtype)
        throw_usage("{}: has dtype {} where x_train.npy has {}", (folder / "x_test.npy").string(), test_dtype,
                    train_dtype);
      if (test_classes > classes)
        throw_usage("{}: has {} classes where y_train.npy has {}", (folder / "y_test.npy").string(),
                    test_classes, classes);
    }
    return dataset;
  }

 private:
  enum class Part { Train, Test };

  // Returns the images' dtype.
  static std::string read_set(const fs::path& x, const fs::path& y, Part part, Dataset& dataset,
                              size_t& classes) {
    NpyArray array = read_npy(x);
    const Images images = image_shape(array, x);
    ImageSet& set = part == Part::Train ? dataset.train : dataset.test;
    set.shape = images.shape;
    set.labels = read_labels(y, images.count, classes);
    const bool as_bytes = array.dtype.ends_with("u1");
    if (!as_bytes && !array.dtype.ends_with("f4"))
      throw_usage("{}: has dtype {}; images are uint8 or float32", x.string(), array.dtype);
    if (as_bytes) {
      set.pixels = std::move(array.bytes);
      return array.dtype;
    }
    const std::vector<float> values = finite_floats(array, x);
    if (part == Part::Train) {
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      if (*low == *high)
        throw_usage("{}: every value is {}; there is nothing to learn from", x.string(), *low);
      dataset.range = {*low, *high};
    }
    set.pixels = quantise(values, dataset.range);
    return array.dtype;
  }
};

}  // namespace

std::unique_ptr<Reader> make_npy_reader() {
  return std::make_unique<NpyReader>();
}

}  // namespace retort::data
