#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "data/cache.h"
#include "data/image_file.h"
#include "data/image_files.h"
#include "data/preprocess.h"
#include "data/readers.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

struct Source {
  fs::path path;
  uint16_t label = 0;
};

// Where the images of one set lie.
struct Listing {
  std::vector<std::string> classes;
  std::vector<Source> sources;
  int64_t skipped = 0;  // empty class folders
};

// Names in a folder, sorted; those that begin with a dot and Windows' own droppings are left out.
struct Names {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

Names list(const fs::path& folder) {
  Names names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.starts_with('.') || name == "Thumbs.db" || name == "desktop.ini") continue;
    std::error_code ignored;  // a dangling link is a file that can't be read
    (it->is_directory(ignored) ? names.folders : names.files).push_back(std::move(name));
  }
  if (error) throw_usage("{}: cannot be listed: {}", folder.string(), error.message());
  std::sort(names.folders.begin(), names.folders.end());
  std::sort(names.files.begin(), names.files.end());
  return names;
}

Listing list_classes(const fs::path& folder, const LoadOptions& options) {
  Listing listing;
  const std::vector<std::string> folders = list(folder).folders;
  if (folders.empty())
    throw_usage("{}: has no class folders; expected are images as {}/<class>/<image>", folder.string(),
                folder.filename().string());
  if (folders.size() > kMaxClasses)
    throw_usage("{}: has {} class folders; {} at most", folder.string(), folders.size(), kMaxClasses);
  for (const std::string& class_name : folders) {
    const fs::path class_folder = folder / class_name;
    const Names names = list(class_folder);
    if (!names.folders.empty())
      throw_usage(
          "{}: is a folder where an image is expected; the layout is DIR/<class>/<image> or "
          "DIR/train/<class>/<image> with DIR/test/<class>/<image>",
          (class_folder / names.folders.front()).string());
    if (names.files.empty()) {
      if (options.bad_images == BadImages::Fail)
        throw_usage("{}: the class folder has no image", class_folder.string());
      note_left_out(options, class_folder.string(), "the class folder has no image");
      ++listing.skipped;
      continue;
    }
    const auto label = static_cast<uint16_t>(listing.classes.size());
    listing.classes.push_back(class_name);
    for (const std::string& name : names.files) listing.sources.push_back({class_folder / name, label});
  }
  if (listing.classes.empty()) throw_usage("{}: its class folders have no images", folder.string());
  return listing;
}

// Folders that are named like sets and hold class folders: Train/ and Test/, or test/ alone.
void refuse_misnamed_sets(const fs::path& root, const std::vector<std::string>& folders) {
  const std::set<std::string> sets = {"train", "training", "test", "testing", "val", "valid", "validation"};
  for (std::string name : folders) {
    const bool holds_folders = !list(root / name).folders.empty();
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (!sets.contains(name) || !holds_folders) return;
  }
  if (!folders.empty())
    throw_usage(
        "{}: train/ is missing beside {}/; the layout is DIR/train/<class>/<image>, with or without "
        "DIR/test/<class>/<image>, "
        "or DIR/<class>/<image>",
        root.string(), folders.front());
}

enum class Layout { Classes, TrainAndTest };

bool is_validation(std::string_view folder) {
  return folder == "val" || folder == "valid" || folder == "validation";
}

Layout find_layout(const fs::path& root) {
  const std::vector<std::string> folders = list(root).folders;
  if (!are_sets(folders)) {
    if (!std::ranges::binary_search(folders, "train")) refuse_misnamed_sets(root, folders);
    return Layout::Classes;
  }
  for (const std::string& name : folders)
    if (is_validation(name))
      throw_usage(
          "{}: validation images are split off train/ by Retort; move these into train/<class> or elsewhere",
          (root / name).string());
  return Layout::TrainAndTest;
}

// Raise it when decode_image, to_gray or resize give other bytes for the same file: caches of older programs
// then no longer count.
constexpr int kDecoderVersion = 2;

