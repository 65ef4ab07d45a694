// Placing buffers that live at different times in one block of memory; private to this room.
#pragma once

#include <cstdint>
#include <vector>

namespace retort::cost {

struct Block {
  int64_t bytes = 0;
  int first_used = 0;  // both ends inclusive
  int last_used = 0;
};

// Blocks that live at the same time may yet overlap where lower's offset + distance ≤ upper's offset.
struct Overlap {
  int lower = 0;
  int upper = 0;
  int64_t distance = 0;  // at most lower's bytes; may be negative
};

struct Placement {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;  // max(offset + size)
};

// By search: each order of the blocks gives a placement (each at the lowest offset that is free), and orders
// are improved step by step. The same blocks always give the same placement.
Placement place(const std::vector<Block>& blocks, const std::vector<Overlap>& overlaps);

}  // namespace retort::cost
