// Networks with names, for benchmarks and tests: the notebook's, their depthwise relatives, and MLPerf
// Tiny's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace retort::graph {

// s11_16, s21_16, s22_32, s32_64   the notebook's students (blocks, layers a block, first filters), 32×32×1,
// 10 classes teacher                          the notebook's teacher, 32×32×1, 10 classes ds16, ds32
// depthwise-separable networks of 16 and 32 filters, 32×32×1, 10 classes resnet8 MLPerf Tiny image
// classification, 32×32×3, 10 classes dscnn                            MLPerf Tiny keyword spotting, 49×10×1,
// 12 classes mobilenet                        MLPerf Tiny visual wake words, MobileNetV1 0.25, 96×96×3, 2
// classes autoencoder                      MLPerf Tiny anomaly detection, 640 values to 640 values
std::vector<std::string> reference_network_names();

// Throws Error(Usage) that lists the names.
Graph reference_network(std::string_view name);

}  // namespace retort::graph
