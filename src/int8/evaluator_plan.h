// What an evaluator does, planned once for all its copies: steps in order, their packed weights, and the memory that
// holds each tensor. Private to the evaluator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "int8/evaluator_kernels.h"
#include "int8/evaluator_vnni.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

// Where an expanded input's windows begin, for a whole batch; the first n · rows are those of n images.
struct Windows {
  kernels::Border border;
  std::vector<uint32_t> origins;
  size_t rows = 0;  // an image
};

struct LayerStep {
  Windows windows;
  kernels::PackedLayer layer;
};
struct VnniLayerStep {
  Windows windows;
  kernels::vnni::Layer layer;
};
struct DepthwiseStep {
  Windows windows;
  kernels::PackedDepthwise layer;
};
struct VnniDepthwiseStep {
  Windows windows;  // of one image
  kernels::vnni::Depthwise layer;
};
struct PoolStep {
  WindowOp window;
  int filter_height = 0;
  int filter_width = 0;
  int height = 0;
  int width = 0;
  size_t channels = 0;
  graph::WindowGeometry placement;
  ValueRange range;
  bool is_average = false;
};
struct AddStep {
  AddParameters parameters;
};
struct VnniAddStep {
  kernels::vnni::Add add;
};
struct MeanStep {
  MeanParameters parameters;
  size_t channels = 0;
};
struct SoftmaxStep {
  ExponentialTable exponentials{};
  size_t row = 0;
};
struct TableStep {  // indexed by the byte as it lies in memory
  std::array<int8_t, 256> table{};
};
struct CopyStep {};

using Work = std::variant<LayerStep, VnniLayerStep, DepthwiseStep, VnniDepthwiseStep, PoolStep, AddStep,
                          VnniAddStep, MeanStep, SoftmaxStep, TableStep, CopyStep>;

struct Step {
  Work work;
  std::array<int, 2> inputs{-1, -1};
  int output = -1;
};

struct EvaluationPlan {
  std::vector<Step> steps;
  std::vector<size_t> elements;                 // of each tensor
  std::vector<int> slot;                        // of each tensor, the memory that holds it; −1: none
  std::vector<size_t> slot_elements;            // an image
  std::vector<std::vector<uint8_t>> constants;  // of each tensor that is constant and read as an activation
  int input = -1;
  int output = -1;
  // What each byte of an image enters as; nothing where that is the byte − 128.
  std::optional<ByteTable> input_table;
  size_t batch = 1;
  size_t most_expanded = 0;  // bytes of a layer's expanded input
  size_t most_channels = 0;

  // Of the tensors and of what layers need beside them: what one evaluator has for itself.
  [[nodiscard]] size_t memory_bytes() const;
};

// What a byte is on the grid of our files' inputs.
inline int8_t centred(uint8_t byte) {
  return static_cast<int8_t>(byte ^ 0x80U);
}

// Throws what Evaluator's constructor throws.
std::shared_ptr<const EvaluationPlan> plan_evaluation(const QuantGraph& graph);

}  // namespace retort::int8
