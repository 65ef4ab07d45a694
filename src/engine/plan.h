// A graph for a fixed number of images: operations in order over one arena.
//
// Time runs through the forward pass, the loss and the backward pass; every tensor and gradient holds its
// part of the arena only as long as something will still read it, and operations that may work in place do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/network.h"
#include "engine/plan_layout.h"
#include "engine/plan_lowering.h"
#include "engine/plan_memory.h"
#include "engine/plan_operations.h"

namespace retort::engine {

// The network's numbers, which all its plans share, as ParameterLayout says.
struct ParameterArrays {
  float* values = nullptr;
  float* gradients = nullptr;
};

class Plan {
 public:
  // `graph` and `layout` must outlive the plan.
  Plan(const graph::Graph& graph, const ParameterLayout& layout, const ParameterArrays& parameters,
       PlanMode mode, int images, const CompileOptions& options);

  // arena_bytes() of such a plan, which is not made.
  static size_t needed_bytes(const graph::Graph& graph, const ParameterLayout& layout, PlanMode mode,
                             int images, const CompileOptions& options);

  [[nodiscard]] int images() const { return images_; }
  [[nodiscard]] size_t arena_bytes() const { return arena_.bytes(); }
  [[nodiscard]] std::vector<std::string> describe() const;

  // Training mode. The batch has images() images. Gradients are overwritten.
  StepResult train(const Batch& batch, const Objective& objective, Rng& rng);
  // Training mode. The forward pass again, operation by operation: the node of the first whose output is not finite;
  // −1: none.
  int first_output_not_finite(std::span<const uint8_t> images, Rng rng);
  // Inference mode. At most images() images; logits: count × classes.
  void infer(std::span<const uint8_t> images, std::span<float> logits);

 private:
  // What is to be done with an operation's gradient after it ran, besides what it wrote itself.
  enum class TransferKind { Copy, Accumulate };
  struct Transfer {
    TransferKind kind = TransferKind::Copy;
    size_t count = 0;
    const float* from = nullptr;
    float* to = nullptr;
  };
  struct BackwardStep {
    Operation* operation = nullptr;
    std::vector<Transfer> transfers;
  };
  class Builder;

  Plan(const graph::Graph& graph, PlanMode mode, int images,
       const CompileOptions& options);  // without operations

  // Floats of the buffer that holds a node's values.
  [[nodiscard]] size_t value_count(int node) const;

  const graph::Graph& graph_;
  LoweredGraph lowered_;
  PlanMode mode_;
  int images_;
  int classes_ = 0;
  size_t logits_stride_ = 0;
  Arena arena_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<BackwardStep> backward_;
  float* logits_ = nullptr;
  float* logits_gradient_ = nullptr;
};

}  // namespace retort::engine
