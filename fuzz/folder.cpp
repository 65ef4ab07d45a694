// Folders of images, a folder a class: the input is their files, with names of any bytes.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "data/fixtures.h"
#include "data/image_files.h"
#include "data/reader.h"
#include "target.h"

namespace retort::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostFiles = 8;
// What is asked of the reader, by the bits of the first byte; the second one is the size.
constexpr uint8_t kSkip = 1, kSkipInSpec = 2, kGray = 4, kColour = 8, kSize = 16, kWide = 32, kSurvey = 64,
                  kTwice = 128;

// Where a name leads that the input gave: into `root`, or nowhere. One that ends in a slash is a folder's.
struct Place {
  fs::path folder;
  std::string file;
};
bool find_place(const fs::path& root, std::string_view name, Place& place) {
  constexpr size_t kLongest = 255;
  constexpr int kDeepest = 4;
  place.folder = root;
  for (int depth = 0; depth < kDeepest; ++depth) {
    const size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    if ((part.empty() && (!is_last || depth == 0)) || part == "." || part == ".." || part.size() > kLongest ||
        part.find('\0') != std::string_view::npos)
      return false;
    if (is_last) {
      place.file = part;
      return true;
    }
    place.folder /= part;
    name.remove_prefix(slash + 1);
  }
  return false;
}

// Large pictures are image.cpp's matter: several of them, read three times, take longer than an input may.
bool is_small(Bytes file) {
  constexpr int kMostSide = 640;
  const auto number = [&](size_t at) { return at + 1 < file.size() ? file[at] << 8 | file[at + 1] : 0; };
  if (file.size() > 24 && file[0] == 0x89)  // PNG: width and height in four bytes each
    return number(16) == 0 && number(20) == 0 && number(18) <= kMostSide && number(22) <= kMostSide;
  // JPEG: height and width of every frame, whose markers are all of 0xffc0 to 0xffcf but three.
  for (size_t i = 0; i + 8 < file.size(); ++i) {
    const int marker = number(i);
    const bool is_frame =
        marker >= 0xffc0 && marker <= 0xffcf && marker != 0xffc4 && marker != 0xffc8 && marker != 0xffcc;
    if (is_frame && (number(i + 5) > kMostSide || number(i + 7) > kMostSide)) return false;
  }
  return true;
}

