// A teacher's logits and the note beside them, as they are read for images that are there.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/file.h"
#include "compress/distillation.h"
#include "data/curriculum.h"
#include "data/npy.h"
#include "data/views.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr std::array<const char*, 3> kNames = {"logits.npy", "logits.json", "dataset.json"};
// Which of them there are, by the bits of the first byte.
constexpr uint8_t kNote = 1, kDataset = 2;

constexpr size_t kImages = 3;

const data::Dataset& dataset() {
  static const data::Dataset made = {.spec = "made",
                                     .classes = {"cat", "dog"},
                                     .train = {{1, 1, 1}, Seed(kImages, 9), {0, 1, 1}},
                                     .content_hash = "0123"};
  return made;
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  const uint8_t flags = bytes[0];
  const std::vector<Bytes> pieces = split(bytes.subspan(1), kNames.size());
  for (size_t i = 0; i < kNames.size(); ++i) {
    const bool gone = (i == 1 && (flags & kNote) == 0) || (i == 2 && (flags & kDataset) == 0);
    if (gone)
      std::filesystem::remove(folder() / kNames[i]);
    else
      file(kNames[i], pieces[i]);
  }
  const engine::TeacherLogits logits = compress::load_teacher_logits(folder() / kNames[0], dataset());
  const auto classes = static_cast<size_t>(logits.classes);
  require(logits.images == kImages && classes == dataset().classes.size(), "they are the data's");
  require(logits.values.size() == logits.views.size() * kImages * classes, "there is a row for every view");
  require(std::ranges::all_of(logits.values, [](float value) { return std::isfinite(value); }),
          "they are finite");
  for (const int view : logits.views)
    require(data::view_number(data::view_place(view)) == view, "every view is one of ours");
  // As a curriculum takes them, and as they are kept in a search's folder.
  const auto plain = std::span(logits.values).first(kImages * classes);
  require(data::prediction_entropies(plain, classes).size() == kImages, "every image has its entropy");
  const std::filesystem::path kept = folder() / "kept" / kNames[0];
  compress::save_teacher_logits(kept, logits, dataset());
  const engine::TeacherLogits again = compress::load_teacher_logits(kept, dataset());
  require(again.values == logits.values && again.views == logits.views, "what is kept comes back");
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  const auto add = [&](uint8_t flags, std::string_view dtype, std::vector<int64_t> shape, const Seed& values,
                       std::string_view note) {
    data::write_npy(folder() / "seed.npy", dtype, shape, values);
    const Seed npy = read_file(folder() / "seed.npy");
    all.push_back((flags & kNote) != 0 ? join({npy, as_bytes(note), {}}) : join({npy, {}, as_bytes(note)}));
    all.back().insert(all.back().begin(), flags);
  };
  const auto floats = [](size_t views) {
    Seed bytes;
    for (size_t i = 0; i < views * kImages; ++i)
      for (const uint8_t high : {uint8_t{0x40}, uint8_t{0xbf}})
        bytes.insert(bytes.end(), {0, 0, static_cast<uint8_t>(i), high});
    return bytes;
  };
  constexpr std::string_view kOne = R"({"content_hash": "0123", "spec": "made", "classes": ["cat", "dog"]})";
  add(kNote, "<f4", {3, 2}, floats(1), kOne);
  add(kDataset, "<f4", {3, 2}, floats(1), R"({"data_sha256": "0123"})");
  add(kNote | kDataset, "<f4", {2, 3, 2}, floats(2), kOne);
  add(kNote, "<f4", {3, 3, 2}, floats(3),
      R"({"content_hash": "0123", "views": [{"down": 0, "right": 0, "mirrored": false},)"
      R"( {"down": 0, "right": 0, "mirrored": true}, {"down": -1, "right": 1, "mirrored": false}]})");
  add(kNote, "<f2", {3, 2}, {0, 60, 0, 0, 0, 188, 0, 64, 1, 0, 0, 60}, kOne);
  add(kNote, "<f8", {1, 3, 2}, Seed(48, 64), kOne);
  // Probabilities, and what is no number.
  add(kNote, "<f2", {3, 2}, {0, 60, 0, 0, 0, 56, 0, 56, 0, 0, 0, 60}, kOne);
  add(kNote, "<f2", {3, 2}, {0, 124, 0, 0, 0, 126, 0, 64, 1, 0, 0, 60}, kOne);
  add(kNote, "<i8", {3, 2}, Seed(48, 0), kOne);
  return all;
}

}  // namespace retort::fuzz
