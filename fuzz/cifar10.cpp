// CIFAR-10's binary files: the classes' names, records with any labels, a truncated last one.
#include <algorithm>
#include <array>

#include "data/reader.h"
#include "target.h"

namespace retort::fuzz {

// The input: how the folder is asked for, the names, then the labels of records, which would else be 3,073 bytes each.
void run(Bytes bytes) {
  if (bytes.empty()) return;
  const uint8_t flags = bytes[0];
  const std::vector<Bytes> pieces = split(bytes.subspan(1), 3);
  const auto batch = [](Bytes labels, size_t missing) {
    constexpr size_t kRecord = 3073;
    constexpr size_t kMostRecords = 4;
    std::vector<uint8_t> records;
    for (const uint8_t label : labels.first(std::min(labels.size(), kMostRecords)))
      records.insert(records.end(), kRecord, label);
    records.resize(records.size() - std::min(missing, records.size()));
    return records;
  };
  static const bool written = [&] {
    // Every class has an image.
    file("data_batch_2.bin", batch(Seed{0, 1, 2}, 0));
    file("data_batch_3.bin", batch(Seed{3, 4, 5}, 0));
    file("data_batch_4.bin", batch(Seed{6, 7}, 0));
    file("data_batch_5.bin", batch(Seed{8, 9}, 0));
    return true;
  }();
  require(written, "the other batches are there");
  if (pieces[0].empty())
    std::filesystem::remove(folder() / "batches.meta.txt");
  else
    file("batches.meta.txt", pieces[0]);
  file("data_batch_1.bin", batch(pieces[1], flags >> 4U));
  file("test_batch.bin", batch(pieces[2], 0));
  data::LoadOptions options{.threads = 1, .use_cache = false};
  options.bad_images = (flags & 1) != 0 ? data::BadImages::Skip : data::BadImages::Fail;
  const std::string spec = "cifar10:" + folder().string() + ((flags & 2) != 0 ? "?size=2x2&gray=1" : "");
  const auto set = data::load_dataset(spec, options, silent_progress());
  require(set->train.pixels.size() == set->train.count() * set->train.shape.bytes(), "every image is whole");
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  for (const uint8_t flags : std::array<uint8_t, 4>{0, 3, 0x11, 0x10}) {
    all.push_back(join({as_bytes("a\nb\r\nc \nd\ne\nf\ng\nh\ni\nj\n"), Seed{0, 1, 9}, Seed{3}}));
    all.back().insert(all.back().begin(), flags);
  }
  all.push_back({1, 0, 0, 2, 0, 9, 200, 1, 1});
  return all;
}

}  // namespace retort::fuzz
