// What JSON and the structural hash share; private to this room.
#pragma once

#include <string>

#include "graph/graph.h"

namespace retort::graph {

// The operator and all its attributes as one line of JSON, without its inputs.
std::string node_attributes(const Node& node);

}  // namespace retort::graph
