// The accuracy of an int8 network: the number that is reported and ranked.
#pragma once

#include <cstdint>
#include <span>

#include "int8/quant_graph.h"

namespace retort::int8 {

struct EvalResult {
  size_t images = 0;
  size_t correct = 0;
  double accuracy = 0;  // correct / images; 0 without images
  double images_per_second = 0;
};

// The class with the largest output, the first of equals.
int predicted_class(std::span<const int8_t> outputs);

// Runs `graph` on all images on up to `threads` threads. `images` holds labels.size() images of the network's
// input size, as bytes (Evaluator says what they stand for); labels count from 0. Throws Error(Usage) when
// sizes do not fit or the graph cannot be evaluated.
EvalResult evaluate(const QuantGraph& graph, std::span<const uint8_t> images,
                    std::span<const uint16_t> labels, int threads);

// All outputs, images × outputs, before any DEQUANTIZE. `outputs` must have that size.
void run_all(const QuantGraph& graph, std::span<const uint8_t> images, size_t count, int threads,
             std::span<int8_t> outputs);

}  // namespace retort::int8
