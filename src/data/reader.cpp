#include "data/reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "data/preprocess.h"
#include "data/readers.h"

namespace retort::data {
namespace {

enum class Place { Folder, Known };

struct Format {
  std::string_view name;
  Place place;
  std::unique_ptr<Reader> (*make)();
};

constexpr std::array<Format, 5> kFormats = {{
    {"cifar10", Place::Folder, make_cifar10_reader},
    {"fashion-mnist", Place::Known, make_fashion_mnist_reader},
    {"idx", Place::Folder, make_idx_reader},
    {"images", Place::Folder, make_folder_reader},
    {"npy", Place::Folder, make_npy_reader},
}};

const Format* find_format(std::string_view name) {
  const auto* found =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& f) { return f.name == name; });
  return found != kFormats.end() ? found : nullptr;
}

std::string format_list() {
  std::string list;
  for (const Format& format : kFormats)
    list += fmt::format("{}{}{}", list.empty() ? "" : ", ", format.name,
                        format.place == Place::Folder ? ":DIR" : "");
  return list;
}

// "32x28" → 32, 28.
bool parse_size(std::string_view text, int& height, int& width) {
  constexpr int kMaxSide = 4096;
  const size_t cross = text.find('x');
  if (cross == std::string_view::npos) return false;
  const auto parse = [](std::string_view part, int& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc{} && end == part.data() + part.size() && value >= 1 && value <= kMaxSide;
  };
  return parse(text.substr(0, cross), height) && parse(text.substr(cross + 1), width);
}

bool parse_flag(std::string_view value, std::string_view name, std::string_view right, const Spec& spec) {
  if (value != "0" && value != "1")
    throw_usage("data \"{}\": {} is \"{}\": write {}", spec.text, name, value, right);
  return value == "1";
}

void parse_option(std::string_view option, Spec& spec) {
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : option.substr(equals + 1);
  if (name == "size" && spec.height == 0) {
    if (!parse_size(value, spec.height, spec.width))
      throw_usage("data \"{}\": size is \"{}\": write height x width, each 1 to 4096, like size=32x32",
                  spec.text, value);
  } else if (name == "gray" && !spec.gray) {
    spec.gray = parse_flag(value, name, "gray=1 for grey images or gray=0 for RGB", spec);
  } else if (name == "skip-bad" && !spec.skip_bad) {
    spec.skip_bad = parse_flag(value, name, "skip-bad=1 to leave broken images out", spec);
  } else if (name == "size" || name == "gray" || name == "skip-bad") {
    throw_usage("data \"{}\": option \"{}\" is given twice", spec.text, name);
  } else {
    throw_usage("data \"{}\": unknown option \"{}\"; the options are size=HxW, gray=0|1 and skip-bad=0|1",
                spec.text, name);
  }
}

// Shells don't expand the ~ in images:~/photos.
std::string expand_home(std::string_view directory) {
  const char* home = std::getenv("HOME");
  if (home != nullptr && (directory == "~" || directory.starts_with("~/")))
    return home + std::string(directory.substr(1));
  return std::string(directory);
}

// FORMAT:DIR of the spec `text`.
Spec parse_place(std::string_view place, std::string_view text) {
  Spec spec;
  spec.text = text;
  const size_t colon = place.find(':');
  spec.format = place.substr(0, colon);
  const Format* format = find_format(spec.format);
  if (format == nullptr)
    throw_usage("data \"{}\": unknown format \"{}\"; known are {}", spec.text, spec.format, format_list());
  spec.directory = colon == std::string_view::npos ? "" : expand_home(place.substr(colon + 1));
  if (spec.directory.empty() && (format->place == Place::Folder || colon != std::string_view::npos))
    throw_usage("data \"{}\": a folder is missing; write {}:DIR", spec.text, spec.format);
  return spec;
}

void parse_options(std::string_view options, Spec& spec) {
  if (options.empty())
    throw_usage("data \"{}\": no option follows the ?; remove it or write ?gray=1", spec.text);
  while (!options.empty()) {
    const size_t end = std::min(options.find('&'), options.size());
    parse_option(options.substr(0, end), spec);
    options.remove_prefix(std::min(end + 1, options.size()));
  }
}

// Whether all that follows the colon is the name of a folder.
bool names_existing_folder(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || find_format(text.substr(0, colon)) == nullptr) return false;
  std::error_code ignored;
  return std::filesystem::is_directory(expand_home(text.substr(colon + 1)), ignored);
}

