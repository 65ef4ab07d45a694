// Where a network shall run.
#pragma once

#include <optional>

#include "cost/boards.h"
#include "cost/footprint.h"

namespace retort::cost {

struct Target {
  Runtime runtime = Runtime::C;
  std::optional<Board> board = std::nullopt;  // none: what the network takes is known, but not how long
};

}  // namespace retort::cost