// Whatever changes when an image is added, removed, renamed or written anew. Copying with the times kept
// (cp -p, rsync -t) still changes the inode or its change time.
std::string cache_key(const std::string& options, const fs::path& root,
                      std::span<const Listing* const> listings) {
  Sha256 hash;
  hash.update(fmt::format("{}\ndecoder {}", options, kDecoderVersion));
  for (const Listing* listing : listings) {
    hash.update(fmt::format("\n{} images, {} skipped", listing->sources.size(), listing->skipped));
    for (const Source& source : listing->sources) {
      struct stat status{};
      if (::stat(source.path.c_str(), &status) != 0) status = {};  // reading it will say what is wrong
      hash.update(fmt::format("\n{}\n{} {} {} {}.{} {}.{}", source.path.string().substr(root.string().size()),
                              source.label, status.st_size, status.st_ino, status.st_mtim.tv_sec,
                              status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec));
    }
  }
  return hash.hex();
}

// Decodes the images of a listing into one ImageSet.
class Loader {
 public:
  Loader(const Spec& spec, const LoadOptions& options, ProgressSink& progress, size_t total)
      : spec_(spec), options_(options), progress_(progress), total_(total) {}

  // The images' shape: the spec's size or the first whole image's, three channels unless grey is asked for.
  // Throws Error(Usage) when all of them would not fit in memory.
  void choose_shape(const std::vector<Source>& sources) {
    shape_ = {spec_.height, spec_.width, spec_.gray == true ? 1 : 3};
    if (spec_.height == 0) take_shape_of_first(sources);
    const uint64_t bytes = saturating_product({uint64_t{total_}, uint64_t{shape_.bytes()}});
    if (const uint64_t left = memory_left(); bytes > left)
      throw_usage(
          "{}: {} images of {}x{} are {:.1f} GB, more than the {:.1f} GB of memory that are left: "
          "choose a smaller size with ?size=HxW",
          spec_.directory, total_, shape_.height, shape_.width, static_cast<double>(bytes) / 1e9,
          static_cast<double>(left) / 1e9);
  }

  // `survey`: where to note the images as they are stored, or null.
  ImageSet load(const std::vector<Source>& sources, std::vector<SurveyedImage>* survey) {
    ImageSet set;
    set.shape = shape_;
    set.pixels.resize(sources.size() * shape_.bytes());
    set.labels.assign(sources.size(), kNoLabel);
    std::vector<SurveyedImage> noted(survey != nullptr ? sources.size() : 0);
    std::vector<std::string> reasons(sources.size());
    parallel_for(sources.size(), 16, options_.threads, [&](size_t i) {
      if (std::optional<DecodedImage> image = decode(sources[i], &reasons[i])) {
        if (survey != nullptr) noted[i] = survey_image(sources[i].path.string(), image->shape, image->pixels);
        place(*image, {set.pixels.data() + i * shape_.bytes(), shape_.bytes()});
        set.labels[i] = sources[i].label;
      }
      report();
    });
    for (size_t i = 0; i < sources.size(); ++i) {
      if (set.labels[i] == kNoLabel)
        note_left_out(options_, sources[i].path.string(), reasons[i]);
      else if (survey != nullptr)
        survey->push_back(std::move(noted[i]));
    }
    skipped_ += drop_unlabelled(set);
    return set;
  }

  [[nodiscard]] bool all_gray() const { return !color_seen_; }
  [[nodiscard]] bool resized() const { return resized_; }
  [[nodiscard]] int64_t skipped() const { return skipped_; }

