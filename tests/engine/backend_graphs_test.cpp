// Graphs that a plan may compute in another way than node by node: passes in place, fused, in another order.
#include <gtest/gtest.h>

#include <variant>

#include "backend_contract.h"

namespace retort::engine {
namespace {

// The CPU computes some of these in one pass.
TEST_P(BackendContract, FirstConvolutionsWithAPoolBehind) {
  using graph::Padding;
  uint64_t seed = 0;
  for (const int side : {7, 8})
    for (const graph::Window& window :
         {graph::Window{3, 3, 1, 1, Padding::Same}, graph::Window{2, 3, 1, 1, Padding::Valid},
          graph::Window{3, 3, 2, 2, Padding::Same}, graph::Window{3, 3, 1, 2, Padding::Same}})
      for (const Padding padding : {Padding::Same, Padding::Valid}) {
        SCOPED_TRACE(testing::Message() << side << ", stride " << window.stride_width << ", case " << seed);
        graph::Graph graph({side, side + 1, 2, false});
        graph.add(graph::Conv{.filters = 5, .window = window});
        if (++seed % 2 == 0) graph.add(graph::Relu{});
        graph.add(graph::MaxPool{{2, 2, 2, 2, padding}});
        graph.add(graph::Flatten{});
        graph.add(dense(4));
        expect_like_reference(graph, random_parameters(graph, Rng(seed)), {}, seed, 1e-3);
      }
}

TEST_P(BackendContract, AFirstConvolutionMayBeLarge) {
  for (const int kernel : {11, 12}) {  // 512 taps are the most that the CPU's own kernel takes
    SCOPED_TRACE(kernel);
    graph::Graph graph({16, 17, 4, false});
    graph.add(graph::Conv{.filters = 5, .window = {kernel, kernel, 1, 1, graph::Padding::Same}});
    graph.add(graph::GlobalAvgPool{});
    graph.add(dense(4));
    expect_like_reference(graph, random_parameters(graph, Rng(5)), {}, 5, 1e-3);
  }
}

// Dense layers read features in any order, an addition and the loss do not, whatever stands between.
TEST_P(BackendContract, FeaturesKeepTheirOrderWhereItMatters) {
  for (const bool adds : {false, true}) {
    SCOPED_TRACE(adds ? "an addition" : "the loss");
    graph::Graph graph({2, 3, 2, false});
    graph.add(graph::Conv{.filters = 5});
    const int flat = graph.add(graph::Flatten{});
    const int normalized = graph.add(graph::BatchNorm{});
    if (adds) {
      const int made = graph.add(dense(30), {flat});
      graph.add(graph::Add{}, {graph.add(graph::Relu{}, {normalized}), made});
      graph.add(dense(4));
    }
    expect_like_reference(graph, random_parameters(graph, Rng(5)), {}, 5, 1e-3);
  }
}

// A pool or batch norm that applies the mask of the activation before it can do so only for itself.
TEST_P(BackendContract, AnActivationMasksTheGradientsOfAllItsReaders) {
  const graph::Operator readers[] = {graph::BatchNorm{}, graph::MaxPool{{3, 3, 1, 1, graph::Padding::Same}},
                                     graph::GlobalAvgPool{}};
  for (const graph::Operator& reader : readers) {
    SCOPED_TRACE(graph::operator_name(reader));
    graph::Graph graph({6, 6, 3, false});
    graph.add(graph::BatchNorm{});
    graph.add(graph::Conv{.filters = 8});
    const int activation = graph.add(graph::Relu{});
    const int one = graph.add(reader);
    int other = graph.add(graph::Conv{.filters = 8}, {activation});
    if (std::holds_alternative<graph::GlobalAvgPool>(reader)) other = graph.add(graph::GlobalAvgPool{});
    const int sum = graph.add(graph::Add{}, {one, other});
    if (!graph.node(sum).shape.flat) graph.add(graph::Flatten{});
    graph.add(dense(4));
    expect_like_reference(graph, random_parameters(graph, Rng(8)), {}, 8, 1e-3);
  }
}

// What dropout leaves where it found it may be written over only when the activation before it needs its signs no
// more.
TEST_P(BackendContract, ADropoutBetweenAnActivationAndAnotherPassHidesNoSigns) {
  const graph::Operator passes[] = {graph::Add{}, graph::FakeQuant{}, graph::Relu6{}, graph::Dropout{1e-9F}};
  for (const graph::Operator& pass : passes) {
    SCOPED_TRACE(graph::operator_name(pass));
    graph::Graph graph({6, 6, 3, false});
    const int first = graph.add(graph::Conv{.filters = 8});
    graph.add(graph::Conv{.filters = 8});
    graph.add(graph::Relu{});
    const int dropout = graph.add(graph::Dropout{1e-9F});
    if (std::holds_alternative<graph::Add>(pass))
      graph.add(pass, {dropout, first});
    else
      graph.add(pass);
    graph.add(graph::Conv{.filters = 8});
    graph.add(graph::GlobalAvgPool{});
    graph.add(dense(4));
    expect_like_reference(graph, random_parameters(graph, Rng(7)), {}, 7, 1e-3);
  }
}

// Cells of a window are numbered by one byte.
TEST_P(BackendContract, TheLargestPoolFindsItsLargestCellAnywhere) {
  // The pool comes behind a layer that learns, so that its gradient counts.
  graph::Graph graph({16, 16, 5, false});
  graph.add(graph::BatchNorm{});
  graph.add(graph::MaxPool{{16, 16, 16, 16, graph::Padding::Valid}});
  graph.add(graph::Flatten{});
  graph.add(dense(4));
  expect_like_reference(graph, random_parameters(graph, Rng(4)), {}, 4, 1e-3);
}

TEST_P(BackendContract, BatchNormSeesSmallDifferencesOfLargeNumbers) {
  graph::Graph graph({6, 6, 1, false});
  graph.add(graph::Conv{.filters = 4});
  graph.add(graph::BatchNorm{});
  graph.add(graph::Flatten{});
  graph.add(dense(4));
  Parameters parameters = random_parameters(graph, Rng(3));
  for (float& bias : parameters.at(1, Role::Bias)) bias = 3000;
  expect_like_reference(graph, parameters, {}, 3, 5e-3);
}

}  // namespace
}  // namespace retort::engine
