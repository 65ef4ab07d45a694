// Sizes and alignments of TensorFlow Lite Micro's structures on each target; private to this room.
#pragma once

#include <cstdint>

#include "cost/arena.h"
#include "int8/quant_graph.h"

namespace retort::cost {

struct Layout {
  int64_t bytes = 0;
  int64_t alignment = 1;
};

struct AbiTable {
  // The allocator's own, in order of allocation.
  Layout arena_allocator;
  Layout memory_planner;
  Layout micro_allocator;
  Layout builtin_data_allocator;
  Layout subgraph_allocations;
  Layout eval_tensor;            // one a tensor
  Layout node_and_registration;  // one an operator
  Layout scratch_handle;         // one a scratch buffer
  int64_t pointer_bytes = 0;     // of the arrays of input and output tensors
  Layout tensor;                 // TfLiteTensor
  Layout affine_quantization;
  // Temporary.
  Layout scratch_request;
  Layout allocation_info;  // one a tensor and scratch buffer
  Layout size_type;

  // Parameters as parsed from the file, by kind of operator; 0 bytes: none are allocated.
  [[nodiscard]] Layout builtin_data(const int8::OperatorKind& kind) const;
  // What the kernel keeps, always aligned to 16; 0 bytes: nothing.
  [[nodiscard]] int64_t op_data_bytes(const int8::OperatorKind& kind) const;

  Layout conv_params;
  Layout pool_params;
  Layout fully_connected_params;
  Layout add_params;
  Layout reducer_params;
  Layout reshape_params;
  Layout softmax_params;
  int64_t conv_data = 0;
  int64_t pool_data = 0;
  int64_t fully_connected_data = 0;
  int64_t add_data = 0;
  int64_t reduce_data = 0;
  int64_t softmax_data = 0;
  int64_t relu_data = 0;
  int64_t relu6_data = 0;
  int64_t quantize_data = 0;
  int64_t dequantize_data = 0;
};

const AbiTable& abi_table(Abi abi);

}  // namespace retort::cost
