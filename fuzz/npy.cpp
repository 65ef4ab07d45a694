// NumPy files, alone and as a data set.
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "data/npy.h"
#include "data/reader.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr std::array<const char*, 5> kNames = {"x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy",
                                               "dataset.json"};
constexpr uint8_t kSkip = 1, kTest = 2, kResize = 4, kGray = 8, kLarge = 16, kDescribed = 32;

Seed npy(std::string_view dtype, std::vector<int64_t> shape, const Seed& bytes) {
  data::write_npy(folder() / "seed.npy", dtype, shape, bytes);
  return read_file(folder() / "seed.npy");
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  const uint8_t flags = bytes[0];
  const std::vector<Bytes> pieces = split(bytes.subspan(1), kNames.size());
  std::filesystem::remove(folder() / kNames[2]);
  std::filesystem::remove(folder() / kNames[3]);
  std::filesystem::remove(folder() / kNames[4]);
  for (size_t i = 0; i < ((flags & kTest) != 0 ? 4 : 2); ++i) file(kNames[i], pieces[i]);
  if ((flags & kDescribed) != 0) file(kNames[4], pieces[4]);
  try {
    const data::NpyArray array = data::read_npy(folder() / kNames[0]);
    require(static_cast<size_t>(array.count()) == array.as_float().size(),
            "there are as many values as its shape says");
    require(static_cast<size_t>(array.count()) == array.as_integer().size(), "there are as many integers");
  } catch (const Error&) {
  }
  std::string spec = "npy:" + folder().string();
  if ((flags & kResize) != 0) spec += (flags & kLarge) != 0 ? "?size=4096x8" : "?size=3x5";
  if ((flags & kGray) != 0) spec += (flags & kResize) != 0 ? "&gray=1" : "?gray=1";
  data::LoadOptions options{.threads = 1, .use_cache = false};
  options.bad_images = (flags & kSkip) != 0 ? data::BadImages::Skip : data::BadImages::Fail;
  const auto set = data::load_dataset(spec, options, silent_progress());
  require(set->train.pixels.size() == set->train.count() * set->train.shape.bytes(), "every image is whole");
}

std::vector<Seed> seeds() {
  const Seed x = npy("|u1", {3, 2, 2, 3}, Seed(36, 7));
  const Seed grey = npy("|u1", {3, 2, 2}, Seed(12, 7));
  const Seed floats = npy("<f4", {3, 1, 2},
                          {0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, 192, 127, 0, 0, 0, 1});
  const Seed y = npy("|u1", {3}, {0, 1, 1});
  const Seed wide =
      npy("<i8", {3, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  const Seed hot = npy("|u1", {3, 2}, {0, 1, 1, 0, 0, 1});
  const Seed half = npy("<f2", {3, 2}, {0, 0, 0, 60, 0, 60, 0, 0, 0, 0, 0, 60});
  std::vector<Seed> all;
  const auto add = [&](uint8_t flags, Seed pieces) {
    pieces.insert(pieces.begin(), flags);
    all.push_back(std::move(pieces));
  };
  add(0, join({x, y}));
  add(kTest, join({x, y, x, y}));
  add(kSkip, join({floats, wide}));
  add(kResize | kGray, join({x, hot}));
  add(kResize, join({floats, half}));
  add(kTest | kGray, join({grey, wide, grey, y}));
  add(kDescribed,
      join({x, y, {}, {}, as_bytes(R"({"classes": ["cat", "dog"], "range": {"low": 0, "high": 2.5}})")}));
  return all;
}

}  // namespace retort::fuzz
