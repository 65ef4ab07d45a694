// Denormal numbers as zeros: gradients that die away would otherwise cost a hundred times more.
#pragma once

#include <cstdint>

namespace retort::engine {

// While it lives, this thread and those that its OpenMP regions of `threads` run on (oneDNN's too, which are the same)
// take denormals as zeros and make none; then all are as this thread was before, since a caller's own loops may run on
// them. Does nothing on processors without such a mode.
class FlushDenormals {
 public:
  explicit FlushDenormals(int threads);
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  int threads_;
  uint64_t previous_;  // control register
};

// Whether this thread does so now.
bool flushes_denormals();

}  // namespace retort::engine
