// Structures of graph/micro.h at random, within limits. Private to this room.
#pragma once

#include <memory>

#include "base/rng.h"
#include "graph/micro.h"
#include "search/sampler.h"

namespace retort::search {

// A stem, two to four stages of one to three blocks of one kind that each halve the image as long as it has
// eight rows and columns, widths in fours that grow from stage to stage, a head. May be too large for its
// input's data, never unbuildable.
graph::MicroNetwork random_micro_network(Rng& rng, graph::Shape input);

// A dozen of such networks, or as many as settings.trials: drawn until there are many that fit, then taken
// evenly by their multiply-accumulates from the larger half. Where none fits it proposes the smallest of
// those drawn, so that this can be said.
std::unique_ptr<Sampler> make_micro_sampler(const SearchSettings& settings, graph::Shape input, int classes,
                                            const Fits& fits);

}  // namespace retort::search
