// An arena over time as SVG text: operators from left to right, bytes from the bottom up, a rectangle a
// buffer. It shows which buffers make the peak and where gaps are left. It stands alone or in a page, light or
// dark (prefers-color-scheme, or the page's own --ink, --muted, --grid, --paper), and has no scripts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cost/cost.h"
#include "cost/target.h"

namespace retort::report {

struct ArenaBox {
  enum class Kind { Ends, Activation, Scratch };  // Ends: the network's inputs and outputs
  Kind kind = Kind::Activation;
  std::string label;
  int64_t bytes = 0;
  int64_t offset = 0;
  // Operators, both ends inclusive; −1 is before the first, when the inputs are filled.
  int first_used = 0;
  int last_used = 0;
};

struct ArenaPicture {
  std::string title;
  std::vector<std::string> operators;  // names in execution order
  std::vector<ArenaBox> boxes;         // may overlap, where a plan lets an output lie over its input
  int64_t tail_bytes = 0;              // held all the time, drawn above the boxes
  std::optional<int64_t> capacity_bytes;
};

std::string arena_svg(const ArenaPicture& picture);

// A network's arena under TensorFlow Lite Micro on a Cortex-M4, with what the target's board leaves for it.
// `name` is the network's.
ArenaPicture arena_of(const cost::Cost& cost, const std::string& name, const cost::Target& target);

}  // namespace retort::report
