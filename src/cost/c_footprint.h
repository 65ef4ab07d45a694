// What a network takes as generated C; private to this room.
#pragma once

#include "cost/c_plan.h"
#include "cost/footprint.h"

namespace retort::cost {

Footprint c_footprint(const int8::QuantGraph& graph, const CPlan& plan);

}  // namespace retort::cost
