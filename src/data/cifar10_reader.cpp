#include <algorithm>
#include <array>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/sizes.h"
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

// Memory for the images of these files, before any of them is read.
template <typename Files>
void reserve_pixels(const fs::path& folder, const Files& files, ImageSet& set) {
  uint64_t bytes = 0;
  for (const std::string_view name : files)
    bytes += InputFile(folder / name).bytes() / kRecord * kShape.bytes();
  require_memory(bytes, folder.string() + ": its images");
  set.pixels.reserve(bytes);
}

// Returns how many records were left out.
int64_t append_batch(const fs::path& path, ImageSet& set, const LoadOptions& options) {
  const BadImages bad_images = options.bad_images;
  InputFile file(path);
  const bool truncated = file.bytes() % kRecord != 0;
  if (file.bytes() == 0 || (truncated && bad_images == BadImages::Fail))
    throw_usage("{}: has {} bytes, which is not a whole number of CIFAR-10 records of {} bytes", file.name(),
                file.bytes(), kRecord);
  if (truncated)
    note_left_out(options, file.name(),
                  fmt::format("its last record has {} bytes of {}", file.bytes() % kRecord, kRecord));
  const size_t count = file.bytes() / kRecord;
  size_t at = set.pixels.size();
  set.shape = kShape;
  set.pixels.resize(at + count * kShape.bytes());
  constexpr size_t kPieceRecords = 256;
  std::vector<uint8_t> piece(kPieceRecords * kRecord);
  for (size_t i = 0; i < count; ++i) {
    if (i % kPieceRecords == 0) {
      const auto wanted = std::span(piece).first(std::min(kPieceRecords, count - i) * kRecord);
      if (file.read(wanted) != wanted.size())
        throw_usage("{}: became shorter while it was read", file.name());
    }
    const uint8_t* record = piece.data() + i % kPieceRecords * kRecord;
    if (*record >= kClasses && bad_images == BadImages::Fail)
      throw_usage("{}: record {} (byte {}) has label {}; CIFAR-10 labels are 0 to 9", file.name(), i,
                  i * kRecord, *record);
    if (*record >= kClasses)
      note_left_out(options, fmt::format("{}, record {}", file.name(), i),
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
    reserve_pixels(folder, std::span(kFiles).first(kFiles.size() - 1), dataset.train);
    reserve_pixels(folder, std::span(kFiles).last(1), dataset.test);
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