// What cannot be there beside the files before is left out.
void write(const fs::path& root, std::string_view name, Bytes bytes) {
  Place place;
  if (!find_place(root, name, place)) return;
  std::error_code error;
  fs::create_directories(place.folder, error);
  if (error || place.file.empty() || !is_small(bytes)) return;
  std::ofstream out(place.folder / place.file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::string spec_of(const fs::path& root, uint8_t flags, uint8_t size) {
  std::string options;
  const auto add = [&](std::string_view option) {
    options += options.empty() ? '?' : '&';
    options += option;
  };
  if ((flags & kSize) != 0)
    add("size=" + std::to_string(1 + size % 16) + "x" +
        ((flags & kWide) != 0 ? "4096" : std::to_string(1 + size / 16)));
  if ((flags & kGray) != 0)
    add("gray=1");
  else if ((flags & kColour) != 0)
    add("gray=0");
  if ((flags & kSkipInSpec) != 0) add("skip-bad=1");
  return "images:" + root.string() + options;
}

void check(const data::Dataset& set) {
  for (const data::ImageSet* images : {&set.train, &set.test}) {
    require(images->pixels.size() == images->count() * images->shape.bytes(), "every image is whole");
    require(std::ranges::all_of(images->labels, [&](uint16_t label) { return label < set.classes.size(); }),
            "every image is of a class");
  }
  const data::ImageFiles files = data::image_files(set);
  require(files.train.empty() || files.train.size() == set.train.count(),
          "every training image has its file");
  require(files.test.empty() || files.test.size() == set.test.count(), "every test image has its file");
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.size() < 2) return;
  const uint8_t flags = bytes[0];
  const std::string root = (folder() / "photos").string();
  const std::string spec = spec_of(root, flags, bytes[1]);
  static const fs::path cache = [] {
    const fs::path path = folder() / "cache";
    ::setenv("RETORT_CACHE", path.c_str(), 1);
    return path;
  }();
  for (const fs::path& left : {fs::path(root), cache}) fs::remove_all(left);
  fs::create_directories(root);
  const std::vector<Bytes> pieces = split(bytes.subspan(2), 2 * kMostFiles + 1);
  for (size_t i = 0; i < kMostFiles; ++i) write(root, as_text(pieces[2 * i]), pieces[2 * i + 1]);

  data::Survey survey;
  data::LoadOptions options{.threads = 1, .use_cache = (flags & kTwice) != 0};
  if ((flags & kSkip) != 0) options.bad_images = data::BadImages::Skip;
  if ((flags & kSurvey) != 0) options.survey = &survey;
  const auto set = data::load_dataset(spec, options, silent_progress());
  check(*set);
  if (options.survey != nullptr) {
    require(survey.train.size() == set->train.count() && survey.test.size() == set->test.count(),
            "every image is noted");
    require(survey.left_out.size() == static_cast<size_t>(set->skipped), "what is left out is noted");
    if (!survey.refusal.empty()) return;
  }
  if ((flags & kTwice) == 0) return;
  // Its own text gives the same data again, decoded or from the cache.
  for (const bool use_cache : {true, false}) {
    const auto again =
        data::load_dataset(set->spec, {.threads = 1, .use_cache = use_cache}, silent_progress());
    check(*again);
    require(again->content_hash == set->content_hash, "the same data come again");
    require(again->skipped == set->skipped, "the same images are left out again");
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  using File = std::pair<std::string, Seed>;
  const auto add = [&](uint8_t flags, uint8_t size, const std::vector<File>& files) {
    Seed input = {flags, size};
    for (const auto& [name, bytes] : files)
      for (const Bytes piece : {as_bytes(name), Bytes(bytes)}) {
        const Seed with_length = join({piece, {}});
        input.insert(input.end(), with_length.begin(), with_length.end());
      }
    all.push_back(std::move(input));
  };
  const auto pixels = [](size_t count) {
    Seed bytes(count);
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 29);
    return bytes;
  };
  const Seed png = data::encode_png(pixels(18), {3, 2, 3});
  const Seed grey = data::encode_png(pixels(6), {3, 2, 1});
  const Seed larger = data::encode_png(pixels(60), {4, 5, 3});
  const Seed jpeg = data::encode_jpeg(pixels(18), {3, 2, 3});
  const Seed cut(png.begin(), png.begin() + static_cast<std::ptrdiff_t>(png.size() / 2));
  const Seed cut_jpeg(jpeg.begin(), jpeg.end() - 20);
  add(0, 0, {{"cat/1.png", png}, {"dog/1.jpg", jpeg}, {"dog/2.png", larger}, {"readme.txt", {1}}});
  add(kTwice, 0, {{"cat/1.png", grey}, {"dog/1", grey}, {".hidden/1", png}, {"cat/.DS_Store", {0}}});
  add(kSkip | kTwice, 0, {{"cat/1.png", cut}, {"cat/2.png", png}, {"dog/1.jpg", jpeg}, {"empty/", {}}});
  add(kSkipInSpec | kSize | kTwice, 0x35, {{"a/1", cut_jpeg}, {"a/2", png}, {"b/1", larger}, {"b/2", {}}});
  add(kSize | kGray | kSurvey, 0x12, {{"cat/1.png", png}, {"dog/1.jpg", jpeg}, {"dog/2", grey}});
  add(kSize | kWide | kColour | kSkip | kSurvey, 0, {{"cat/1", grey}, {"dog/1", grey}, {"dog/2", cut}});
  add(kTwice, 0,
      {{"train/a/1", png}, {"train/b/1", jpeg}, {"test/a/1", larger}, {"test/b/1", png}, {"notes", {}}});
  add(kTwice, 0, {{"train/1", png}, {"other/1", png}});
  add(kSkip, 0, {{"train/a/1", png}, {"train/b/1", png}, {"test/a/1", cut}, {"test/b/", {}}});
  add(0, 0, {{"train/a/1", png}, {"train/b/1", png}, {"val/a/1", png}});
  add(0, 0, {{"Train/a/1", png}, {"test/a/1", png}});
  add(0, 0, {{"cat/deep/1", png}, {"dog/1", png}});
  add(kTwice, 0, {{"\xff\xfe/\x80", png}, {"a\nb/c\td", png}, {"\xc3\xa4?x=1&y/#", png}});
  add(kTwice, 0, {{"a\nb/c\td", png}, {"\xc3\xa4?x=1&y/#", png}});
  return all;
}

}  // namespace retort::fuzz
