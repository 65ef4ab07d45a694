// Which number of a training step was the first that is not finite. Private to this room.
#pragma once

#include <string>

#include "base/rng.h"
#include "engine/network.h"

namespace retort::engine {

// After compute_gradients() gave a loss that is not finite; `before` is the Rng as it was then. "the output of layer 3
// (conv) is not finite", or of the loss alone when nothing before it is.
std::string describe_bad_loss(Network& network, const Batch& batch, const Objective& objective,
                              const Rng& before, double loss);

// After apply_gradients() said so: "a gradient of layer 3 (conv) is nan", the last layer with one, which computed it
// first; else a weight, or what batch norm or a range gathered.
std::string describe_bad_update(const Network& network);

}  // namespace retort::engine
