// The memory that TensorFlow Lite Micro needs to run a network, to the byte, without running it.
//
// TFLM works in one arena that the program gives it. The head holds activations and scratch buffers, placed
// by its greedy planner; the tail holds its own structures. Between them, while AllocateTensors runs, lie
// temporary ones. All three are followed here allocation by allocation, as micro_allocator.cc and the
// reference kernels make them, with the sizes that the structures have on each target. The arena starts at a
// multiple of 16 bytes, and so does its end.
//
// What it does not follow: offline memory plans in a file's metadata, int4 weights, several subgraphs,
// variables.
#pragma once

#include <cstdint>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::cost {

// CortexM4: the 32-bit build for microcontrollers, short enums.
// Host: the 64-bit recording interpreter of TFLM's Python package, whose print_allocations can be compared.
enum class Abi { CortexM4, Host };

struct Arena {
  int64_t head_bytes = 0;  // activations and scratch
  int64_t tail_bytes = 0;  // structures, parameters of operators, per-channel multipliers
  // The smallest arena, a multiple of 16, in which AllocateTensors succeeds with nothing overwritten that is
  // still read; at least used_bytes(). 16 bytes less fail.
  int64_t smallest_bytes = 0;
  [[nodiscard]] int64_t used_bytes() const { return head_bytes + tail_bytes; }
  bool operator==(const Arena&) const = default;
};

// The graph must have passed the reader's or the lowering's checks.
Arena plan_arena(const int8::QuantGraph& graph, Abi abi);

// One buffer of the head. Operator k runs at time k + 1; 0 is when the inputs are filled. Both ends are
// inclusive.
struct PlannedBuffer {
  int tensor = -1;    // −1: an operator's scratch
  int64_t bytes = 0;  // a multiple of 16
  int first_used = -1;
  int last_used = -1;
  int64_t offset = 0;
  bool operator==(const PlannedBuffer&) const = default;
};

// All buffers of the head, non-constant tensors in index order, then scratch in operator order; they are the
// same on every target.
std::vector<PlannedBuffer> plan_head(const int8::QuantGraph& graph);

// Sets the offsets as TFLM's GreedyMemoryPlanner does: the largest first (of equals the one requested last),
// each at the first gap among the placed buffers that live at the same time, in order of offset, else behind
// them. Returns the head's size.
int64_t place_buffers(std::vector<PlannedBuffer>& buffers);

}  // namespace retort::cost
