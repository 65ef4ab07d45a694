// What a search's report shows beyond numbers: which test images the exported model gets wrong, and which labels
// its teacher doubts. It is found at the end of a search, while that has the images, and kept in the study's
// folder as analysis.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/thumbnail.h"

namespace retort::search {

// A picture and what was said of it.
struct ShownImage {
  // Within Dataset::test where the data has a test set of its own and the picture is of that, else within
  // Dataset::train.
  uint32_t index = 0;
  std::string file;  // its path within the data's folder, where it has one
  int label = 0;     // class, as the data has it
  int guess = 0;     // as the network has it
  double guess_probability = 0;
  double label_probability = 0;
  data::Thumbnail picture;
};

struct Mistakes {
  int64_t images = 0;                           // of the test set
  std::vector<std::vector<int64_t>> confusion;  // [label][guess]
  std::vector<ShownImage> most_confident;       // of the wrong ones those with the largest guess_probability
};

// One part of the training set's images, and which of them the teacher takes for mislabelled (confident
// learning: docs/report.md).
struct DoubtedLabels {
  int64_t images = 0;
  int64_t doubted = 0;
  std::vector<ShownImage> most;  // by how much more probable the guess is than the label
};

struct Analysis {
  // The model whose mistakes they are.
  int trial = -1;
  uint64_t seed = 0;
  Mistakes mistakes;
  // Nothing without a teacher.
  struct LabelCheck {
    DoubtedLabels validation;  // the teacher has not been trained on these
    DoubtedLabels train;       // on these it may have been
  };
  std::optional<LabelCheck> labels;
};

void save_analysis(const std::filesystem::path& folder, const Analysis& analysis);
// Nothing where there is none (studies of earlier versions, searches that have not ended). Error(Failure) when it
// is damaged.
std::optional<Analysis> load_analysis(const std::filesystem::path& folder);

}  // namespace retort::search
