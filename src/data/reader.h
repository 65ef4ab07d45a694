// Data sets by name: `fashion-mnist[:DIR]`, `cifar10:DIR`, `idx:DIR`, `images:DIR`, `npy:DIR`, each with options as
// `?size=32x32&gray=1`.
#pragma once

#include <filesystem>
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
  std::optional<bool> skip_bad;  // BadImages::Skip, as in LoadOptions
  std::string text;              // as given
};

// The same data seen from elsewhere: a spec that names a folder relative to `from`, with the folder's whole path where it
// is there, else as it is.
std::string spec_from(std::string_view text, const std::filesystem::path& from);

// The last ? begins the options, unless it belongs to the name of a folder that is there: then what follows
// is no known option. Throws Error(Usage) naming the unknown format or option, and listing the known ones.
Spec parse_spec(std::string_view text);

// What can't be read or has no valid label is an error, or is left out and counted in Dataset::skipped:
// broken image files and empty class folders (images), records of a wrong label and a truncated last one
// (cifar10), labels out of range (idx, fashion-mnist, npy), values that are not finite (npy).
enum class BadImages { Fail, Skip };

// An image as it is stored, before it is resized or made grey.
struct SurveyedImage {
  std::string name;  // its file, or where it stands in one
  ImageShape stored;
  std::string digest;  // of stored shape and pixels: equal for equal images
};

struct LeftOut {
  std::string name;
  std::string reason;
};

// What a reader notes for who wants to know a data set well (data/inspection.h).
struct Survey {
  std::vector<SurveyedImage> train;  // one an image of Dataset::train, in its order
  std::vector<SurveyedImage> test;
  std::vector<LeftOut> left_out;  // what Dataset::skipped counts
  std::string refusal;            // why reading without a survey would be refused, or empty
};

struct LoadOptions {
  BadImages bad_images = BadImages::Fail;
  int threads = 0;        // 0: all cores
  bool use_cache = true;  // decoded folders are kept in cache_directory()
  // Filled when given; everything is then read anew.
  Survey* survey = nullptr;
};

// A format. Adding one: a file pair, a line in the table in reader.cpp, a test.
class Reader {
 public:
  virtual ~Reader() = default;
  // Reads everything; sizes and channels are still as stored (load_dataset converts them).
  virtual Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink& progress) const = 0;
};

std::vector<std::string> reader_names();

// A SPEC for a bare folder, by what lies in it: "photos" becomes "images:photos". Any other text is returned as
// it is.
std::string spec_of_folder(std::string_view text);

// Parses, reads (or takes from the cache), converts, checks (every class has an image, labels match), hashes.
// Errors are Error(Usage) with one sentence that names the file. The data set's spec is the one given; where something
// was left out, with skip-bad=1, so that it alone gives the same data again.
std::shared_ptr<const Dataset> load_dataset(std::string_view spec, const LoadOptions& options,
                                            ProgressSink& progress);

}  // namespace retort::data
