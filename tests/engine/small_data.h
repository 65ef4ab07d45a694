// A data set that small networks learn in a few epochs: each class is a bright block at its own place, under
// noise.
#pragma once

#include <numeric>
#include <vector>

#include "base/rng.h"
#include "data/dataset.h"
#include "graph/graph.h"

namespace retort::engine {

inline data::ImageSet small_images(size_t count, int classes, Rng rng) {
  data::ImageSet images;
  images.shape = {6, 6, 1};
  for (size_t i = 0; i < count; ++i) {
    const auto label = rng.below(static_cast<uint32_t>(classes));
    images.labels.push_back(static_cast<uint16_t>(label));
    for (uint32_t cell = 0; cell < 36; ++cell) {
      const bool bright = cell / 6 / 2 == label % 3 && cell % 6 / 3 == label / 3 % 2;
      images.pixels.push_back(static_cast<uint8_t>(rng.below(150) + (bright ? 60 : 0)));
    }
  }
  return images;
}

inline data::Dataset small_dataset(size_t count = 120, int classes = 4, uint64_t seed = 5) {
  data::Dataset dataset;
  dataset.spec = "small";
  for (int i = 0; i < classes; ++i) dataset.classes.push_back(std::to_string(i));
  dataset.train = small_images(count, classes, Rng(seed).fork("train"));
  dataset.content_hash = "hash of seed " + std::to_string(seed);
  return dataset;
}

inline std::vector<uint32_t> range_of_indices(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> indices(end - begin);
  std::iota(indices.begin(), indices.end(), begin);
  return indices;
}

// conv 3×3 → batch norm → ReLU → max pool → dropout → flatten → dense.
inline graph::Graph small_graph(int classes = 4) {
  graph::Graph graph({6, 6, 1, false});
  graph::Conv conv;
  conv.filters = 4;
  graph.add(conv);
  graph.add(graph::BatchNorm{});
  graph.add(graph::Relu{});
  graph.add(graph::MaxPool{});
  graph.add(graph::Dropout{0.2F});
  graph.add(graph::Flatten{});
  graph::Dense dense;
  dense.units = classes;
  graph.add(dense);
  graph.add(graph::Softmax{});
  return graph;
}

}  // namespace retort::engine