// Grey and size as the spec wishes. Readers that could do so while decoding already have.
void convert(ImageSet& set, const Spec& spec, const LoadOptions& options, std::string_view part) {
  if (set.count() == 0) return;
  ImageShape wanted = set.shape;
  if (spec.gray) {
    if (wanted.channels != 1 && wanted.channels != 3)
      throw_usage("{}: the {} images have {} channels; gray=0|1 is for images of 1 or 3", spec.text, part,
                  wanted.channels);
    wanted.channels = *spec.gray ? 1 : 3;
  }
  if (spec.height != 0) {
    wanted.height = spec.height;
    wanted.width = spec.width;
  }
  if (wanted == set.shape) return;

  const ImageShape recolored = {set.shape.height, set.shape.width, wanted.channels};
  require_memory(saturating_product({uint64_t{set.count()}, uint64_t{wanted.bytes()}}),
                 fmt::format("{}: {} {} images of {}x{}x{}", spec.text, set.count(), part, wanted.height,
                             wanted.width, wanted.channels));
  std::vector<uint8_t> pixels(set.count() * wanted.bytes());
  parallel_for(set.count(), 256, options.threads, [&](size_t i) {
    const std::span<uint8_t> out(pixels.data() + i * wanted.bytes(), wanted.bytes());
    std::span<const uint8_t> image = set.image(i);
    std::vector<uint8_t> colors;
    if (set.shape.channels != wanted.channels) {
      colors.resize(recolored.bytes());
      if (wanted.channels == 1)
        to_gray(image, colors);
      else
        for (size_t p = 0; p < colors.size(); ++p) colors[p] = image[p / 3];
      image = colors;
    }
    resize(image, recolored, out, wanted);
  });
  set.pixels = std::move(pixels);
  set.shape = wanted;
}

// For readers that have nothing to say of single images.
void survey(const ImageSet& set, std::string_view what, const LoadOptions& options,
            std::vector<SurveyedImage>& images) {
  if (!images.empty()) return;
  images.resize(set.count());
  parallel_for(set.count(), 64, options.threads, [&](size_t i) {
    images[i] = survey_image(fmt::format("{} {}", what, i), set.shape, set.image(i));
  });
}

}  // namespace

std::string spec_from(std::string_view text, const std::filesystem::path& from) {
  const size_t colon = text.find(':');
  const std::filesystem::path folder(text.substr(std::min(colon, text.size() - 1) + 1));
  if (from.empty() || colon == std::string_view::npos || folder.empty() || folder.is_absolute() ||
      text.substr(colon + 1).starts_with('~'))
    return std::string(text);
  std::string whole = fmt::format("{}:{}", text.substr(0, colon), (from / folder).string());
  std::error_code ignored;
  return std::filesystem::is_directory(parse_spec(whole).directory, ignored) ? whole : std::string(text);
}

void require_sound(const Dataset& dataset) {
  const std::string& name = dataset.spec;
  if (dataset.train.count() == 0) throw_usage("{}: has no training images", name);
  if (dataset.train.count() > std::numeric_limits<uint32_t>::max())
    throw_usage("{}: has {} images, more than can be indexed", name, dataset.train.count());
  if (dataset.test.count() > 0 && dataset.test.shape != dataset.train.shape)
    throw_usage("{}: test images are {}x{}x{}, training images {}x{}x{}", name, dataset.test.shape.height,
                dataset.test.shape.width, dataset.test.shape.channels, dataset.train.shape.height,
                dataset.train.shape.width, dataset.train.shape.channels);
  if (dataset.classes.size() < 2)
    throw_usage("{}: has the single class \"{}\"; there is nothing to tell apart", name,
                dataset.classes.at(0));
  // They go into weights, .tflite files and databases, as JSON.
  for (size_t c = 0; c < dataset.classes.size(); ++c) {
    const std::string carried = parse_json(dump_json(Json(dataset.classes[c])));
    if (carried != dataset.classes[c])
      throw_usage("{}: the name of class {} of {}, \"{}\", is not UTF-8: rename it", name, c + 1,
                  dataset.classes.size(), carried);
  }
  for (const ImageSet* set : {&dataset.train, &dataset.test})
    for (size_t i = 0; i < set->count(); ++i)
      if (set->labels[i] >= dataset.classes.size())
        throw_usage("{}: label {} of {} image {} is out of range: there are {} classes", name, set->labels[i],
                    set == &dataset.train ? "training" : "test", i, dataset.classes.size());
  require_every_class(dataset, name);
}

void require_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) throw_usage("{}: there is no such folder", path.string());
  if (!std::filesystem::is_directory(status))
    throw_usage("{}: is a file where a folder is expected", path.string());
}

void note_left_out(const LoadOptions& options, std::string name, std::string reason) {
  if (options.survey != nullptr) options.survey->left_out.push_back({std::move(name), std::move(reason)});
}

