// The operations that a plan runs. Each knows what memory it needs when it is made, is bound to it once, and
// then only computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/plan_layout.h"
#include "engine/plan_lowering.h"

namespace retort::engine {

// What an operation needs to know of its place. References must outlive the operation.
struct OperationSite {
  const graph::Graph& graph;
  const LoweredGraph& lowered;
  const ParameterLayout& layout;
  const LoweredOperation& operation;
  PlanMode mode = PlanMode::Training;
  int images = 0;
  int threads = 1;
  Precision precision = Precision::Float32;
  bool input_gradient = false;  // whether anything before it learns
};

enum class OutputUse {  // the more, the greater
  None,
  Sign,  // only where it is positive
  Values,
};

struct MemoryNeeds {
  size_t kept_bytes = 0;       // from forward to backward
  size_t workspace_bytes = 0;  // within a call
  bool backward_reads_input = false;
  OutputUse backward_reads_output = OutputUse::None;
  bool forward_in_place = false;   // the output may be the (first) input
  bool keeps_signs = false;        // in place, what was positive stays so or gets no gradient
  bool backward_in_place = false;  // the gradient handed back is the one that came in, changed where it lies
};

// Pointers into a plan's arena and the network's parameters; null for what does not exist. Gradients of the
// output may be changed.
struct OperationMemory {
  const float* inputs[2] = {nullptr, nullptr};
  float* output = nullptr;
  float* output_gradient = nullptr;
  float* input_gradient = nullptr;  // of the first input; Add hands its own back unchanged
  std::byte* kept = nullptr;
  std::byte* workspace = nullptr;
  float* parameters = nullptr;           // all, as ParameterLayout says
  float* parameter_gradients = nullptr;  // the learned ones
};

struct StepInput {
  const uint8_t* images = nullptr;
  int count = 0;       // images given; fewer than the plan's only in inference
  Rng* rng = nullptr;  // training only
};

class Operation {
 public:
  virtual ~Operation() = default;
  [[nodiscard]] virtual MemoryNeeds needs() const = 0;
  virtual void bind(const OperationMemory& memory) { memory_ = memory; }
  virtual void forward(const StepInput& step) = 0;
  virtual void backward() {}
  [[nodiscard]] const float* output() const { return memory_.output; }
  // What it computes and by which implementation.
  [[nodiscard]] virtual std::string describe() const = 0;

 protected:
  OperationMemory memory_;
};

std::unique_ptr<Operation> make_operation(const OperationSite& site);

}  // namespace retort::engine
