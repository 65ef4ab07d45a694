#include "data/cache.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/sizes.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "numbers are stored as they lie in memory");

// The file: this start, a header, labels and pixels of both sets. The header is JSON because its parser does
// not recurse: no damage can overflow the stack. Class names, which need not be UTF-8, are arrays of bytes.
struct Start {
  std::array<char, 8> magic = {'R', 'E', 'T', 'D', 'A', 'T', 'A', '3'};
  uint64_t header_bytes = 0;
  uint64_t checksum = 0;  // CRC-32 of all that follows
};
static_assert(sizeof(Start) == 24);

// The names of as many classes as there may be take less.
constexpr uint64_t kMostHeaderBytes = uint64_t{64} << 20;

bool read_at(int file, uint64_t offset, std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return true;
}

uint64_t crc(uint64_t before, std::span<const uint8_t> bytes) {
  return bytes.empty() ? before
                       : crc32_z(before, bytes.data(), bytes.size());  // of a null pointer zlib's begins anew
}

// Reads a part of the file on all threads, each checking what it has just read, and appends to `checksum`.
bool read_part(int file, uint64_t offset, std::span<uint8_t> out, int threads, uint64_t& checksum) {
  constexpr size_t kPieceBytes = size_t{4} << 20;
  std::vector<uint64_t> sums((out.size() + kPieceBytes - 1) / kPieceBytes);
  const auto piece = [&](size_t i) {
    return out.subspan(i * kPieceBytes, std::min(kPieceBytes, out.size() - i * kPieceBytes));
  };
  std::atomic<bool> complete = true;
  parallel_for(sums.size(), 1, threads, [&](size_t i) {
    if (!read_at(file, offset + i * kPieceBytes, piece(i))) complete = false;
    sums[i] = crc(0, piece(i));
  });
  for (size_t i = 0; i < sums.size(); ++i)
    checksum = crc32_combine(checksum, sums[i], static_cast<z_off_t>(piece(i).size()));
  return complete;
}

Json describe(const ImageSet& set) {
  return {{"count", set.count()},
          {"height", set.shape.height},
          {"width", set.shape.width},
          {"channels", set.shape.channels}};
}

std::span<const uint8_t> label_bytes(const ImageSet& set) {
  return {reinterpret_cast<const uint8_t*>(set.labels.data()), set.labels.size() * sizeof(uint16_t)};
}

// Bytes that the described set takes, or nothing when the numbers can't be true.
std::optional<uint64_t> set_bytes(const Json& description, uint64_t file_bytes, ImageSet& set,
                                  uint64_t& count) {
  count = description.at("count").get<uint64_t>();
  set.shape = {description.at("height").get<int>(), description.at("width").get<int>(),
               description.at("channels").get<int>()};
  constexpr int kMaxSide = 1 << 16;  // keeps the products below 2⁶⁴
  for (const int side : {set.shape.height, set.shape.width, set.shape.channels})
    if (side < 0 || side > kMaxSide) return std::nullopt;
  const uint64_t image_bytes = set.shape.bytes() + sizeof(uint16_t);
  if (count > file_bytes / image_bytes) return std::nullopt;
  return count * image_bytes;
}

}  // namespace

std::optional<Dataset> read_cache(const fs::path& path, std::string_view key, int threads) {
  std::error_code error;
  const uint64_t file_bytes = fs::file_size(path, error);
  if (error) return std::nullopt;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Start start;
  if (!file.is_open() || !read_at(file.get(), 0, {reinterpret_cast<uint8_t*>(&start), sizeof start}) ||
      start.magic != Start{}.magic || start.header_bytes > std::min(file_bytes, kMostHeaderBytes))
    return std::nullopt;
  uint64_t checksum = 0;
  uint64_t at = sizeof start;
  const auto read_next = [&](std::span<uint8_t> out) {
    const bool complete = read_part(file.get(), at, out, threads, checksum);
    at += out.size();
    return complete;
  };
  std::vector<uint8_t> header_text(start.header_bytes);
  if (!read_next(header_text)) return std::nullopt;
  try {
    const Json header = Json::parse(header_text);
    if (header.at("key") != key) return std::nullopt;
    Dataset dataset;
    for (const Json& name : header.at("classes")) {
      std::string& text = dataset.classes.emplace_back();
      for (const Json& byte : name) text.push_back(static_cast<char>(byte.get<uint8_t>()));
    }
    dataset.range = {header.at("low"), header.at("high")};
    dataset.skipped = header.at("skipped").get<decltype(dataset.skipped)>();
    dataset.content_hash = header.at("content_hash");
    std::array<uint64_t, 2> counts{};
    const auto train_bytes = set_bytes(header.at("train"), file_bytes, dataset.train, counts[0]);
    const auto test_bytes = set_bytes(header.at("test"), file_bytes, dataset.test, counts[1]);
    if (!train_bytes || !test_bytes || at + *train_bytes + *test_bytes != file_bytes) return std::nullopt;
    require_memory(*train_bytes + *test_bytes, path.string() + ": its images");
    size_t part = 0;
    for (ImageSet* set : {&dataset.train, &dataset.test}) {
      set->labels.resize(counts[part]);
      set->pixels.resize(counts[part] * set->shape.bytes());
      ++part;
      if (!read_next(
              {reinterpret_cast<uint8_t*>(set->labels.data()), set->labels.size() * sizeof(uint16_t)}) ||
          !read_next(set->pixels))
        return std::nullopt;
    }
    if (checksum != start.checksum) return std::nullopt;
    return dataset;
  } catch (const Json::exception&) {
    return std::nullopt;  // damaged
  }
}

void write_cache(const fs::path& path, std::string_view key, const Dataset& dataset) {
  remove_temporaries(path.parent_path(), kStaleAge);
  Json classes = Json::array();
  for (const std::string& name : dataset.classes)
    classes.push_back(std::vector<uint8_t>(name.begin(), name.end()));
  const std::string header = dump_json(Json({{"key", key},
                                             {"classes", classes},
                                             {"low", dataset.range.low},
                                             {"high", dataset.range.high},
                                             {"skipped", dataset.skipped},
                                             {"content_hash", dataset.content_hash},
                                             {"train", describe(dataset.train)},
                                             {"test", describe(dataset.test)}}));
  Start start;
  start.header_bytes = header.size();
  const std::array<std::span<const uint8_t>, 6> pieces = {
      {{reinterpret_cast<const uint8_t*>(&start), sizeof start},
       {reinterpret_cast<const uint8_t*>(header.data()), header.size()},
       label_bytes(dataset.train),
       dataset.train.pixels,
       label_bytes(dataset.test),
       dataset.test.pixels}};
  for (const std::span<const uint8_t> piece : std::span(pieces).subspan(1))
    start.checksum = crc(start.checksum, piece);
  write_pieces_atomic(path, pieces);
}

}  // namespace retort::data
