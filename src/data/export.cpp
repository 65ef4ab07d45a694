#include "data/export.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "data/npy.h"

namespace retort::data {
namespace {

template <typename T>
void write_integers(const std::filesystem::path& path, std::span<const T> numbers) {
  const std::vector<int64_t> wide(numbers.begin(), numbers.end());
  write_npy(path, "<i8", std::array{static_cast<int64_t>(wide.size())},
            {reinterpret_cast<const uint8_t*>(wide.data()), wide.size() * sizeof(int64_t)});
}

void write_set(const ImageSet& set, const std::filesystem::path& x, const std::filesystem::path& y) {
  const auto count = static_cast<int64_t>(set.count());
  const std::array<int64_t, 4> shape = {count, set.shape.height, set.shape.width, set.shape.channels};
  write_npy(x, "|u1", shape, set.pixels);
  write_integers<uint16_t>(y, set.labels);
}

}  // namespace

void export_npy(const Dataset& dataset, const Split& split, const std::filesystem::path& folder) {
  write_set(dataset.train, folder / "x_train.npy", folder / "y_train.npy");
  if (dataset.test.count() > 0) {
    write_set(dataset.test, folder / "x_test.npy", folder / "y_test.npy");
  } else {
    std::error_code ignored;  // of an earlier export
    std::filesystem::remove(folder / "x_test.npy", ignored);
    std::filesystem::remove(folder / "y_test.npy", ignored);
  }
  write_integers<uint32_t>(folder / "train_indices.npy", split.train);
  write_integers<uint32_t>(folder / "validation_indices.npy", split.validation);
  write_integers<uint32_t>(folder / "test_indices.npy", split.test);
  const nlohmann::ordered_json description = {
      {"spec", dataset.spec},
      {"classes", dataset.classes},
      {"content_hash", dataset.content_hash},
      {"range", {{"low", dataset.range.low}, {"high", dataset.range.high}}}};
  // Folder names need not be UTF-8; JSON must be.
  write_text_atomic(folder / "dataset.json", dump_json(description, 2) + "\n");
}

}  // namespace retort::data
