#include "data/export.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/temporary.h"
#include "data/image_file.h"
#include "data/npy.h"
#include "data/readers.h"

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

// Names of folders for the classes.
std::vector<std::string> folder_names(const Dataset& dataset) {
  std::vector<std::string> names = dataset.classes;
  for (std::string& name : names) {
    std::ranges::replace(name, '/', '-');
    if (name.empty() || name.starts_with('.') || name.find('\0') != std::string::npos || name.size() > 255)
      throw_usage("{}: the class \"{}\" cannot name a folder", dataset.spec, name);
  }
  std::vector<std::string> sorted = names;
  std::ranges::sort(sorted);
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    throw_usage("{}: two classes would have the folder \"{}\"", dataset.spec, *twice);
  return names;
}

void write_images(const ImageSet& set, const std::vector<std::string>& classes,
                  const std::filesystem::path& folder, int threads) {
  for (const std::string& name : classes) std::filesystem::create_directories(folder / name);
  std::vector<size_t> numbers(set.count());  // within its class
  std::vector<size_t> counts(classes.size());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = counts[set.labels[i]]++;
  parallel_for(set.count(), 64, threads, [&](size_t i) {
    const std::filesystem::path path = folder / classes[set.labels[i]] / fmt::format("{:05}.png", numbers[i]);
    const std::vector<uint8_t> bytes = png_file(set.image(i), set.shape);
    // In a folder that nobody sees yet: need not be whole by itself, as each file of write_file_atomic is.
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw_failure("{}: cannot be written: {}", path.string(), system_reason(errno));
  });
}

}  // namespace

void export_images(const Dataset& dataset, const std::filesystem::path& folder, int threads) {
  namespace fs = std::filesystem;
  constexpr const char* kPictures = "pictures";  // of the mode that the user's folders have
  if (const int channels = dataset.train.shape.channels; channels != 1 && channels != 3)
    throw_usage("{}: its images have {} channels: pictures have 1 or 3", dataset.spec, channels);
  const std::vector<std::string> classes = folder_names(dataset);
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder)))
    throw_usage("{}: is not empty: pictures go into a new folder", folder.string());
  const fs::path whole = fs::absolute(folder / "").parent_path();
  try {
    fs::create_directories(whole.parent_path());
    const StagingFolder staging(whole.parent_path());
    const fs::path pictures = staging.path() / kPictures;
    const bool has_test = dataset.test.count() > 0;
    write_images(dataset.train, classes, has_test || are_sets(classes) ? pictures / "train" : pictures,
                 threads);
    if (has_test) write_images(dataset.test, classes, pictures / "test", threads);
    fs::remove(whole);
    staging.move_out(kPictures, whole);
  } catch (const fs::filesystem_error& error) {
    throw_failure("{}: cannot be written: {}", folder.string(), error.code().message());
  }
}

void export_npy(const Dataset& dataset, const Split& split, const std::filesystem::path& folder) {
  // Only an export has the split beside the arrays.
  if (!std::filesystem::exists(folder / "train_indices.npy"))
    for (const char* array : {"x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"})
      if (std::filesystem::exists(folder / array))
        throw_usage("{}: its {} is not of an earlier export, and would be lost: give a new folder",
                    folder.string(), array);
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
  const OrderedJson description = {{"spec", dataset.spec},
                                   {"classes", dataset.classes},
                                   {"content_hash", dataset.content_hash},
                                   {"range", {{"low", dataset.range.low}, {"high", dataset.range.high}}}};
  // Folder names need not be UTF-8; JSON must be.
  write_text_atomic(folder / "dataset.json", dump_json(description, 2) + "\n");
}

}  // namespace retort::data
