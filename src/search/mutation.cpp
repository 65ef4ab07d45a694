#include "search/mutation.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "search/draws.h"

namespace retort::search {

namespace {

using graph::Block;
using graph::BlockKind;
using graph::MicroNetwork;

constexpr int kWidest = 512;

int in_steps(double width) {
  const int step = width < 16 ? 2 : 4;
  return std::clamp(nearest_multiple(width, step), 2, kWidest);
}

// At least a step, so that a small factor changes a small width too.
int resized(int width, double factor) {
  const int result = in_steps(width * factor);
  if (result != width || factor == 1) return result;
  return factor > 1 ? in_steps(width + (width < 16 ? 2 : 4)) : in_steps(std::max(width - 2, 2));
}

// The blocks that have a width.
std::vector<size_t> convolutions(const MicroNetwork& network) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < network.blocks.size(); ++i)
    if (graph::is_convolution(network.blocks[i].kind)) indices.push_back(i);
  return indices;
}

// Null where the network has none.
Block* random_block(MicroNetwork& network, Rng& rng) {
  const std::vector<size_t> indices = convolutions(network);
  if (indices.empty()) return nullptr;
  return &network.blocks[indices[rng.below(static_cast<uint32_t>(indices.size()))]];
}

void change_width(MicroNetwork& network, Rng& rng) {
  const Block* block = random_block(network, rng);
  if (block == nullptr) return;
  const double factor = pick(rng, std::array{0.6, 0.75, 0.85, 1.15, 1.3, 1.6});
  const auto at = static_cast<size_t>(block - network.blocks.data());
  // Blocks in a row that are of one width have skips between them: mostly they stay alike.
  size_t first = at;
  size_t last = at;
  if (rng.below(4) != 0) {
    const auto alike = [&](size_t i) {
      return graph::is_convolution(network.blocks[i].kind) &&
             network.blocks[i].width == network.blocks[at].width;
    };
    while (first > 0 && alike(first - 1)) --first;
    while (last + 1 < network.blocks.size() && alike(last + 1)) ++last;
  }
  const int width = resized(network.blocks[at].width, factor);
  for (size_t i = first; i <= last; ++i) network.blocks[i].width = width;
}

void change_all_widths(MicroNetwork& network, Rng& rng) {
  network = scaled(network, pick(rng, std::array{0.75, 0.87, 1.15, 1.3}));
}

void change_kind(MicroNetwork& network, Rng& rng) {
  if (Block* block = random_block(network, rng))
    block->kind = pick(
        rng, std::array{BlockKind::Conv, BlockKind::Separable, BlockKind::Inverted, BlockKind::Residual});
}

void change_kernel(MicroNetwork& network, Rng& rng) {
  if (Block* block = random_block(network, rng)) block->kernel = block->kernel == 3 ? 5 : 3;
}

void change_stride(MicroNetwork& network, Rng& rng) {
  if (Block* block = random_block(network, rng)) block->stride = block->stride == 1 ? 2 : 1;
}

// An earlier or later block works at the lower resolution first.
void move_stride(MicroNetwork& network, Rng& rng) {
  const std::vector<size_t> indices = convolutions(network);
  if (indices.size() < 2) return;
  const size_t at = rng.below(static_cast<uint32_t>(indices.size() - 1));
  std::swap(network.blocks[indices[at]].stride, network.blocks[indices[at + 1]].stride);
}

void insert_block(MicroNetwork& network, Rng& rng) {
  const Block* block = random_block(network, rng);
  if (block == nullptr) return;
  Block copy = *block;
  copy.stride = 1;
  copy.skip = graph::Skip::Present;  // where the kind has the choice
  if (rng.below(3) == 0) copy.kind = pick(rng, std::array{BlockKind::Residual, BlockKind::Inverted});
  const auto at = block - network.blocks.data();
  network.blocks.insert(network.blocks.begin() + at + 1, copy);
}

void remove_block(MicroNetwork& network, Rng& rng) {
  if (network.blocks.size() < 2) return;
  const auto at = rng.below(static_cast<uint32_t>(network.blocks.size()));
  // The next one takes over its stride.
  if (at + 1 < network.blocks.size() && graph::is_convolution(network.blocks[at].kind) &&
      graph::is_convolution(network.blocks[at + 1].kind))
    network.blocks[at + 1].stride = std::min(network.blocks[at + 1].stride * network.blocks[at].stride, 4);
  network.blocks.erase(network.blocks.begin() + at);
}

