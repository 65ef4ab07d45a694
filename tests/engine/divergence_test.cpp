// Numbers that cease to be finite end training at their step, and the sentence names the layer.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/trainer.h"
#include "graph/parameters.h"
#include "small_data.h"

namespace retort::engine {
namespace {

using graph::Parameters;

// What training says of itself after before_step spoiled the network of both backends, and the epochs it stored.
struct Ended {
  std::string sentence;
  int stored = 0;
};
class Divergent : public testing::TestWithParam<std::string> {
 protected:
  Ended ended(const graph::Graph& graph, const std::function<void(Network&, int64_t)>& spoil,
              const OptimizerOptions& optimizer = {}, float rate = 0.001F) {
    const auto network = backend(GetParam()).compile(graph, {.batch_size = 32, .optimizer = optimizer});
    network->set_parameters(graph::initialize(graph, Rng(1)));
    TrainOptions options;
    options.epochs = 3;
    options.schedule.peak = rate;
    Ended result;
    TrainCallbacks callbacks;
    callbacks.before_step = [&](Network& spoiled, int64_t step, int64_t) { spoil(spoiled, step); };
    callbacks.after_epoch = [&](const Checkpoint&) { ++result.stored; };
    try {
      train(*network, {dataset_, training_, validation_, nullptr}, options, Rng(77), callbacks, {});
    } catch (const Divergence& error) {
      EXPECT_EQ(error.code(), ErrorCode::Failure);
      result.sentence = error.what();
    }
    return result;
  }

 private:
  data::Dataset dataset_ = small_dataset();
  std::vector<uint32_t> training_ = range_of_indices(0, 90);
  std::vector<uint32_t> validation_ = range_of_indices(90, 120);
};

void spoil_weight(Network& network, int node, graph::Role role, float value) {
  Parameters parameters = network.parameters();
  parameters.at(node, role)[0] = value;
  network.set_parameters(parameters);
}

TEST_P(Divergent, AWeightIsNamedAtItsStep) {
  const Ended result = ended(small_graph(), [](Network& network, int64_t step) {
    if (step == 4) spoil_weight(network, 7, graph::Role::Bias, NAN);
  });
  EXPECT_EQ(result.sentence,
            "step 5 of 9: a weight of layer 7 (dense) is nan; a lower learning rate than 0.001 may help");
  EXPECT_EQ(result.stored, 1);
}

// Finite weights, but what a layer makes of them is not, nor what follows. The reference computes in doubles, which
// reach to 1e308: there all is finite until gradients become single again.
TEST_P(Divergent, TheFirstThatOverflowsIsNamed) {
  graph::Graph graph(small_graph().input_shape());
  graph.add(graph::Conv{.filters = 8});
  graph.add(graph::GlobalAvgPool{});
  graph.add(graph::Dense{.units = 8});
  graph.add(graph::Dense{.units = small_graph().classes()});
  const Ended result = ended(graph, [](Network& network, int64_t step) {
    if (step != 3) return;
    Parameters parameters = network.parameters();
    for (float& value : parameters.at(1, graph::Role::Bias)) value = 1e36F;
    for (float& value : parameters.at(3, graph::Role::Kernel)) value = 1e3F;
    network.set_parameters(parameters);
  });
  const std::string expected = GetParam() == "cpu"
                                   ? "step 4 of 9: the output of layer 3 (dense) is not finite; "
                                   : "step 4 of 9: a gradient of layer 4 (dense) is ";
  EXPECT_TRUE(result.sentence.starts_with(expected)) << result.sentence;
  EXPECT_EQ(result.stored, 1);
}

// A pool sees no number that is none beside one that is, so that the loss tells nothing.
TEST_P(Divergent, AWeightThatPoolsHideIsNamedAtItsStep) {
  graph::Graph graph(small_graph().input_shape());
  graph.add(graph::Conv{.filters = 3});
  graph.add(graph::Relu{});
  graph.add(graph::MaxPool{});
  graph.add(graph::Conv{.filters = 8});
  graph.add(graph::Relu{});
  graph.add(graph::GlobalAvgPool{});
  graph.add(graph::Dense{.units = small_graph().classes()});
  const Ended result = ended(graph, [](Network& network, int64_t step) {
    if (step == 1) spoil_weight(network, 4, graph::Role::Bias, NAN);
  });
  EXPECT_EQ(result.sentence.substr(0, 56), "step 2 of 9: a weight of layer 4 (conv) is nan; a lower ");
  EXPECT_EQ(result.stored, 0);
}

// Nobody spoils anything: so high a rate does it alone, and says so before the epoch ends.
TEST_P(Divergent, ARateThatIsTooHighIsCaughtWithinItsEpoch) {
  const Ended result = ended(small_graph(), [](Network&, int64_t) {}, {.kind = OptimizerKind::Sgd}, 1e38F);
  EXPECT_TRUE(result.sentence.starts_with("step ")) << result.sentence;
  EXPECT_NE(result.sentence.find(" of layer "), std::string::npos) << result.sentence;
  EXPECT_EQ(result.stored, 0);
}

// A step normalises by its batch, validation by the mean that was gathered: that one alone has overflowed.
TEST_P(Divergent, WhatValidationAloneSeesIsNamed) {
  const Ended result = ended(small_graph(), [](Network& network, int64_t step) {
    if (step != 5) return;
    Parameters parameters = network.parameters();
    for (float& mean : parameters.at(2, graph::Role::Mean)) mean = -3e38F;
    for (float& variance : parameters.at(2, graph::Role::Variance)) variance = 0;
    network.set_parameters(parameters);
  });
  EXPECT_EQ(result.sentence,
            "step 6 of 9: the output for 30 of 30 validation images is not finite; a lower learning "
            "rate than 0.001 may help");
  EXPECT_EQ(result.stored, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, Divergent, testing::ValuesIn(backend_names()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace retort::engine
