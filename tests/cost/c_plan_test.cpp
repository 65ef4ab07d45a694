#include "cost/c_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cost/arena.h"
#include "cost/placement.h"
#include "graph/reference_networks.h"
#include "int8/kernel_parameters.h"
#include "int8/random_networks.h"
#include "int8/random_quant_graph.h"

namespace retort::cost {
namespace {

int8::QuantGraph named(std::string_view name) {
  return int8::lower_structure(graph::reference_network(name), {int8::Ends::Int8, {}});
}

TEST(Placement, NothingThatLivesTogetherOverlaps) {
  Rng rng(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Block> blocks;
    for (uint32_t i = 0; i < 2 + rng.below(12); ++i) {
      const int first = static_cast<int>(rng.below(8));
      blocks.push_back({4 * (1 + rng.below(50)), first, first + static_cast<int>(rng.below(4))});
    }
    const Placement placement = place(blocks, {});
    int64_t most = 0;
    for (int time = 0; time < 12; ++time) {
      int64_t live = 0;
      for (const Block& block : blocks)
        if (block.first_used <= time && time <= block.last_used) live += block.bytes;
      most = std::max(most, live);
    }
    EXPECT_GE(placement.bytes, most);
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_GE(placement.offsets[a], 0);
      EXPECT_LE(placement.offsets[a] + blocks[a].bytes, placement.bytes);
      for (size_t b = 0; b < a; ++b) {
        if (blocks[a].first_used > blocks[b].last_used || blocks[b].first_used > blocks[a].last_used)
          continue;
        EXPECT_TRUE(placement.offsets[a] + blocks[a].bytes <= placement.offsets[b] ||
                    placement.offsets[b] + blocks[b].bytes <= placement.offsets[a]);
      }
    }
  }
}

TEST(Placement, AnOverlapIsUsedAsFarAsItMay) {
  // The first dies where the second is made, which may lie 8 bytes below it or more.
  const std::vector<Block> blocks = {{100, 0, 1}, {100, 1, 2}};
  EXPECT_EQ(place(blocks, {}).bytes, 200);
  const Placement placement = place(blocks, {{.lower = 1, .upper = 0, .distance = 8}});
  EXPECT_EQ(placement.bytes, 108);
  EXPECT_EQ(placement.offsets, (std::vector<int64_t>{8, 0}));
}

// What is written never hits what is still read, followed byte by byte as the kernels go: whole bands, blocks
// of four pixels, planes of one channel, single outputs.
class Follower {
 public:
  Follower(const int8::QuantGraph& graph, const CPlan& plan) : graph_(graph), plan_(plan) {}

  void run() {
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      const CStep& step = plan_.steps[s];
      const int8::Operator& op = graph_.operators[step.op];
      const int time = static_cast<int>(s) + 1;
      if (std::holds_alternative<int8::Reshape>(op.kind)) continue;
      check_apart(time);
      const int8::Operator& last = graph_.operators[step.reader.value_or(step.op)];
      const int output = last.outputs[0];
      for (const int input : op.inputs)
        if (input >= 0 && !graph_.tensors[static_cast<size_t>(input)].constant())
          overlay(input, output, step, time);
      if (!step.reader) continue;
      for (const int input : last.inputs) {
        if (input == op.outputs[0] || input < 0 || plan_.tensor_buffers[static_cast<size_t>(input)] < 0)
          continue;
        EXPECT_TRUE(apart(input, output) || plan_.tensor_offset(output) <= plan_.tensor_offset(input));
      }
    }
  }

 private:
  [[nodiscard]] int64_t bytes(int tensor) const {
    return (graph_.tensors[static_cast<size_t>(tensor)].bytes() + 3) / 4 * 4;
  }
  [[nodiscard]] bool apart(int a, int b) const {
    const int64_t at = plan_.tensor_offset(a);
    const int64_t other = plan_.tensor_offset(b);
    return at + bytes(a) <= other || other + bytes(b) <= at;
  }

