// Random changes of the networks of graph/micro.h. Private to this room.
#pragma once

#include "base/rng.h"
#include "graph/micro.h"

namespace retort::search {

// One random change: a stage or a block wider or narrower, all blocks so, a block more or fewer, of another
// kind, kernel, stride or expansion, a skip, a pool, the head, a dense layer. Always a text that
// graph::micro_network reads back; build() may still refuse it, for a pool that is larger than what is left.
graph::MicroNetwork mutated(const graph::MicroNetwork& parent, Rng& rng);

// All widths times `factor`, in the steps that structures are searched in: 2 channels below 16, else 4.
graph::MicroNetwork scaled(graph::MicroNetwork network, double factor);

}  // namespace retort::search
