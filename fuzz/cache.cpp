// Decoded data sets as they are cached, with the checksum made right.
#include <zlib.h>

#include <cstring>

#include "base/file.h"
#include "data/cache.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr std::string_view kKey = "key";
constexpr size_t kStart = 24;  // magic, length of the header, checksum

}  // namespace

void run(Bytes bytes) {
  std::vector<uint8_t> sealed(bytes.begin(), bytes.end());
  if (sealed.size() > kStart) {
    const uint64_t checksum = crc32_z(0, sealed.data() + kStart, sealed.size() - kStart);
    std::memcpy(sealed.data() + 16, &checksum, sizeof checksum);
  }
  const auto set = data::read_cache(file("set.images", sealed), kKey, 1);
  if (!set) return;
  require(set->train.pixels.size() == set->train.count() * set->train.shape.bytes(), "every image is whole");
}

std::vector<Seed> seeds() {
  data::Dataset set;
  set.classes = {"cat", "dog"};
  set.train = {.shape = {2, 2, 1}, .pixels = std::vector<uint8_t>(8, 5), .labels = {0, 1}};
  set.test = {.shape = {2, 2, 1}, .pixels = std::vector<uint8_t>(4, 5), .labels = {1}};
  set.content_hash = "0";
  data::write_cache(folder() / "seed.images", kKey, set);
  return {read_file(folder() / "seed.images")};
}

}  // namespace retort::fuzz
