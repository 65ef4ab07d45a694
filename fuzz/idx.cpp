// Folders of IDX files, gzipped or not.
#include <array>

#include "data/fixtures.h"
#include "data/reader.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr std::array<const char*, 4> kNames = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                               "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
// What is asked of the reader, by the bits of the first byte.
constexpr uint8_t kSkip = 1, kTest = 2, kGzip = 4, kResize = 8, kColour = 16;

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  const uint8_t flags = bytes[0];
  const std::vector<Bytes> pieces = split(bytes.subspan(1), kNames.size());
  for (size_t i = 0; i < kNames.size(); ++i) {
    const bool gone = i >= 2 && (flags & kTest) == 0;
    if (gone)
      std::filesystem::remove(folder() / kNames[i]);
    else if ((flags & kGzip) != 0)
      file(kNames[i], data::gzip(pieces[i]));
    else
      file(kNames[i], pieces[i]);
  }
  std::string spec = "idx:" + folder().string();
  if ((flags & kResize) != 0) spec += "?size=4x3";
  if ((flags & kColour) != 0) spec += (flags & kResize) != 0 ? "&gray=0" : "?gray=0";
  data::LoadOptions options{.threads = 1, .use_cache = false};
  options.bad_images = (flags & kSkip) != 0 ? data::BadImages::Skip : data::BadImages::Fail;
  const auto set = data::load_dataset(spec, options, silent_progress());
  require(set->train.pixels.size() == set->train.count() * set->train.shape.bytes(), "every image is whole");
}

std::vector<Seed> seeds() {
  const std::array<uint32_t, 3> images = {4, 2, 3};
  const std::array<uint32_t, 1> labels = {4};
  const Seed x = data::encode_idx(images, std::vector<uint8_t>(24, 9));
  const Seed y = data::encode_idx(labels, std::vector<uint8_t>{0, 1, 2, 1});
  std::vector<Seed> all;
  for (const uint8_t flags : std::array<uint8_t, 6>{0, 2, 6, 11, 16, 31}) {
    all.push_back(join({x, y, x, y}));
    all.back().insert(all.back().begin(), flags);
  }
  all.push_back(join({data::gzip(x), y}));
  all.back().insert(all.back().begin(), 0);
  return all;
}

}  // namespace retort::fuzz
