// Networks for microcontrollers as a row of blocks: plain, depthwise-separable, inverted-residual and residual
// convolutions, pools, a head. What a search over structures varies.
//
// As text: "conv 16, res 16, sep 32 k5 s2, inv 32 e3, pool 2, gap, dense 48". Each block's first number is its
// width (of a pool, its window and stride); kN is its kernel (3), sN its stride (1), eN an inverted residual's
// expansion (4), "skip" adds a separable block's input to its output. "gray" alone may stand first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace retort::graph {

enum class BlockKind {
  Conv,       // convolution, batch norm, ReLU
  Separable,  // depthwise, batch norm, ReLU, 1×1 convolution, batch norm, ReLU (MobileNet, arXiv 1704.04861)
  // 1×1 convolution to expansion × channels, depthwise, 1×1 convolution, of which the first two have ReLU6;
  // its input is added where the shapes are equal (MobileNetV2, arXiv 1801.04381).
  Inverted,
  // Two convolutions and the input added, through a 1×1 convolution where the shapes differ (ResNet, arXiv
  // 1512.03385).
  Residual,
  MaxPool,
  AvgPool,
  // One channel of an image's three: a 1×1 convolution without bias, whose weights are learned. It takes a ninth of the
  // memory that a wider first layer would read from, and is what a chip does that makes its camera's picture grey.
  Gray,
};
std::string_view block_name(BlockKind kind);  // "conv", …
bool is_pool(BlockKind kind);
bool is_convolution(BlockKind kind);  // has a width, a kernel and a stride
enum class Skip { Absent, Present };
enum class Head { GlobalAveragePool, Flatten };

struct Block {
  BlockKind kind = BlockKind::Conv;
  int width = 16;  // channels of its output; of a pool its window and stride
  int kernel = 3;
  int stride = 1;
  int expansion = 4;         // of Inverted
  Skip skip = Skip::Absent;  // of Separable, with stride 1 and as many channels as its input
  bool operator==(const Block&) const = default;
};

struct MicroNetwork {
  std::vector<Block> blocks;
  Head head = Head::GlobalAveragePool;
  std::vector<int> dense;  // units of dense layers with ReLU before the classes' layer
  bool operator==(const MicroNetwork&) const = default;
};

std::string to_string(const MicroNetwork& network);
// Takes away what a block's kind or the blocks before it do not allow: skips between different shapes, the
// expansion of what expands nothing.
void repair(MicroNetwork& network);
// Throws Error(Usage) that names the block and what would be right.
MicroNetwork micro_network(std::string_view text);
// Whether a text is meant as one: it begins with a block's name.
bool is_micro_network(std::string_view text);

// Convolutions without bias, He-uniform, each followed by its batch norm. Throws Error(Usage) for a pool
// larger than what is left, a skip where shapes differ, and what Graph::add refuses.
Graph build(const MicroNetwork& network, Shape input, int classes);

// For each node of a child's graph the parent's that it stands for, or −1: blocks are aligned in their order,
// those of one kind with each other, so that most of them have a counterpart and the most alike have each
// other; within two such blocks nodes correspond from the first on, in heads from the last on, as long as
// their operators do.
std::vector<int> corresponding_nodes(const MicroNetwork& parent, const MicroNetwork& child, Shape input,
                                     int classes);

}  // namespace retort::graph
