// Networks of well-known shapes, with which an evolution begins beside random ones. Private to this room.
#pragma once

#include <vector>

#include "base/rng.h"
#include "graph/graph.h"
#include "search/micro_space.h"
#include "search/sampler.h"

namespace retort::search {

// What people design by hand, made to lie within the space: plain convolutions (VGG, arXiv 1409.1556), residual
// ones in several arrangements (ResNet, arXiv 1512.03385), depthwise-separable ones (MobileNet, arXiv
// 1704.04861), inverted residuals (MobileNetV2, arXiv 1801.04381). Each is as wide as `fits` allows, up to four
// times its usual width; those that do not fit at a quarter of it, or that `input` is too small for, are left
// out. Large images are pooled first. No two are the same network.
std::vector<Proposal> starting_points(const MicroSpace& space, Rng rng, graph::Shape input, int classes,
                                      const Fits& fits);

}  // namespace retort::search