SurveyedImage survey_image(std::string name, ImageShape stored, std::span<const uint8_t> pixels) {
  Sha256 hash;
  hash.update(fmt::format("{}x{}x{}\n", stored.height, stored.width, stored.channels));
  hash.update(pixels);
  return {std::move(name), stored, hash.hex()};
}

int64_t drop_unlabelled(ImageSet& set) {
  const size_t image_bytes = set.shape.bytes();
  size_t kept = 0;
  for (size_t i = 0; i < set.count(); ++i) {
    if (set.labels[i] == kNoLabel) continue;
    if (kept != i) {
      std::copy_n(set.pixels.begin() + static_cast<std::ptrdiff_t>(i * image_bytes), image_bytes,
                  set.pixels.begin() + static_cast<std::ptrdiff_t>(kept * image_bytes));
      set.labels[kept] = set.labels[i];
    }
    ++kept;
  }
  const size_t dropped = set.count() - kept;
  set.labels.resize(kept);
  set.pixels.resize(kept * image_bytes);
  return static_cast<int64_t>(dropped);
}

void require_every_class(const Dataset& dataset, std::string_view where) {
  std::vector<size_t> counts(dataset.classes.size());
  for (const uint16_t label : dataset.train.labels) ++counts[label];
  for (size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == 0) throw_usage("{}: class \"{}\" has no training image", where, dataset.classes[c]);
}

std::vector<std::string> numbered_classes(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<std::string> reader_names() {
  std::vector<std::string> names;
  for (const Format& format : kFormats) names.emplace_back(format.name);
  return names;
}

Spec parse_spec(std::string_view text) {
  const size_t mark = text.rfind('?');
  if (mark == std::string_view::npos) return parse_place(text, text);
  try {
    Spec spec = parse_place(text.substr(0, mark), text);
    parse_options(text.substr(mark + 1), spec);
    return spec;
  } catch (const Error&) {
    if (names_existing_folder(text)) return parse_place(text, text);
    throw;
  }
}

std::string spec_of_folder(std::string_view text) {
  namespace fs = std::filesystem;
  const std::string name(text.substr(0, text.rfind('?')));
  std::error_code ignored;
  const size_t colon = name.find(':');
  const Format* format = find_format(name.substr(0, colon));
  const bool is_spec = format != nullptr && (colon != std::string::npos || format->place == Place::Known);
  if (is_spec || !fs::is_directory(expand_home(name), ignored)) return std::string(text);
  std::string guess = "images";
  for (fs::directory_iterator it(expand_home(name), ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string entry = it->path().filename().string();
    if (entry == "x_train.npy") guess = "npy";
    if (entry == "data_batch_1.bin" || entry == "cifar-10-batches-bin") guess = "cifar10";
    if (entry.starts_with("train-") && entry.find("idx3-ubyte") != std::string::npos) guess = "idx";
  }
  return fmt::format("{}:{}", guess, text);
}

std::shared_ptr<const Dataset> load_dataset(std::string_view text, const LoadOptions& given,
                                            ProgressSink& progress) {
  const Spec spec = parse_spec(text);
  LoadOptions options = given;
  if (spec.skip_bad.value_or(false)) options.bad_images = BadImages::Skip;
  auto dataset = std::make_shared<Dataset>(find_format(spec.format)->make()->read(spec, options, progress));
  dataset->spec = spec.text;
  if (options.survey != nullptr) {
    survey(dataset->train, "training image", options, options.survey->train);
    survey(dataset->test, "test image", options, options.survey->test);
  }
  convert(dataset->train, spec, options, "training");
  convert(dataset->test, spec, options, "test");
  require_sound(*dataset);
  if (dataset->content_hash.empty()) dataset->content_hash = content_hash(*dataset);
  if (dataset->skipped > 0 && !spec.skip_bad)
    dataset->spec += fmt::format("{}skip-bad=1", spec.height != 0 || spec.gray ? '&' : '?');
  return dataset;
}

std::string content_hash(const Dataset& dataset) {
  static_assert(std::endian::native == std::endian::little, "labels are hashed as they lie in memory");
  Sha256 hash;
  hash.update(fmt::format("{} classes\n", dataset.classes.size()));
  for (const std::string& name : dataset.classes) hash.update(fmt::format("{} {}\n", name.size(), name));
  for (const ImageSet* set : {&dataset.train, &dataset.test}) {
    hash.update(fmt::format("{} images {}x{}x{}\n", set->count(), set->shape.height, set->shape.width,
                            set->shape.channels));
    hash.update(
        {reinterpret_cast<const uint8_t*>(set->labels.data()), set->labels.size() * sizeof(uint16_t)});
    hash.update(set->pixels);
  }
  return hash.hex();
}

}  // namespace retort::data
