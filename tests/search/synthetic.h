// A small data set that tiny networks learn in a few epochs.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "search/settings.h"
#include "temporary_folder.h"

namespace retort::search {

// Bright bars in one of three directions on noise, size × size, grey.
inline data::ImageSet bars(int count, int size, Rng rng) {
  data::ImageSet set;
  set.shape = {size, size, 1};
  for (int i = 0; i < count; ++i) {
    const auto label = static_cast<uint16_t>(i % 3);
    const int at = static_cast<int>(rng.below(static_cast<uint32_t>(size)));
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        const bool bright = label == 0 ? y == at : label == 1 ? x == at : (x + y) % size == at;
        const int value = (bright ? 170 : 40) + static_cast<int>(rng.below(80)) - 40;
        set.pixels.push_back(static_cast<uint8_t>(value));
      }
    set.labels.push_back(label);
  }
  return set;
}

inline data::Dataset synthetic(int train = 300, int test = 60, int size = 8, uint64_t seed = 1) {
  data::Dataset dataset;
  dataset.spec = "synthetic";
  dataset.classes = {"across", "down", "slanted"};
  dataset.train = bars(train, size, Rng(seed).fork("train"));
  dataset.test = bars(test, size, Rng(seed).fork("test"));
  dataset.content_hash = std::to_string(seed) + "-" + std::to_string(train) + "-" + std::to_string(size);
  return dataset;
}

// Three tiny structures without a teacher, `epochs` in each stage of training, one run of the best.
inline SearchSettings three_structures(int epochs) {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = {"1,1,8,0", "1,1,16,0", "1,1,8,1,8"};
  settings.teacher.kind = TeacherKind::None;
  settings.pipeline.batch_size = 16;
  settings.pipeline.gate = 0;
  settings.pipeline.curriculum = compress::Curriculum::None;
  settings.pipeline.quick_epochs = epochs;
  settings.pipeline.distill_epochs = epochs;
  settings.pipeline.pruning.update_every = 2;
  settings.pipeline.qat_epochs = epochs;
  settings.finalist_seeds = 1;
  return settings;
}

// The sentence and code of the Error that `body` throws; an empty sentence when it throws none.
struct Thrown {
  std::string sentence;
  ErrorCode code = ErrorCode::Failure;
};
template <typename Body>
Thrown thrown_by(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.what(), error.code()};
  }
  return {};
}

}  // namespace retort::search