void change_expansion(MicroNetwork& network, Rng& rng) {
  std::vector<Block*> inverted;
  for (Block& block : network.blocks)
    if (block.kind == BlockKind::Inverted) inverted.push_back(&block);
  if (inverted.empty()) return;
  Block& block = *inverted[rng.below(static_cast<uint32_t>(inverted.size()))];
  block.expansion = std::clamp(block.expansion + pick(rng, std::array{-2, -1, 1, 2}), 1, 8);
}

void change_skip(MicroNetwork& network, Rng& rng) {
  Block* block = random_block(network, rng);
  if (block == nullptr || block->kind != BlockKind::Separable) return;
  block->skip = block->skip == graph::Skip::Absent ? graph::Skip::Present : graph::Skip::Absent;
}

// As the first block it halves the input's resolution.
void change_pool(MicroNetwork& network, Rng& rng) {
  const auto pool = std::ranges::find_if(network.blocks, graph::is_pool, &Block::kind);
  if (pool != network.blocks.end() && rng.below(2) == 0) {
    network.blocks.erase(pool);
    return;
  }
  const Block block{.kind = pick(rng, std::array{BlockKind::MaxPool, BlockKind::AvgPool}), .width = 2};
  const uint32_t first = !network.blocks.empty() && network.blocks.front().kind == BlockKind::Gray ? 1 : 0;
  const uint32_t at = first + rng.below(static_cast<uint32_t>(network.blocks.size()) + 1 - first);
  network.blocks.insert(network.blocks.begin() + at, block);
}

// Of images that are grey already it makes a network that cannot be built.
void change_color(MicroNetwork& network, Rng& /*rng*/) {
  const bool is_gray = !network.blocks.empty() && network.blocks.front().kind == BlockKind::Gray;
  if (is_gray)
    network.blocks.erase(network.blocks.begin());
  else
    network.blocks.insert(network.blocks.begin(), {.kind = BlockKind::Gray, .width = 1});
}

void change_head(MicroNetwork& network, Rng& /*rng*/) {
  network.head =
      network.head == graph::Head::GlobalAveragePool ? graph::Head::Flatten : graph::Head::GlobalAveragePool;
}

void change_dense(MicroNetwork& network, Rng& rng) {
  if (network.dense.empty())
    network.dense.push_back(pick(rng, std::array{12, 16, 24, 32, 48}));
  else if (rng.below(2) == 0)
    network.dense.pop_back();
  else
    network.dense.back() = resized(network.dense.back(), pick(rng, std::array{0.6, 0.75, 1.3, 1.6}));
}

struct Change {
  void (*apply)(MicroNetwork&, Rng&);
  uint32_t weight;  // how often, beside the others
};

constexpr std::array kChanges = {
    Change{change_width, 6},  Change{change_all_widths, 2}, Change{change_kind, 3},
    Change{change_kernel, 2}, Change{change_stride, 2},     Change{move_stride, 2},
    Change{insert_block, 4},  Change{remove_block, 3},      Change{change_expansion, 2},
    Change{change_skip, 1},   Change{change_pool, 1},       Change{change_color, 1},
    Change{change_head, 1},   Change{change_dense, 1}};

}  // namespace

MicroNetwork scaled(MicroNetwork network, double factor) {
  for (Block& block : network.blocks)
    if (graph::is_convolution(block.kind)) block.width = resized(block.width, factor);
  graph::repair(network);
  return network;
}

MicroNetwork mutated(const MicroNetwork& parent, Rng& rng) {
  uint32_t total = 0;
  for (const Change& change : kChanges) total += change.weight;
  MicroNetwork child = parent;
  while (child == parent) {
    uint32_t drawn = rng.below(total);
    for (const Change& change : kChanges) {
      if (drawn < change.weight) {
        change.apply(child, rng);
        break;
      }
      drawn -= change.weight;
    }
    graph::repair(child);
  }
  return child;
}

}  // namespace retort::search
