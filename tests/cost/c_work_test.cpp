// The repetitions in our C code's kernels, against windows that are walked cell by cell.
#include "cost/c_work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "int8/kernel_parameters.h"
#include "int8/random_quant_graph.h"

namespace retort::cost {
namespace {

// Of all windows of an operator: cells and lines within the image, windows, and windows that reach over its left or
// right edge.
struct Walked {
  double cells = 0;
  double lines = 0;
  double windows = 0;
  double beyond = 0;
};

Walked walk(const int8::QuantGraph& graph, const int8::Operator& op, const int8::WindowOp& window,
            int filter_height, int filter_width) {
  const std::vector<int>& input = int8::input_tensor(graph, op, 0).dims;
  const std::vector<int>& output = int8::output_tensor(graph, op).dims;
  const graph::WindowGeometry geometry =
      int8::window_geometry(window, filter_height, filter_width, input[1], input[2]);
  Walked walked;
  for (int y = 0; y < output[1]; ++y)
    for (int x = 0; x < output[2]; ++x) {
      int outside = 0;
      for (int row = 0; row < filter_height; ++row) {
        const int from_y = y * window.stride_height - geometry.pad_top + row;
        int cells = 0;
        for (int column = 0; column < filter_width; ++column) {
          const int from_x = x * window.stride_width - geometry.pad_left + column;
          const bool inside_line = from_x >= 0 && from_x < input[2];
          if (!inside_line) ++outside;
          if (inside_line && from_y >= 0 && from_y < input[1]) ++cells;
        }
        walked.cells += cells;
        walked.lines += cells > 0 ? 1 : 0;
      }
      walked.windows += 1;
      walked.beyond += outside > 0 ? 1 : 0;
    }
  return walked;
}

// A plan that runs each operator alone.
CPlan one_by_one(const int8::QuantGraph& graph) {
  CPlan plan;
  for (size_t i = 0; i < graph.operators.size(); ++i) plan.steps.push_back({.op = i});
  return plan;
}

struct Seen {
  int pools_of_fours_and_ones = 0;
  int averages = 0;
  int direct = 0;
  int packed = 0;
};

void expect_work(const int8::QuantGraph& graph, const int8::Operator& op, const CWork& work, Seen& seen) {
  const std::vector<double>& counts = work.counts;
  const std::vector<int>& output = int8::output_tensor(graph, op).dims;
  if (const auto* pool = std::get_if<int8::MaxPool2D>(&op.kind)) {
    const Walked walked = walk(graph, op, *pool, pool->filter_height, pool->filter_width);
    const double fours = output[3] / 4;
    const double ones = output[3] % 4;
    EXPECT_EQ(counts, (std::vector<double>{walked.cells * fours, walked.lines * fours, walked.windows * fours,
                                           walked.cells * ones, walked.lines * ones, walked.windows * ones,
                                           walked.windows, 1}));
    if (fours > 0 && ones > 1) ++seen.pools_of_fours_and_ones;
  } else if (const auto* average = std::get_if<int8::AveragePool2D>(&op.kind)) {
    const Walked walked = walk(graph, op, *average, average->filter_height, average->filter_width);
    EXPECT_EQ(counts, (std::vector<double>{walked.cells * output[3], walked.lines * output[3],
                                           walked.windows * output[3], walked.windows, 1}));
    ++seen.averages;
  } else if (const auto* conv = std::get_if<int8::Conv2D>(&op.kind)) {
    const std::vector<int>& filter = int8::input_tensor(graph, op, 1).dims;
    const Walked walked = walk(graph, op, *conv, filter[1], filter[2]);
    // A dilated window has no line that lies together.
    const double beyond = conv->dilation_width == 1 ? walked.beyond : walked.windows;
    const double edge_cells = beyond * filter[1] * filter[2];
    const double whole_lines = (walked.windows - beyond) * filter[1];
    const double blocks = (output[1] * output[2] + 3) / 4;
    const int quads = (filter[1] * filter[2] * filter[3] + 3) / 4;
    EXPECT_EQ(counts[0], blocks * filter[0] * quads);
    EXPECT_EQ(counts[1], blocks * filter[0] * (quads % 4));
    EXPECT_EQ(counts[2], blocks * filter[0]);
    if (filter[3] % 4 == 0) {
      const int line = filter[2] * filter[3];
      EXPECT_EQ(counts[3], whole_lines * (line / 16));
      EXPECT_EQ(counts[4], whole_lines * (line % 16 / 4));
      EXPECT_EQ(counts[5], whole_lines);
      EXPECT_EQ(counts[6], edge_cells * (filter[3] / 4));
      EXPECT_EQ(counts[7], edge_cells);
      EXPECT_EQ(counts[8] + counts[9] + counts[10], 0);
      ++seen.direct;
    } else {
      EXPECT_EQ(counts[3] + counts[4] + counts[5] + counts[6] + counts[7], 0);
      EXPECT_EQ(counts[8], walked.windows * filter[1] * filter[2] * filter[3]);
      EXPECT_EQ(counts[9], edge_cells);
      EXPECT_EQ(counts[10], walked.windows * filter[1]);
      ++seen.packed;
    }
    EXPECT_EQ(counts[11], walked.windows);
    EXPECT_EQ(counts[12], blocks);
    EXPECT_EQ(counts[13], 1);
  } else if (std::holds_alternative<int8::FullyConnected>(op.kind)) {
    const double outputs = static_cast<double>(int8::output_tensor(graph, op).elements());
    const int inputs = int8::input_tensor(graph, op, 1).dims[1];
    EXPECT_EQ(counts, (std::vector<double>{outputs * ((inputs + 3) / 4), outputs, 1}));
  }
}

TEST(CWork, CountsWhatAWalkOverTheWindowsCounts) {
  Rng rng(31);
  Seen seen;
  for (int i = 0; i < 300; ++i) {
    const int8::QuantGraph graph = int8::random_quant_graph(rng);
    const std::vector<CWork> work = c_work(graph, one_by_one(graph));
    ASSERT_EQ(work.size(), graph.operators.size());
    for (size_t k = 0; k < work.size(); ++k) {
      SCOPED_TRACE(testing::Message() << "network " << i << ", operator " << k);
      expect_work(graph, graph.operators[k], work[k], seen);
    }
  }
  for (const int count : {seen.pools_of_fours_and_ones, seen.averages, seen.direct, seen.packed})
    EXPECT_GT(count, 5);
}

}  // namespace
}  // namespace retort::cost
