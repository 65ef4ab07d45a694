// What a model says of images. Private to this room.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "data/dataset.h"

namespace retort::search {

// Of images by index: a guess each, and a row of `classes` probabilities each.
struct Answers {
  int classes = 0;
  std::vector<uint32_t> indices;
  std::vector<int> guesses;
  std::vector<float> probabilities;
  double accuracy = 0;
  [[nodiscard]] std::span<const float> row(size_t i) const {
    return {probabilities.data() + i * static_cast<size_t>(classes), static_cast<size_t>(classes)};
  }
};

// Of a .tflite file, by the bit-exact evaluator: its softmax's values, or where it ends without one the softmax
// of what it gives. Guesses are the evaluator's. Throws Error(Interrupted) when stopped.
Answers int8_answers(std::span<const uint8_t> tflite, const data::ImageSet& images,
                     std::span<const uint32_t> indices, std::stop_token stop);

// Logits to probabilities.
std::vector<float> softmax(std::span<const float> logits);

}  // namespace retort::search
