// The memory of our own C code (deploy/c_code.h): which operators run together and where every buffer lies.
//
// Less than TensorFlow Lite Micro's head, in four ways:
// - A convolution whose only reader is the next operator, an addition or a pool of windows apart, is computed
//   by bands of rows that the reader takes at once; its output never exists as a whole.
// - Where an operator's input dies, its output may lie over what has been read already ("diagonal memory
//   optimisation", Blacker et al., arXiv 2010.01668): the distance that this needs is counted window by window.
// - A depthwise convolution copies out one channel at a time and writes it back in place; RESHAPE is nothing.
// - Buffers are placed by a search over the orders of placement, from several starts, until the bound of what
//   lives at once is met or a fixed number of trials is spent. No time and no chance is in it: the same graph
//   always has the same plan.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::cost {

// Operators that run together. Step k runs at time k + 1.
struct CStep {
  size_t op = 0;
  std::optional<size_t> reader;  // takes the convolution `op` by bands
  int band_rows = 0;             // with a reader: rows of its output at a time
  int band_buffer = -1;          // with a reader: the convolution's rows for one band
  int scratch_buffer = -1;       // −1: none
};

struct CBuffer {
  std::vector<int> tensors;  // that lie in it, one after the other in time; empty: a band or scratch
  int64_t bytes = 0;         // a multiple of 4
  int first_used = 0;        // times; both ends inclusive, 0 is when the input is filled
  int last_used = 0;
  int64_t offset = 0;
};

struct CPlan {
  std::vector<CStep> steps;
  std::vector<CBuffer> buffers;
  std::vector<int> tensor_buffers;  // of each tensor; −1: a constant, or only ever a band
  int64_t arena_bytes = 0;

  [[nodiscard]] int64_t tensor_offset(int tensor) const {
    return buffers[static_cast<size_t>(tensor_buffers[static_cast<size_t>(tensor)])].offset;
  }
};

// The graph must have passed the reader's or the lowering's checks.
CPlan plan_c(const int8::QuantGraph& graph);

// Rows of a convolution's output that row `row` of its reader needs: [first, last).
struct Rows {
  int first = 0;
  int last = 0;
};
Rows rows_for_reader(const int8::QuantGraph& graph, const int8::Operator& reader, int row);

}  // namespace retort::cost
