// Which of oneDNN's algorithms computes a convolution: chosen by its shape alone, so that a network trains to
// the same numbers whenever it meets the same kind of processor. Included only within this folder.
#pragma once

#include "engine/onednn/onednn.h"

namespace retort::engine::onednn {

enum class Method {
  Direct,
  // F(4×4, 3×3) of Lavin and Gray, «Fast algorithms for convolutional neural networks» (arXiv 1509.09308): 36
  // multiplications where the direct way takes 144. Its errors are 2 to 6 times a float's rounding.
  Winograd,
  // Direct, on inputs, weights and gradients rounded to bfloat16; sums in float32.
  Bfloat16,
};

Method choose_method(const ConvolutionShape& shape);

}  // namespace retort::engine::onednn
