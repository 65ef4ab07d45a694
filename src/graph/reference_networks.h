// Networks with names, for benchmarks and tests: the notebook's, their depthwise relatives, and MLPerf
// Tiny's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/notebook.h"

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

// These, and by pattern: a student as student_name writes it, "s21_WIDTH" (s21_16 with other filters) and
// "dsWIDTH". Throws Error(Usage) that lists the names.
Graph reference_network(std::string_view name);

// "s21_16_1x64": blocks, layers a block, filters, dense layers, their units; "s32_64_0" without dense layers,
// where units mean nothing. The numbers of blocks and layers have one digit.
std::string student_name(const StudentConfig& config);

// The names of several at once; empty for an unknown group.
//   reference  reference_network_names()
//   notebook   the 162 different structures of the notebook's grid
//   widths     s21 and ds of 5, 8, 12, 16, 20, 24, 27 and 32 filters
std::vector<std::string> network_group(std::string_view name);

}  // namespace retort::graph
