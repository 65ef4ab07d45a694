// What a network takes as generated C; private to this room.
#pragma once

#include "cost/footprint.h"

namespace retort::cost {

Footprint c_footprint(const int8::QuantGraph& graph);

}  // namespace retort::cost
