// Networks with names, for benchmarks and tests: the notebook's, their depthwise relatives, and MLPerf
// Tiny's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace retort::graph {

// name                            what                                                      input      classes
// s11_16, s21_16, s22_32, s32_64  the notebook's students: blocks, layers a block, filters  32×32×1    10
// teacher                         the notebook's teacher                                    32×32×1    10
// ds16, ds32                      depthwise-separable, of 16 and 32 filters                 32×32×1    10
// resnet8                         MLPerf Tiny's image classification                        32×32×3    10
// dscnn                           MLPerf Tiny's keyword spotting                            49×10×1    12
// mobilenet                       MLPerf Tiny's visual wake words, MobileNetV1 0.25         96×96×3    2
// autoencoder                     MLPerf Tiny's anomaly detection, to 640 values            640        -
std::vector<std::string> reference_network_names();

// Throws Error(Usage) that lists the names.
Graph reference_network(std::string_view name);

}  // namespace retort::graph
