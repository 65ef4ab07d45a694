#include "data/cache.h"

#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace retort::data {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "numbers are stored as they lie in memory");

// The file: magic, length of the header, header (CBOR: class names need not be UTF-8), labels and pixels of
// both sets.
constexpr std::array<char, 8> kMagic = {'R', 'E', 'T', 'D', 'A', 'T', 'A', '1'};

json describe(const ImageSet& set) {
  return {{"count", set.count()},
          {"height", set.shape.height},
          {"width", set.shape.width},
          {"channels", set.shape.channels}};
}

std::span<const uint8_t> label_bytes(const ImageSet& set) {
  return {reinterpret_cast<const uint8_t*>(set.labels.data()), set.labels.size() * sizeof(uint16_t)};
}

// Bytes that the described set takes, or nothing when the numbers can't be true.
std::optional<uint64_t> set_bytes(const json& description, uint64_t file_bytes, ImageSet& set,
                                  uint64_t& count) {
  count = description.at("count");
  set.shape = {description.at("height"), description.at("width"), description.at("channels")};
  constexpr int kMaxSide = 1 << 16;  // keeps the products below 2⁶⁴
  for (const int side : {set.shape.height, set.shape.width, set.shape.channels})
    if (side < 0 || side > kMaxSide) return std::nullopt;
  const uint64_t image_bytes = set.shape.bytes() + sizeof(uint16_t);
  if (count > file_bytes / image_bytes) return std::nullopt;
  return count * image_bytes;
}

}  // namespace

std::optional<Dataset> read_cache(const std::filesystem::path& path, std::string_view key) {
  std::error_code error;
  const uint64_t file_bytes = std::filesystem::file_size(path, error);
  if (error) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::array<char, 8> magic{};
  uint64_t header_bytes = 0;
  file.read(magic.data(), magic.size());
  file.read(reinterpret_cast<char*>(&header_bytes), sizeof header_bytes);
  if (!file || magic != kMagic || header_bytes > file_bytes) return std::nullopt;
  std::vector<uint8_t> header_text(header_bytes);
  file.read(reinterpret_cast<char*>(header_text.data()), static_cast<std::streamsize>(header_bytes));
  if (!file) return std::nullopt;
  try {
    const json header = json::from_cbor(header_text);
    if (header.at("key") != key) return std::nullopt;
    Dataset dataset;
    for (const json& name : header.at("classes")) {
      const auto& bytes = name.get_binary();
      dataset.classes.emplace_back(bytes.begin(), bytes.end());
    }
    dataset.range = {header.at("low"), header.at("high")};
    dataset.skipped = header.at("skipped");
    dataset.content_hash = header.at("content_hash");
    std::array<uint64_t, 2> counts{};
    const auto train_bytes = set_bytes(header.at("train"), file_bytes, dataset.train, counts[0]);
    const auto test_bytes = set_bytes(header.at("test"), file_bytes, dataset.test, counts[1]);
    if (!train_bytes || !test_bytes ||
        magic.size() + sizeof header_bytes + header_bytes + *train_bytes + *test_bytes != file_bytes)
      return std::nullopt;
    size_t part = 0;
    for (ImageSet* set : {&dataset.train, &dataset.test}) {
      set->labels.resize(counts[part]);
      set->pixels.resize(counts[part] * set->shape.bytes());
      ++part;
      file.read(reinterpret_cast<char*>(set->labels.data()),
                static_cast<std::streamsize>(set->labels.size() * sizeof(uint16_t)));
      file.read(reinterpret_cast<char*>(set->pixels.data()),
                static_cast<std::streamsize>(set->pixels.size()));
    }
    if (!file || content_hash(dataset) != dataset.content_hash) return std::nullopt;
    return dataset;
  } catch (const json::exception&) {
    return std::nullopt;  // damaged
  }
}

void write_cache(const std::filesystem::path& path, std::string_view key, const Dataset& dataset) {
  json classes = json::array();
  for (const std::string& name : dataset.classes)
    classes.push_back(json::binary(std::vector<uint8_t>(name.begin(), name.end())));
  const std::vector<uint8_t> header = json::to_cbor({{"key", key},
                                                     {"classes", classes},
                                                     {"low", dataset.range.low},
                                                     {"high", dataset.range.high},
                                                     {"skipped", dataset.skipped},
                                                     {"content_hash", dataset.content_hash},
                                                     {"train", describe(dataset.train)},
                                                     {"test", describe(dataset.test)}});
  std::array<uint8_t, 16> start{};
  const uint64_t header_bytes = header.size();
  std::memcpy(start.data(), kMagic.data(), kMagic.size());
  std::memcpy(start.data() + kMagic.size(), &header_bytes, sizeof header_bytes);
  const std::array<std::span<const uint8_t>, 6> pieces = {start,
                                                          header,
                                                          label_bytes(dataset.train),
                                                          dataset.train.pixels,
                                                          label_bytes(dataset.test),
                                                          dataset.test.pixels};
  write_pieces_atomic(path, pieces);
}

}  // namespace retort::data
