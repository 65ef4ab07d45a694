#include "data/fetch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "data/unpack.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

// Sizes and hashes: repository tensorflow/datasets (TensorFlow Datasets), folder tensorflow_datasets/url_checksums,
// files mnist.txt, fashion_mnist.txt and cifar10.txt, read in 2026-11.
// Sizes of what is in them: a CIFAR-10 batch has 10,000 records of 3,073 bytes (its authors' page, see readers.h); IDX files
// of 60,000 and 10,000 images of 28 x 28 have headers of 16 bytes, of labels 8 (MNIST's page).
constexpr int64_t kCifarBatchBytes = 30'730'000;
const std::vector<Content> kMnistContents = {{"train-images-idx3-ubyte", 47'040'016},
                                             {"train-labels-idx1-ubyte", 60'008},
                                             {"t10k-images-idx3-ubyte", 7'840'016},
                                             {"t10k-labels-idx1-ubyte", 10'008}};

// Fashion-MNIST's authors name a web site of Amazon S3, which has no TLS; the same store's own address has.
const std::vector<RemoteSet> kSets = {
    {.name = "cifar10",
     .format = "cifar10",
     .bases = {"https://www.cs.toronto.edu/~kriz"},
     .files = {{"cifar-10-binary.tar.gz", 170'052'171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}},
     .contents = {{"cifar-10-batches-bin/data_batch_1.bin", kCifarBatchBytes},
                  {"cifar-10-batches-bin/data_batch_2.bin", kCifarBatchBytes},
                  {"cifar-10-batches-bin/data_batch_3.bin", kCifarBatchBytes},
                  {"cifar-10-batches-bin/data_batch_4.bin", kCifarBatchBytes},
                  {"cifar-10-batches-bin/data_batch_5.bin", kCifarBatchBytes},
                  {"cifar-10-batches-bin/test_batch.bin", kCifarBatchBytes}},
     .archive_bytes = 200'000'000},  // 184.4 million
    {.name = "fashion-mnist",
     .format = "fashion-mnist",
     .bases = {"https://fashion-mnist.s3.eu-central-1.amazonaws.com",
               "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"},
     .files = {{"t10k-labels-idx1-ubyte.gz", 5'148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
               {"train-labels-idx1-ubyte.gz", 29'515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
               {"t10k-images-idx3-ubyte.gz", 4'422'102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
               {"train-images-idx3-ubyte.gz", 26'421'880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"}},
     .contents = kMnistContents,
     .archive_bytes = 0},
    {.name = "mnist",
     .format = "idx",
     .bases = {"https://storage.googleapis.com/cvdf-datasets/mnist"},
     .files = {{"t10k-labels-idx1-ubyte.gz", 4'542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
               {"train-labels-idx1-ubyte.gz", 28'881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
               {"t10k-images-idx3-ubyte.gz", 1'648'877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
               {"train-images-idx3-ubyte.gz", 9'912'422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"}},
     .contents = kMnistContents,
     .archive_bytes = 0},
};

// How many of the set's unpacked files are missing. One of another size is refused: it would be taken for the published
// file, and it may be somebody's own.
size_t count_missing(const RemoteSet& set, const fs::path& folder) {
  size_t missing = 0;
  for (const Content& content : set.contents) {
    const fs::path path = folder / content.name;
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      ++missing;
      continue;
    }
    const auto bytes = fs::is_regular_file(status) ? static_cast<int64_t>(fs::file_size(path, error)) : -1;
    if (bytes != content.bytes)
      throw_failure(
          "{}: is there, but it is not the published file, which has {} bytes: remove it, or name another "
          "folder",
          path.string(), content.bytes);
  }
  return missing;
}

void fetch_file(const RemoteSet& set, const RemoteFile& file, const fs::path& folder,
                const DownloadOptions& options, ProgressSink& progress) {
  for (const std::string& base : set.bases) {
    try {
      download(base, file, folder, options, progress);
      return;
    } catch (const Unreachable& error) {
      if (&base != &set.bases.back()) continue;
      throw Unreachable(fmt::format(
          "{}; by hand: put {} ({} bytes, SHA-256 {}) into {} and run this again, which checks it",
          error.what(), file.name, file.bytes, file.sha256, folder.string()));
    }
  }
}

}  // namespace

const std::vector<RemoteSet>& remote_sets() {
  return kSets;
}

const RemoteSet& remote_set(std::string_view name) {
  const auto found = std::ranges::find(kSets, name, &RemoteSet::name);
  if (found != kSets.end()) return *found;
  std::string known;
  for (const RemoteSet& set : kSets) known += (known.empty() ? "" : ", ") + set.name;
  throw_usage("\"{}\" is no data set that can be fetched; known are {}", name, known);
}

void fetch(const RemoteSet& set, const fs::path& folder, const DownloadOptions& options,
           ProgressSink& progress) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder, error))
    throw_failure("{}: the folder cannot be made: {}", folder.string(),
                  error ? error.message() : std::string("a file has that name"));
  const bool is_archive = set.archive_bytes > 0;
  const size_t missing = count_missing(set, folder);
  if (is_archive && missing == 0) return;
  for (const RemoteFile& file : set.files) fetch_file(set, file, folder, options, progress);
  if (!is_archive) return;
  const fs::path archive = folder / set.files.front().name;
  unpack(archive, folder, {.bytes = set.archive_bytes}, progress);
  if (const size_t lacks = count_missing(set, folder); lacks > 0)
    throw_failure("{}: does not hold {} files that it should", archive.string(), lacks);
  fs::remove(archive, error);
}

}  // namespace retort::data
