// What of a chip a network takes with the code that runs it: what a limit of flash or RAM is compared with.
//
//   flash = the model's data + the runtime's code for the operators that it uses
//   RAM   = the arena + the runtime's static data + the deepest stack
//
// The code sizes are of a Cortex-M4 from tables that were measured (footprint.cpp says how); the
// firmware around them is no part of this (Board has it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "int8/quant_graph.h"

namespace retort::cost {

// C: our own generated C. Tflm: TensorFlow Lite Micro with its reference kernels.
enum class Runtime { C, Tflm };
std::string_view to_string(Runtime runtime);   // "c", "tflm"
std::string_view title(Runtime runtime);       // "generated C", "TensorFlow Lite Micro"
Runtime parse_runtime(std::string_view text);  // Error(Usage) for others

struct Footprint {
  int64_t model_bytes = 0;  // TFLM: the .tflite file; C: constants, as arrays
  int64_t code_bytes = 0;
  int64_t arena_bytes = 0;   // TFLM: the smallest in which AllocateTensors succeeds
  int64_t static_bytes = 0;  // .data and .bss
  int64_t stack_bytes = 0;
  [[nodiscard]] int64_t flash_bytes() const { return model_bytes + code_bytes; }
  [[nodiscard]] int64_t ram_bytes() const { return arena_bytes + static_bytes + stack_bytes; }
  bool operator==(const Footprint&) const = default;
};

// file_bytes: of the graph's .tflite. smallest_arena_bytes: Arena::smallest_bytes on a Cortex-M4.
Footprint tflm_footprint(const int8::QuantGraph& graph, int64_t file_bytes, int64_t smallest_arena_bytes);

// "model 1,234 + code 2,345" and "arena 1,234 + static 12 + stack 345", in bytes.
std::string flash_parts(const Footprint& footprint);
std::string ram_parts(const Footprint& footprint);

// {"flash":{"model":n,"code":n,"total":n},"ram":{"arena":n,"static":n,"stack":n,"total":n}}
void to_json(Json& json, const Footprint& footprint);
void from_json(const Json& json, Footprint& footprint);

}  // namespace retort::cost
