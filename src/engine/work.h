// What a step of a network computes and moves inside the CPU backend, and with it the blocks that its channels
// lie in: eight or sixteen at once, so that four channels cost what eight or sixteen do.
#pragma once

#include "engine/network.h"
#include "graph/graph.h"

namespace retort::engine {

// For one image.
struct Work {
  double macs = 0;         // of sixteen lanes' speed
  double activations = 0;  // values that its nodes put out, with those that fill up blocks
};

// The block of channels, by the network and the kind of processor alone, so that training gives the same numbers
// on each: the vector's, and on AVX-512 half of it where so many fewer channels fill up blocks that the shorter
// vectors are quicker.
int choose_block(const graph::Graph& graph, Precision precision);

// With the block that is chosen.
Work work_of(const graph::Graph& graph, Precision precision = Precision::Float32);

}  // namespace retort::engine
