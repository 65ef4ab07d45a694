// Labelled images, held once in memory as bytes and shared read-only by everything that trains or evaluates.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace retort::data {

// One image is height × width × channels bytes, row-major, channels last. A byte b stands for b/255 in the
// network and for b − 128 in the int8 model's input (scale 1/255, zero point −128).
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;  // 1 grey, 3 RGB; sensor data may have others
  [[nodiscard]] size_t bytes() const { return static_cast<size_t>(height) * width * channels; }
  bool operator==(const ImageShape&) const = default;
};

// A set of images with labels. Owns its bytes.
struct ImageSet {
  ImageShape shape;
  std::vector<uint8_t> pixels;   // count × shape.bytes()
  std::vector<uint16_t> labels;  // count, each < number of classes
  [[nodiscard]] size_t count() const { return labels.size(); }
  [[nodiscard]] std::span<const uint8_t> image(size_t index) const {
    return {pixels.data() + index * shape.bytes(), shape.bytes()};
  }
};

// Real value of a byte, for data that was not bytes to begin with: value = low + byte · (high − low) / 255.
struct ValueRange {
  float low = 0;
  float high = 1;
  bool operator==(const ValueRange&) const = default;
};

// A data set as its reader gives it: a training set, and a test set that may be empty when the source has
// none.
struct Dataset {
  std::string spec;                  // the text that named it
  std::vector<std::string> classes;  // names, sorted (IDX and npy: "0", "1", … unless the set is known)
  ImageSet train;
  ImageSet test;
  ValueRange range;
  int64_t skipped = 0;       // images and empty class folders left out under --skip-bad
  std::string content_hash;  // SHA-256 of shapes, classes, pixels and labels of both sets
};

// What Dataset::content_hash holds.
std::string content_hash(const Dataset& dataset);

// Which images of Dataset::train serve for what. Indices into Dataset::train, each list ascending.
struct Split {
  std::vector<uint32_t> train;
  std::vector<uint32_t> validation;
  std::vector<uint32_t> test;  // empty when Dataset::test is used
};

struct SplitOptions {
  uint64_t seed = 42;
  double validation_fraction = 0.2;  // of what is not test
  // Of a large data set a smaller fraction measures as well; none: no bound.
  std::optional<int64_t> most_validation_images = std::nullopt;
  double test_fraction = 0.15;  // used only when the data set has no test set of its own
};

// Stratified (each class contributes its share, rounded by largest remainder) and seeded. Throws Error(Usage)
// when a class has too few images to appear in every part, or the bound is below the number of classes.
Split stratified_split(const Dataset& dataset, const SplitOptions& options);

}  // namespace retort::data
