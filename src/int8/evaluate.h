// An int8 network's outputs and accuracy on many images: the numbers that are reported and ranked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "int8/evaluator.h"

namespace retort::int8 {

// The class with the largest output, the first of equals.
int predicted_class(std::span<const int8_t> outputs);

// Images that lie one after another, as bytes (Evaluator says what they stand for), and which of them to run:
// by index, in this order.
struct Selection {
  std::span<const uint8_t> images;
  std::span<const uint32_t> indices;
};

// The outputs of the selected images, indices × outputs, before any DEQUANTIZE, on up to `threads` threads
// (0: all cores): this one runs the evaluator, the others copies of it, as many as there is memory for. `between` is called on the caller's thread after every stretch of images, with how many are
// done; what it throws ends the run. Throws Error(Usage) when an index lies behind the images or these are no
// whole number of the network's inputs.
std::vector<int8_t> run_all(Evaluator& evaluator, const Selection& selection, int threads,
                            const std::function<void(size_t done)>& between = {});

// The same outputs as a file gives them that ends in a DEQUANTIZE to float32; nothing where its output is int8, as
// run_all has it.
std::optional<std::vector<float>> real_outputs(const QuantGraph& graph, std::span<const int8_t> outputs);

// Share of the images (by index into `labels`, as they were run) whose predicted class is their label; 0
// without images.
double accuracy(std::span<const int8_t> outputs, std::span<const uint32_t> indices,
                std::span<const uint16_t> labels);

}  // namespace retort::int8
