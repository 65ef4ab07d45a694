#include <algorithm>
#include <array>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "data/readers.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

constexpr ImageShape kShape = {32, 32, 3};
constexpr size_t kPlane = 32 * 32;
constexpr size_t kRecord = 1 + 3 * kPlane;
constexpr size_t kClasses = 10;
// The last one tests.
constexpr std::array<std::string_view, 6> kFiles = {"data_batch_1.bin", "data_batch_2.bin",
                                                    "data_batch_3.bin", "data_batch_4.bin",
                                                    "data_batch_5.bin", "test_batch.bin"};

// Returns how many records were left out.
int64_t append_batch(const fs::path& path, ImageSet& set, const LoadOptions& options) {
  const BadImages bad_images = options.bad_images;
  const std::vector<uint8_t> file = read_file(path);
  const bool truncated = file.size() % kRecord != 0;
  if (file.empty() || (truncated && bad_images == BadImages::Fail))
    throw_usage("{}: has {} bytes, which is not a whole number of CIFAR-10 records of {} bytes",
                path.string(), file.size(), kRecord);
  if (truncated)
    note_left_out(options, path.string(),
                  fmt::format("its last record has {} bytes of {}", file.size() % kRecord, kRecord));
  const size_t count = file.size() / kRecord;
  size_t at = set.pixels.size();
  set.shape = kShape;
  set.pixels.resize(at + count * kShape.bytes());
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* record = file.data() + i * kRecord;
    if (*record >= kClasses && bad_images == BadImages::Fail)
      throw_usage("{}: record {} (byte {}) has label {}; CIFAR-10 labels are 0 to 9", path.string(), i,
                  i * kRecord, *record);
    if (*record >= kClasses)
      note_left_out(options, fmt::format("{}, record {}", path.string(), i),
                    fmt::format("has label {}; CIFAR-10 labels are 0 to 9", *record));
    set.labels.push_back(*record < kClasses ? *record : kNoLabel);
    for (size_t pixel = 0; pixel < kPlane; ++pixel)
      for (size_t c = 0; c < 3; ++c) set.pixels[at++] = record[1 + c * kPlane + pixel];
  }
  return drop_unlabelled(set) + (truncated ? 1 : 0);
}

std::vector<std::string> class_names(const fs::path& meta) {
  if (!fs::exists(meta))
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  std::vector<std::string> names;
  constexpr uint64_t kMostBytes = 1 << 16;
  const std::string text = read_text(meta, kMostBytes);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(std::move(line));
    at = end + 1;
  }
  if (names.size() != kClasses)
    throw_usage("{}: names {} classes; CIFAR-10 has {}", meta.string(), names.size(), kClasses);
  return names;
}

class Cifar10Reader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink& progress) const override {
    fs::path folder = spec.directory;
    require_folder(folder);
    if (fs::is_directory(folder / "cifar-10-batches-bin")) folder /= "cifar-10-batches-bin";
    // All before any: a half-unpacked archive must not pass for a smaller data set.
    for (const std::string_view name : kFiles)
      if (!fs::exists(folder / name))
        throw_usage(
            "{}: has no {}; expected are data_batch_1.bin to data_batch_5.bin and {}, the binary "
            "version of CIFAR-10",
            folder.string(), name, kFiles.back());
    Dataset dataset;
    dataset.classes = class_names(folder / "batches.meta.txt");
    double done = 0;
    for (const std::string_view name : kFiles) {
      ImageSet& set = name == kFiles.back() ? dataset.test : dataset.train;
      dataset.skipped += append_batch(folder / name, set, options);
      progress.update("loading images", ++done, static_cast<double>(kFiles.size()), "");
    }
    return dataset;
  }
};

}  // namespace

std::unique_ptr<Reader> make_cifar10_reader() {
  return std::make_unique<Cifar10Reader>();
}

}  // namespace retort::data
