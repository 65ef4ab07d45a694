// Runs an int8 network over many images, fast: the same bytes as Interpreter.
//
// On x86 with AVX-512 VNNI, layers multiply bytes in fours (evaluator_vnni.h). Elsewhere convolutions and
// dense layers widen to 16 bits and use the 16-bit multiply-add, whose 32-bit sums are exact, and depthwise
// convolutions run on floats that hold integers below 2^24 (evaluator_kernels.h). Layers run over a few
// images at a time, so that a layer's tensors stay in the cache, and a 2×2 max-pool is part of the
// convolution before it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "int8/quant_graph.h"

namespace retort::int8 {

struct EvaluationPlan;

class Evaluator {
 public:
  // The graph must have one input and one output; a float32 input is read by QUANTIZE alone, and a float32
  // output is made by DEQUANTIZE. Throws Error(Usage) otherwise and when the graph does not pass `check`, and
  // Error(Failure) when its layers or tensors would take more than 256 MiB, or than there is left.
  explicit Evaluator(const QuantGraph& graph);
  ~Evaluator();
  // A copy shares the packed weights and has its own working memory: one evaluator a thread.
  Evaluator(const Evaluator& other);
  Evaluator& operator=(const Evaluator&) = delete;

  [[nodiscard]] size_t image_bytes() const;   // elements of the input
  [[nodiscard]] size_t outputs() const;       // elements of the output
  [[nodiscard]] size_t memory_bytes() const;  // that a copy takes

  // A byte b of an image stands for b / 255. An int8 input gets the nearest value of its own grid, which is
  // b − 128 in our files (scale 1/255, zero point −128); a float32 input gets b / 255, which its QUANTIZE
  // then rounds. `outputs` receives count × outputs() int8 values: those before DEQUANTIZE when the ends are
  // float. Throws Error(Usage) when a size does not fit.
  void run(std::span<const uint8_t> images, size_t count, std::span<int8_t> outputs);
  // The images of these indices, which must lie within `images`: indices × outputs() values.
  void run(std::span<const uint8_t> images, std::span<const uint32_t> indices, std::span<int8_t> outputs);

 private:
  template <typename ImageAt>
  void run_batches(size_t count, const ImageAt& image_at, std::span<int8_t> outputs);

  struct Memory;
  std::shared_ptr<const EvaluationPlan> plan_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace retort::int8
