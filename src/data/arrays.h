// Data sets from arrays in memory, by the rules of `npy:DIR` (docs of make_npy_reader in readers.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/npy.h"
#include "data/reader.h"

namespace retort::data {

// An array and what sentences call it: a file's path, "x_train".
struct NamedArray {
  std::string name;
  NpyArray array;
};

struct ArrayData {
  NamedArray x_train;
  NamedArray y_train;
  struct Test {
    NamedArray x;
    NamedArray y;
  };
  std::optional<Test> test;
};

// Throws Error(Usage) naming the first of the values, `image_values` an image, that is no finite number.
void require_finite(std::span<const float> values, size_t image_values, std::string_view name);

// Whether bytes can stand for it: low < high, both finite.
bool is_range(ValueRange range);

// The bytes that stand for these values: round(255 · (x − low) / (high − low)), clamped. They are finite, and is_range(range).
std::vector<uint8_t> to_bytes(std::span<const float> values, ValueRange range);

// As load_dataset gives them: checked and hashed. `name` becomes the spec; `classes` names the classes, "0", "1", … when
// empty. Throws Error(Usage) with a sentence that names the array.
std::shared_ptr<const Dataset> dataset_of_arrays(std::string_view name, ArrayData arrays,
                                                 const std::vector<std::string>& classes,
                                                 const LoadOptions& options);

}  // namespace retort::data
