// The definition of what a training step computes: every operator in plain loops. Values that last
// (parameters, moments, ranges) are float32, as in every backend; the arithmetic between is double.
//
// What the interface leaves open is settled here, for all backends:
//   - ReLU and ReLU6 pass no gradient where the input is at a corner (0, 6); a max pool's goes to the first
//     maximum.
//   - Batch norm normalises by, and keeps a running average of, the biased variance, as Keras 3 does.
//   - Dropout keeps a value with probability 1 − rate and divides it by that.
//   - A FakeQuant's unset range (0, 0) becomes the batch's own; later ranges are
//     momentum · range + (1 − momentum) · batch. Batch limits are widened to contain 0. The range is moved
//     first, then used. The range of a FakeQuant that reads the Input stays as it is once set: a byte's grid
//     is fixed. The gradient passes where the rounded value needs no clamping to the grid, as PyTorch's; so a
//     batch that sets its own range lies inside it whatever the last bit of its largest value.
//   - WeightGrid::Int8: forward and the input's gradient use the rounded kernel, whose gradient goes to the
//     kernel unchanged (straight-through).
//   - Masked weights are zero from set_masks on: at once, and after set_parameters and each step.
//   - Weight decay shrinks kernels by learning rate · weight decay before the step.
//   - SGD: velocity = momentum · velocity − rate · g, weight += momentum · velocity − rate · g.
// CompileOptions::threads is without effect: it always runs on the caller's thread.
#pragma once

#include <memory>

#include "engine/network.h"

namespace retort::engine {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace retort::engine
