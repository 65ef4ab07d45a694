// What the kernels of our C code do for each operator, in the numbers of repetitions that their instructions
// follow from; private to this room.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cost/c_plan.h"
#include "int8/quant_graph.h"

namespace retort::cost {

// Depthwise convolutions of 3 × 3 have a kernel of their own in the variant for DSP instructions.
enum class CKernel {
  Conv2D,
  Depthwise3x3,
  Depthwise,
  FullyConnected,
  MaxPool,
  AveragePool,
  Add,
  Mean,
  Softmax,
  LookUp,
  Quantize,
  Dequantize,
  Reshape
};
inline constexpr size_t kCKernels = 13;
std::string_view to_string(CKernel kernel);

struct CWork {
  CKernel kernel = CKernel::Reshape;
  std::vector<double> counts;  // what each means: c_work.cpp; the last is 1, for the call
};

// One an operator.
std::vector<CWork> c_work(const int8::QuantGraph& graph, const CPlan& plan);

// DSP: Cortex-M4 and its like; Plain: the variant in plain C, on the same.
enum class CVariant { Dsp, Plain };
// Of a Cortex-M4 at -O2.
double c_instructions(const std::vector<CWork>& work, CVariant variant);
// Cycles that come on top of what a board takes for its usual mix of instructions: loads of four registers at
// once, a third of what a convolution's inner loop takes.
double c_extra_cycles(const std::vector<CWork>& work, CVariant variant);

}  // namespace retort::cost
