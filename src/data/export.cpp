#include "data/export.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/npy.h"

namespace retort::data {
namespace {

void write_set(const ImageSet& set, const std::filesystem::path& x, const std::filesystem::path& y) {
  const auto count = static_cast<int64_t>(set.count());
  const std::array<int64_t, 4> shape = {count, set.shape.height, set.shape.width, set.shape.channels};
  write_npy(x, "|u1", shape, set.pixels);
  const std::vector<int64_t> labels(set.labels.begin(), set.labels.end());
  write_npy(y, "<i8", std::array{count},
            {reinterpret_cast<const uint8_t*>(labels.data()), labels.size() * sizeof(int64_t)});
}

}  // namespace

void export_npy(const Dataset& dataset, const std::filesystem::path& folder) {
  write_set(dataset.train, folder / "x_train.npy", folder / "y_train.npy");
  if (dataset.test.count() > 0) write_set(dataset.test, folder / "x_test.npy", folder / "y_test.npy");
  const nlohmann::ordered_json description = {
      {"spec", dataset.spec},
      {"classes", dataset.classes},
      {"content_hash", dataset.content_hash},
      {"range", {{"low", dataset.range.low}, {"high", dataset.range.high}}}};
  // Folder names need not be UTF-8; JSON must be.
  write_text_atomic(folder / "dataset.json",
                    description.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace retort::data
