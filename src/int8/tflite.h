// TensorFlow Lite files: FlatBuffers of schema version 3 that TensorFlow Lite, LiteRT and TensorFlow Lite
// Micro read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::int8 {

// The file for a graph. The same graph always gives the same bytes. Constant data is aligned to 16 bytes from
// the file's start; class names travel as a metadata buffer, "retort.classes", a JSON array.
std::vector<uint8_t> write_tflite(const QuantGraph& graph);

// Reads a file of ours or anyone's that is made of QuantGraph's operators. `name` (the file's) begins each
// error. Throws Error(Usage) on anything that is damaged or not supported; never trusts an index or a size.
QuantGraph read_tflite(std::span<const uint8_t> bytes, std::string_view name);

}  // namespace retort::int8
