// NumPy's .npy files (format versions 1.0 to 3.0, C order, little endian), as specified in numpy.lib.format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace retort::data {

struct NpyArray {
  std::string dtype;           // "|u1", "<f4", "<i8", …
  std::vector<int64_t> shape;  // empty for a scalar
  std::vector<uint8_t> bytes;  // row-major
  [[nodiscard]] int64_t count() const;
  [[nodiscard]] std::vector<float> as_float() const;  // any numeric dtype of up to 8 bytes
  // The elements from `first` on, as many as `out` takes; the array must have them.
  void to_float(size_t first, std::span<float> out) const;
  [[nodiscard]] std::vector<int64_t> as_integer() const;  // integer dtypes only
};

std::string shape_text(std::span<const int64_t> shape);  // as Python prints it: "(60000, 28, 28)", "(6,)"

// Throws Error(Usage) naming the file and what is wrong (magic, Fortran order, dtype, size, more than memory has): before
// the data are read.
NpyArray read_npy(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, std::string_view dtype, std::span<const int64_t> shape,
               std::span<const uint8_t> bytes);
void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const float> values);

}  // namespace retort::data
