// An int8 network as C: dependency-free C99 in static memory, for microcontrollers.
//
// The kernels (deploy/runtime) have a plain variant and one for the DSP instructions of Cortex-M4, M7, M33 and
// above; both give the bytes that int8::Interpreter gives. Memory is laid out by cost::plan_c. No heap, no
// operating system, no library; no floating point but in a network that itself has float ends.
#pragma once

#include <cstdint>
#include <string>

#include "int8/quant_graph.h"

namespace retort::deploy {

struct CCodeOptions {
  std::string name = "model";  // prefix of every name and file: a C identifier in lower case
};

struct CCode {
  std::string header;   // NAME.h: sizes, quantisation, NAME_input, NAME_output, NAME_invoke
  std::string source;   // NAME.c: the kernels that the network needs, its layers, its arena
  std::string weights;  // NAME_weights.h: included by NAME.c alone
  int64_t arena_bytes = 0;
  // Of the weights' file: weights, biases, multipliers, tables. The layers' descriptions come on top.
  int64_t weight_bytes = 0;
};

// Throws Error(Usage) for a name that is none, for several inputs or outputs, and for dimensions above 65,535
// in a window's operator. The graph must have passed the reader's or the lowering's checks.
CCode generate_c(const int8::QuantGraph& graph, const CCodeOptions& options);

// Throws Error(Usage) for a name that is no prefix for C, or whose NAME.h would hide a system's header or is no file on
// Windows, and for a network with several inputs or outputs.
void check_for_code(const int8::QuantGraph& graph, const std::string& name);

}  // namespace retort::deploy