  // Buffers that outlive a step are apart from all others that live in it, and so is scratch.
  void check_apart(int time) const {
    for (const CBuffer& a : plan_.buffers)
      for (const CBuffer& b : plan_.buffers) {
        if (&a >= &b || a.first_used > time || a.last_used < time || b.first_used > time ||
            b.last_used < time)
          continue;
        const bool dies_into =
            (a.last_used == time && b.first_used == time) || (b.last_used == time && a.first_used == time);
        const bool scratch = a.tensors.empty() || b.tensors.empty();
        if (dies_into && !scratch) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset) << "at " << time;
      }
  }

  void overlay(int input, int output, const CStep& step, int time) {
    if (apart(input, output)) return;
    EXPECT_EQ(
        plan_.buffers[static_cast<size_t>(plan_.tensor_buffers[static_cast<size_t>(input)])].last_used >=
            time,
        true);
    const int8::Operator& op = graph_.operators[step.op];
    const int64_t in = plan_.tensor_offset(input);
    const int64_t out = plan_.tensor_offset(output);
    if (std::holds_alternative<int8::DepthwiseConv2D>(op.kind)) {
      EXPECT_EQ(in, out);
      return;
    }
    if (std::holds_alternative<int8::Conv2D>(op.kind)) {
      const std::vector<int>& dims = graph_.tensors[static_cast<size_t>(input)].dims;
      const std::vector<int>& result = graph_.tensors[static_cast<size_t>(output)].dims;
      const std::vector<int>& between = graph_.tensors[static_cast<size_t>(op.outputs[0])].dims;
      const auto& conv = std::get<int8::Conv2D>(op.kind);
      const std::vector<int>& filter = int8::input_tensor(graph_, op, 1).dims;
      const graph::WindowGeometry geometry =
          int8::window_geometry(conv, filter[1], filter[2], dims[1], dims[2]);
      // Units that are read as a whole before anything of them is written: bands, or four pixels.
      std::vector<bool> written(static_cast<size_t>(bytes(input)), false);
      const auto write = [&](int64_t first, int64_t end) {
        for (int64_t at = first; at < end; ++at)
          if (const int64_t byte = out + at - in; byte >= 0 && byte < bytes(input))
            written[static_cast<size_t>(byte)] = true;
      };
      const auto read = [&](int64_t pixel) {
        const int64_t row = pixel / between[2] * conv.stride_height - geometry.pad_top;
        const int64_t column = pixel % between[2] * conv.stride_width - geometry.pad_left;
        for (int ky = 0; ky < filter[1]; ++ky)
          for (int kx = 0; kx < filter[2]; ++kx) {
            const int64_t y = row + int64_t{ky} * conv.dilation_height;
            const int64_t x = column + int64_t{kx} * conv.dilation_width;
            if (y < 0 || y >= dims[1] || x < 0 || x >= dims[2]) continue;
            for (int c = 0; c < dims[3]; ++c)
              ASSERT_FALSE(written[static_cast<size_t>((y * dims[2] + x) * dims[3] + c)]);
          }
      };
      if (step.reader) {
        const int8::Operator& reader = graph_.operators[*step.reader];
        const int64_t row_bytes = int64_t{result[2]} * result[3];
        for (int row = 0; row < result[1]; row += step.band_rows) {
          const int end = std::min(row + step.band_rows, result[1]);
          const Rows first = rows_for_reader(graph_, reader, row);
          const Rows last = rows_for_reader(graph_, reader, end - 1);
          for (int64_t pixel = int64_t{first.first} * between[2]; pixel < int64_t{last.last} * between[2];
               ++pixel)
            read(pixel);
          write(row * row_bytes, end * row_bytes);
        }
      } else {
        const int64_t pixels = int64_t{between[1]} * between[2];
        for (int64_t pixel = 0; pixel < pixels; pixel += 4) {
          const int64_t end = std::min<int64_t>(pixel + 4, pixels);
          for (int64_t p = pixel; p < end; ++p) read(p);
          write(pixel * between[3], end * between[3]);
        }
      }
      return;
    }
    EXPECT_LE(out, in);  // pools and what goes element by element
  }

  const int8::QuantGraph& graph_;
  const CPlan& plan_;
};

TEST(CPlan, WhatIsStillReadIsNeverOverwritten) {
  Rng rng(2);
  for (int i = 0; i < 150; ++i) {
    const int8::QuantGraph graph =
        int8::random_network(rng, i % 3 == 0 ? int8::Ends::Float : int8::Ends::Int8);
    const CPlan plan = plan_c(graph);
    Follower(graph, plan).run();
    if (HasFailure()) {
      ADD_FAILURE() << "network " << i;
      return;
    }
  }
  for (int i = 0; i < 300; ++i) {
    const int8::QuantGraph graph = int8::random_quant_graph(rng);
    const CPlan plan = plan_c(graph);
    Follower(graph, plan).run();
    if (HasFailure()) {
      ADD_FAILURE() << "foreign network " << i;
      return;
    }
  }
  for (const char* name : {"resnet8", "dscnn", "s22_32", "ds16"}) {
    const int8::QuantGraph graph = named(name);
    const CPlan plan = plan_c(graph);
    Follower(graph, plan).run();
  }
}

TEST(CPlan, TakesLessThanTflmsHead) {
  Rng rng(3);
  int64_t ours = 0;
  int64_t theirs = 0;
  for (int i = 0; i < 50; ++i) {
    const int8::QuantGraph graph = int8::random_network(rng);
    ours += plan_c(graph).arena_bytes;
    theirs += plan_arena(graph, Abi::CortexM4).used_bytes();
  }
  EXPECT_LT(ours, theirs);
  // Two activations of 32 × 32 × 16, a row, and the windows of four pixels.
  EXPECT_EQ(plan_c(named("resnet8")).arena_bytes, 2 * 16384 + 512 + 1152);
  // One activation of 25 × 5 × 64, in place, and the windows of four pixels.
  EXPECT_EQ(plan_c(named("dscnn")).arena_bytes, 8000 + 512);
}

TEST(CPlan, IsTheSameEveryTime) {
  const int8::QuantGraph graph = named("mobilenet");
  const CPlan a = plan_c(graph);
  const CPlan b = plan_c(graph);
  ASSERT_EQ(a.buffers.size(), b.buffers.size());
  for (size_t i = 0; i < a.buffers.size(); ++i) EXPECT_EQ(a.buffers[i].offset, b.buffers[i].offset);
}

}  // namespace
}  // namespace retort::cost
