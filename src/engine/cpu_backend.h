// Training on the CPU: oneDNN for convolutions, fused kernels of our own for the rest (the first convolution,
// depthwise convolutions and dense layers included).
//
// A network with threads = 1 shares nothing with others, so one can run on each core. With more, every step
// splits its images over OpenMP threads; numbers are reproducible for a given number of threads.
#pragma once

#include <memory>

#include "engine/network.h"

namespace retort::engine {

std::unique_ptr<Backend> make_cpu_backend();

}  // namespace retort::engine
