// Dense layers: y = activation(x · wᵀ + b) and its gradients, for batches of some tens of rows.
//
// x is images × in, w out × in, y images × out, all row-major; in and out are multiples of 8. A row of y
// depends on its own row of x alone, to the last bit, wherever in the batch it stands. Tiles of 4 × 3 vectors
// stay in registers; strips of the operand that is walked across are copied next to each other first, because
// rows a power of two apart would push each other out of the first-level cache.
#pragma once

#include <cstddef>

#include "engine/kernels/kernels.h"

namespace retort::engine::kernels {

struct DenseSize {
  int images = 0;
  int in = 0;
  int out = 0;
};

// bias: out floats, or null.
void dense_forward(const DenseSize& size, const float* x, const float* weights, const float* bias,
                   Activation activation, float* y);

// Floats of the workspace that each of the two needs for itself.
size_t dense_backward_workspace(const DenseSize& size);

// dy is the gradient before the activation. Overwrites dx.
void dense_backward_data(const DenseSize& size, const float* dy, const float* weights, float* workspace,
                         float* dx);
// Overwrites the gradients of the outputs [first, last), whose bits don't depend on how the outputs are
// split: rows of dweights, and of dbias unless it is null.
void dense_backward_weights(const DenseSize& size, int first, int last, const float* x, const float* dy,
                            float* workspace, float* dweights, float* dbias);

}  // namespace retort::engine::kernels