 private:
  void take_shape_of_first(const std::vector<Source>& sources) {
    for (const Source& source : sources) {
      const std::optional<DecodedImage> image = decode(source);
      if (!image) continue;
      shape_.height = image->shape.height;
      shape_.width = image->shape.width;
      // What microcontrollers take is far below; photographs as they are would fill the memory.
      constexpr int64_t kMaxPixels = 512 * 512;
      if (int64_t{shape_.height} * shape_.width <= kMaxPixels) return;
      const std::string refusal = fmt::format(
          "{}: is {}x{}, and all images would be resized to that: choose a size with ?size=HxW, "
          "like images:{}?size=96x96",
          source.path.string(), shape_.height, shape_.width, spec_.directory);
      if (options_.survey == nullptr) throw Error(ErrorCode::Usage, refusal);
      options_.survey->refusal = refusal;
      shape_.height = shape_.width = 96;
      return;
    }
    if (options_.survey != nullptr)  // load() will not come to it
      for (const Source& source : sources) {
        std::string reason;
        if (!decode(source, &reason)) note_left_out(options_, source.path.string(), reason);
      }
    throw_usage("{}: has no whole image", spec_.directory);
  }

  // Nothing for a broken image that may be skipped; then `reason`, if given, tells what is wrong with it.
  std::optional<DecodedImage> decode(const Source& source, std::string* reason = nullptr) const {
    try {
      return decode_image(read_file(source.path, kMostImageFileBytes), source.path.string());
    } catch (const NoMemory&) {
      throw;  // it is not the image's fault
    } catch (const Error& error) {
      if (options_.bad_images == BadImages::Fail || error.code() != ErrorCode::Usage) throw;
      const std::string_view sentence = error.what();
      const std::string start = source.path.string() + ": ";
      if (reason != nullptr) *reason = sentence.starts_with(start) ? sentence.substr(start.size()) : sentence;
      return std::nullopt;
    }
  }

  // Writes over the picture's own pixels on the way, so as to take no memory for a second one.
  void place(DecodedImage& image, std::span<uint8_t> out) {
    if (image.shape.channels != 1) color_seen_ = true;
    if (image.shape.height != shape_.height || image.shape.width != shape_.width) resized_ = true;
    if (image.shape.channels == 3 && shape_.channels == 1) {
      to_gray(image.pixels, std::span(image.pixels).first(image.pixels.size() / 3));
      image.shape.channels = 1;
    }
    const ImageShape placed = {shape_.height, shape_.width, image.shape.channels};
    resize(std::span(image.pixels).first(image.shape.bytes()), image.shape, out.first(placed.bytes()),
           placed);
    // Grey to three equal channels, from the end: each pixel goes to behind those that still wait.
    if (placed.channels != shape_.channels)
      for (size_t i = out.size(); i-- > 0;) out[i] = out[i / 3];
  }

  void report() {
    const size_t done = ++done_;
    if (done % 256 == 0 || done == total_)
      progress_.update("loading images", static_cast<double>(done), static_cast<double>(total_), "");
  }

  const Spec& spec_;
  const LoadOptions& options_;
  ProgressSink& progress_;
  size_t total_;
  ImageShape shape_;
  std::atomic<size_t> done_ = 0;
  std::atomic<bool> color_seen_ = false;
  std::atomic<bool> resized_ = false;
  int64_t skipped_ = 0;
};

// Three equal channels back to one.
void drop_channels(ImageSet& set) {
  for (size_t i = 0; i < set.pixels.size() / 3; ++i) set.pixels[i] = set.pixels[3 * i];
  set.pixels.resize(set.pixels.size() / 3);
  set.pixels.shrink_to_fit();
  set.shape.channels = 1;
}

