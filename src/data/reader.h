// Data sets by name: `fashion-mnist`, `cifar10:DIR`, `idx:DIR`, `images:DIR`, `npy:DIR`, each with options as
// `?size=32x32&gray=1`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "data/dataset.h"

namespace retort::data {

// A parsed data SPEC. `gray` is unset when not given: then images keep the channels they have (a folder that
// mixes grey and RGB becomes RGB).
struct Spec {
  std::string format;     // a name of the reader table
  std::string directory;  // empty where the format knows its own place
  int height = 0;         // 0: as stored (folders: the first image's size)
  int width = 0;
  std::optional<bool> gray;
  std::string text;  // as given
};

// The last ? begins the options, unless it belongs to the name of a folder that is there: then what follows
// is no known option. Throws Error(Usage) naming the unknown format or option, and listing the known ones.
Spec parse_spec(std::string_view text);

// What can't be read or has no valid label is an error, or is left out and counted in Dataset::skipped:
// broken image files and empty class folders (images), records of a wrong label and a truncated last one
// (cifar10), labels out of range (idx, fashion-mnist, npy), values that are not finite (npy).
enum class BadImages { Fail, Skip };

struct LoadOptions {
  BadImages bad_images = BadImages::Fail;
  int threads = 0;        // 0: all cores
  bool use_cache = true;  // decoded folders are kept in cache_directory()
};

// A format. Adding one: a file pair, a line in the table in reader.cpp, a test.
class Reader {
 public:
  virtual ~Reader() = default;
  // Reads everything; sizes and channels are still as stored (load_dataset converts them).
  virtual Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink& progress) const = 0;
};

std::vector<std::string> reader_names();

// Parses, reads (or takes from the cache), converts, checks (every class has an image, labels match), hashes.
// Errors are Error(Usage) with one sentence that names the file.
std::shared_ptr<const Dataset> load_dataset(std::string_view spec, const LoadOptions& options,
                                            ProgressSink& progress);

}  // namespace retort::data
