// Structures of graph/micro.h at random, within limits. Private to this room.
#pragma once

#include <memory>
#include <vector>

#include "base/rng.h"
#include "graph/micro.h"
#include "search/sampler.h"

namespace retort::search {

// A stem, two to four stages of one to three blocks of one kind that each halve the image as long as it has
// eight rows and columns, widths in fours that grow from stage to stage, a head. May be too large for its
// input's data, never unbuildable.
graph::MicroNetwork random_micro_network(Rng& rng, graph::Shape input);

// `count` of such networks, made to lie within the space: drawn until there are many that fit, then taken evenly by their
// multiply-accumulates from the larger half. Where none fits the smallest of those drawn alone, so that this
// can be said. Adds to `duplicates` how many were drawn twice.
std::vector<Proposal> draw_micro(size_t count, const MicroSpace& space, Rng rng, graph::Shape input,
                                 int classes, const Fits& fits, int& duplicates);

// A dozen of them, or as many as settings.trials.
std::unique_ptr<Sampler> make_micro_sampler(const SearchSettings& settings, graph::Shape input, int classes,
                                            const Fits& fits);

}  // namespace retort::search
