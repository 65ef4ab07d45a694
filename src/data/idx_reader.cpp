#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/sizes.h"
#include "data/readers.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

// Reads a file's content piece by piece, inflating it when it is gzipped, so that a header can be judged
// before memory is taken for what it announces.
class Inflater {
 public:
  explicit Inflater(const fs::path& path) : file_(path), input_(kInputBytes) {
    refill();
    gzipped_ = stream_.avail_in >= 2 && input_[0] == 0x1f && input_[1] == 0x8b;
    constexpr int kGzipOnly = 16;
    if (gzipped_ && inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK)
      throw_failure("{}: zlib cannot be started", name());
  }
  ~Inflater() {
    if (gzipped_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  [[nodiscard]] const std::string& name() const { return file_.name(); }

  // No more content than this can follow (deflate shrinks to 1/1032 at best).
  [[nodiscard]] uint64_t most_bytes() const { return file_.bytes() * (gzipped_ ? 1040 : 1); }

  // Returns how many bytes it could read; fewer than asked for means that the content ends.
  size_t read(std::span<uint8_t> out) {
    size_t have = 0;
    if (!gzipped_) {
      have = std::min<size_t>(out.size(), stream_.avail_in);
      std::copy_n(stream_.next_in, have, out.begin());
      stream_.next_in += have;
      stream_.avail_in -= static_cast<uInt>(have);
      return have + file_.read(out.subspan(have));
    }
    while (have < out.size() && !ended_) {
      if (stream_.avail_in == 0) refill();
      const auto piece = static_cast<uInt>(std::min<size_t>(out.size() - have, 1U << 30));
      stream_.next_out = out.data() + have;
      stream_.avail_out = piece;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      have += piece - stream_.avail_out;
      if (result == Z_STREAM_END) {
        if (stream_.avail_in == 0) refill();
        if (stream_.avail_in != 0) broken("there are bytes after its end");
        ended_ = true;
      } else if (result == Z_BUF_ERROR) {
        broken("it is truncated");
      } else if (result != Z_OK) {
        broken(stream_.msg != nullptr ? stream_.msg : "its data are damaged");
      }
    }
    return have;
  }

 private:
  static constexpr size_t kInputBytes = size_t{1} << 16;

  void refill() {
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(file_.read(input_));
  }
  [[noreturn]] void broken(std::string_view why) const {
    throw_usage("{}: broken gzip file: {}", name(), why);
  }

  InputFile file_;
  std::vector<uint8_t> input_;  // of the file, what stream_ takes next
  z_stream stream_{};
  bool gzipped_ = false;
  bool ended_ = false;
};

struct IdxArray {
  std::vector<uint32_t> dimensions;
  std::vector<uint8_t> bytes;
};

// IDX: 00 00, element type (08: unsigned bytes), number of dimensions, each dimension as 32 bits big-endian,
// data.
IdxArray read_idx(const fs::path& path, uint8_t rank) {
  Inflater content(path);
  const std::string& name = content.name();
  std::array<uint8_t, 4> magic{};
  if (content.read(magic) != magic.size()) throw_usage("{}: is truncated in its header", name);
  const std::array<uint8_t, 4> expected = {0, 0, 8, rank};
  if (magic != expected)
    throw_usage("{}: begins with {:02x}{:02x}{:02x}{:02x} where IDX {} begin with 000008{:02x}", name,
                magic[0], magic[1], magic[2], magic[3], rank == 1 ? "labels" : "images", rank);
  IdxArray array;
  for (int d = 0; d < rank; ++d) {
    std::array<uint8_t, 4> number{};
    if (content.read(number) != number.size()) throw_usage("{}: is truncated in its header", name);
    const uint32_t dimension =
        uint32_t{number[0]} << 24 | uint32_t{number[1]} << 16 | uint32_t{number[2]} << 8 | number[3];
    if (dimension == 0) throw_usage("{}: says that its dimension {} is 0", name, d);
    array.dimensions.push_back(dimension);
  }
  const uint64_t size = saturating_product(std::span<const uint32_t>(array.dimensions));
  if (size > content.most_bytes())
    throw_usage("{}: is truncated: its header announces {} bytes of data, more than it can hold", name, size);
  require_memory(size, name + ": its data");
  // Piece by piece: a gzip file's header may announce a thousand times what follows it, and memory that is reserved takes
  // none before it is used.
  array.bytes.reserve(size);
  constexpr uint64_t kPieceBytes = uint64_t{4} << 20;
  while (array.bytes.size() < size) {
    const size_t have = array.bytes.size();
    const size_t piece = std::min(size - have, kPieceBytes);
    array.bytes.resize(have + piece);
    const size_t got = content.read(std::span(array.bytes).subspan(have));
    if (got != piece)
      throw_usage("{}: is truncated: its header announces {} bytes of data, it has {}", name, size,
                  have + got);
  }
  std::array<uint8_t, 1> extra{};
  if (content.read(extra) != 0)
    throw_usage("{}: has more data than the {} bytes that its header announces", name, size);
  return array;
}

// The file under any of its usual names, or an empty path.
fs::path find_file(const fs::path& folder, const std::vector<std::string>& stems, std::string_view ending) {
  for (const std::string& stem : stems)
    for (const char* joint : {"-", "."})
      for (const char* packed : {"", ".gz"}) {
        fs::path path = folder / fmt::format("{}{}{}{}", stem, joint, ending, packed);
        if (fs::exists(path)) return path;
      }
  return {};
}

ImageSet read_set(const fs::path& image_path, const fs::path& label_path) {
  IdxArray images = read_idx(image_path, 3);
  const IdxArray labels = read_idx(label_path, 1);
  if (images.dimensions[0] != labels.dimensions[0])
    throw_usage("{}: has {} labels for the {} images of {}", label_path.string(), labels.dimensions[0],
                images.dimensions[0], image_path.filename().string());
  const uint64_t pixels = uint64_t{images.dimensions[1]} * images.dimensions[2];
  constexpr uint64_t kMaxPixels = uint64_t{64} << 20;
  if (pixels > kMaxPixels)
    throw_usage("{}: images of {}x{} have more than the {} million pixels an image may have",
                image_path.string(), images.dimensions[1], images.dimensions[2], kMaxPixels >> 20);
  ImageSet set;
  set.shape = {static_cast<int>(images.dimensions[1]), static_cast<int>(images.dimensions[2]), 1};
  set.pixels = std::move(images.bytes);
  set.labels.assign(labels.bytes.begin(), labels.bytes.end());
  return set;
}

// Returns how many images were left out for their labels.
int64_t check_labels(ImageSet& set, const fs::path& path, size_t classes, const LoadOptions& options) {
  for (size_t i = 0; i < set.count(); ++i) {
    if (set.labels[i] < classes) continue;
    if (options.bad_images == BadImages::Fail)
      throw_usage("{}: label {} at index {} is out of range: there are {} classes", path.string(),
                  set.labels[i], i, classes);
    note_left_out(options, fmt::format("{}, index {}", path.string(), i),
                  fmt::format("label {} is out of range: there are {} classes", set.labels[i], classes));
    set.labels[i] = kNoLabel;
  }
  return drop_unlabelled(set);
}

// `classes` may be empty: then they are numbered, up to the largest training label.
Dataset read_folder(const fs::path& folder, std::vector<std::string> classes, const LoadOptions& options) {
  require_folder(folder);
  const auto images = [&](std::vector<std::string> stems) {
    for (std::string& stem : stems) stem += "-images";
    return find_file(folder, stems, "idx3-ubyte");
  };
  const auto labels = [&](std::vector<std::string> stems) {
    for (std::string& stem : stems) stem += "-labels";
    return find_file(folder, stems, "idx1-ubyte");
  };
  const fs::path train_images = images({"train"});
  const fs::path train_labels = labels({"train"});
  if (train_images.empty()) throw_usage("{}: has no train-images-idx3-ubyte (or .gz)", folder.string());
  if (train_labels.empty()) throw_usage("{}: has no train-labels-idx1-ubyte (or .gz)", folder.string());
  const fs::path test_images = images({"t10k", "test"});
  const fs::path test_labels = labels({"t10k", "test"});
  if (test_images.empty() != test_labels.empty())
    throw_usage("{}: has test {} without test {}", folder.string(), test_images.empty() ? "labels" : "images",
                test_images.empty() ? "images" : "labels");

  Dataset dataset;
  dataset.train = read_set(train_images, train_labels);
  const size_t largest = *std::max_element(dataset.train.labels.begin(), dataset.train.labels.end());
  dataset.classes = classes.empty() ? numbered_classes(largest + 1) : std::move(classes);
  dataset.skipped = check_labels(dataset.train, train_labels, dataset.classes.size(), options);
  require_every_class(dataset, train_labels.string());
  if (!test_images.empty()) {
    dataset.test = read_set(test_images, test_labels);
    dataset.skipped += check_labels(dataset.test, test_labels, dataset.classes.size(), options);
  }
  return dataset;
}

class IdxReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink&) const override {
    return read_folder(spec.directory, {}, options);
  }
};

class FashionMnistReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink&) const override {
    return read_folder(spec.directory.empty() ? find() : fs::path(spec.directory),
                       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                        "Bag", "Ankle boot"},
                       options);
  }

 private:
  static fs::path find() {
    if (const char* own = std::getenv("RETORT_FASHION_MNIST"); own != nullptr && *own != '\0') return own;
    for (const char* place : {"/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist",
                              "/usr/local/share/datasets/fashion-mnist"})
      if (fs::is_directory(place)) return place;
    throw_usage(
        "fashion-mnist: the data set is not installed: run `apt-get install dataset-fashion-mnist` or "
        "`retort "
        "data fetch fashion-mnist`, or name its folder as fashion-mnist:DIR");
  }
};

}  // namespace

std::unique_ptr<Reader> make_idx_reader() {
  return std::make_unique<IdxReader>();
}
std::unique_ptr<Reader> make_fashion_mnist_reader() {
  return std::make_unique<FashionMnistReader>();
}

}  // namespace retort::data
