// Random int8 networks with what our own training never makes but other people's files hold: dilation, odd
// strides and paddings, depth multipliers, one scale for a whole kernel, absent biases, any zero point,
// weights of −128, dense layers over several rows, sums of a tensor with itself, lookups between any two
// grids. For property tests.
#pragma once

#include "base/rng.h"
#include "int8/quant_graph.h"

namespace retort::int8 {

// Passes `check`. One input of up to 12 × 12 × 8 and one output.
QuantGraph random_quant_graph(Rng& rng);

}  // namespace retort::int8
