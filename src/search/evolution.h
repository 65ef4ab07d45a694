// Regularised evolution over the networks of graph/micro.h. Private to this room.
#pragma once

#include <memory>

#include "search/sampler.h"

namespace retort::search {

// Ageing evolution (Real et al., arXiv 1802.01548): the first structures are drawn as by the sampler 'micro';
// each later one is a change of the best of a few among the youngest, so that even the best die. Every third
// child is for a size of the front instead, a random one: a change of the best of a few that are up to four times as large,
// made narrower until it has that size. So small structures come from good large ones, and the search ends with a front,
// not a point. A child that does not fit is made narrower until it does.
std::unique_ptr<Sampler> make_evolution(const SearchSettings& settings, graph::Shape input, int classes,
                                        const Fits& fits);

}  // namespace retort::search
