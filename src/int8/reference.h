// The reference interpreter: plain loops, the same output as TensorFlow Lite Micro's reference kernels bit
// for bit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::int8 {

class Interpreter {
 public:
  // Throws Error(Usage) when the graph does not pass `check`.
  explicit Interpreter(QuantGraph graph);

  // Raw bytes of the graph's inputs and outputs, one after the other in the graph's order: int8, or float32
  // little endian. Throws Error(Usage) when a size does not fit.
  void invoke(std::span<const uint8_t> input_bytes, std::span<uint8_t> output_bytes);

  [[nodiscard]] int64_t input_bytes() const;
  [[nodiscard]] int64_t output_bytes() const;
  [[nodiscard]] const QuantGraph& graph() const { return graph_; }
  // A tensor's bytes as the last invoke left them; constants included.
  [[nodiscard]] std::span<const uint8_t> tensor(int index) const {
    return values_.at(static_cast<size_t>(index));
  }

 private:
  QuantGraph graph_;
  std::vector<std::vector<uint8_t>> values_;  // of each tensor
};

}  // namespace retort::int8
