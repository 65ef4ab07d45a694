// Code of a runtime by kind of operator; private to this room.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <variant>

#include "int8/quant_graph.h"

namespace retort::cost {

inline constexpr size_t kOperatorKinds = std::variant_size_v<int8::OperatorKind>;

// A set of kinds of operators: bit i stands for kind i of OperatorKind.
using Kinds = uint32_t;
Kinds kinds_of(const int8::QuantGraph& graph);

// Code that is linked once when any of several kinds is used.
struct SharedCode {
  int64_t bytes = 0;
  Kinds kinds = 0;
};

struct CodeTable {
  int64_t fixed_bytes = 0;                           // whatever the network
  std::array<int64_t, kOperatorKinds> kind_bytes{};  // what the first operator of a kind adds
  std::span<const SharedCode> shared;
};

// Text and constants that the graph's operators need.
int64_t code_bytes(const CodeTable& table, const int8::QuantGraph& graph);

}  // namespace retort::cost