class FolderReader final : public Reader {
 public:
  Dataset read(const Spec& spec, const LoadOptions& options, ProgressSink& progress) const override {
    const fs::path root = spec.directory;
    require_folder(root);
    Listing train;
    Listing test;
    if (find_layout(root) == Layout::TrainAndTest) {
      train = list_classes(root / "train", options);
      if (fs::exists(root / "test")) {
        test = list_classes(root / "test", options);
        require_same_classes(root, train, test);
      }
    } else {
      train = list_classes(root, options);
    }
    if (!options.use_cache || options.survey != nullptr) return decode(spec, options, progress, train, test);

    const std::string choices =
        fmt::format("images {}x{} gray {} skip {} of {}", spec.height, spec.width,
                    spec.gray ? static_cast<int>(*spec.gray) : -1, static_cast<int>(options.bad_images),
                    fs::canonical(root).string());
    const std::string key = cache_key(choices, root, std::array<const Listing*, 2>{&train, &test});
    // The name holds only what was asked for, so that a changed folder replaces its old cache.
    const std::span<const uint8_t> choice_bytes(reinterpret_cast<const uint8_t*>(choices.data()),
                                                choices.size());
    const fs::path cache = cache_directory() / (sha256_hex(choice_bytes).substr(0, 32) + ".images");
    if (std::optional<Dataset> dataset = read_cache(cache, key, options.threads)) return *std::move(dataset);
    Dataset dataset = decode(spec, options, progress, train, test);
    dataset.content_hash = content_hash(dataset);
    try {
      write_cache(cache, key, dataset);
    } catch (const Error& error) {
      progress.message(fmt::format("the decoded images are not cached: {}", error.what()));
    }
    return dataset;
  }

 private:
  static void require_same_classes(const fs::path& root, const Listing& train, const Listing& test) {
    for (const std::string& name : train.classes)
      if (!std::binary_search(test.classes.begin(), test.classes.end(), name))
        throw_usage("{}: class \"{}\" is in train/ but not in test/", root.string(), name);
    for (const std::string& name : test.classes)
      if (!std::binary_search(train.classes.begin(), train.classes.end(), name))
        throw_usage("{}: class \"{}\" is in test/ but not in train/", root.string(), name);
  }

  static Dataset decode(const Spec& spec, const LoadOptions& options, ProgressSink& progress,
                        const Listing& train, const Listing& test) {
    Loader loader(spec, options, progress, train.sources.size() + test.sources.size());
    loader.choose_shape(train.sources);
    Dataset dataset;
    dataset.classes = train.classes;
    dataset.train = loader.load(train.sources, options.survey != nullptr ? &options.survey->train : nullptr);
    if (!test.sources.empty())
      dataset.test = loader.load(test.sources, options.survey != nullptr ? &options.survey->test : nullptr);
    dataset.skipped = train.skipped + test.skipped + loader.skipped();
    if (!spec.gray && loader.all_gray()) {
      drop_channels(dataset.train);
      if (!test.sources.empty()) drop_channels(dataset.test);
    }
    if (spec.height == 0 && loader.resized() &&
        (options.survey == nullptr || options.survey->refusal.empty()))
      progress.message(
          fmt::format("{}: images differ in size; all are resized to the first one's {}x{} (?size=HxW "
                      "chooses another)",
                      spec.directory, dataset.train.shape.height, dataset.train.shape.width));
    return dataset;
  }
};

}  // namespace

// No other name may be there, so a class may be called train.
bool are_sets(std::span<const std::string> folders) {
  return std::ranges::find(folders, "train") != folders.end() &&
         std::ranges::all_of(folders, [](const std::string& name) {
           return name == "train" || name == "test" || is_validation(name);
         });
}

ImageFiles image_files(const Dataset& dataset) {
  try {
    const Spec spec = parse_spec(dataset.spec);
    if (spec.format != "images" || dataset.skipped > 0) return {};
    const fs::path root = spec.directory;
    const auto names = [&](const fs::path& folder, const ImageSet& set) {
      std::vector<std::string> files;
      for (const Source& source : list_classes(folder, {}).sources)
        files.push_back(source.path.lexically_relative(root).string());
      if (files.size() != set.count()) throw_failure("{}: has changed", folder.string());
      return files;
    };
    if (find_layout(root) == Layout::Classes) return {names(root, dataset.train), {}};
    ImageFiles files{names(root / "train", dataset.train), {}};
    if (dataset.test.count() > 0) files.test = names(root / "test", dataset.test);
    return files;
  } catch (const Error&) {
    return {};
  }
}

std::unique_ptr<Reader> make_folder_reader() {
  return std::make_unique<FolderReader>();
}

}  // namespace retort::data
