// What every backend promises, and that all compute what the reference computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "backend_contract.h"
#include "base/error.h"
#include "engine/network.h"
#include "graph/notebook.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "random_batch.h"
#include "small_data.h"

namespace retort::engine {
namespace {

INSTANTIATE_TEST_SUITE_P(Backends, BackendContract, testing::ValuesIn(backend_names()),
                         [](const auto& parameter) { return parameter.param; });

TEST_P(BackendContract, HasItsNameInTheTable) {
  EXPECT_EQ(backend(GetParam()).name(), GetParam());
}

TEST(Backends, TheDefaultIsTheCpu) {
  EXPECT_EQ(backend().name(), "cpu");
  try {
    backend("gpu");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_STREQ(error.what(), "there is no backend 'gpu'; known: cpu, reference");
  }
}

TEST_P(BackendContract, ComputesWhatTheReferenceComputesOnRandomGraphs) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Rng rng(seed);
    const graph::Graph graph = without_dropout(graph::random_graph(rng, {}));
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Objective objective = seed % 3 == 0   ? Objective{}
                                : seed % 3 == 1 ? Objective{0.1F, 3.0F, 0.0F}
                                                : Objective{0.6F, 2.0F, 0.1F};
    expect_like_reference(graph, random_parameters(graph, rng.fork("parameters")), objective, seed, 1e-3);
  }
}

TEST_P(BackendContract, ComputesWhatTheReferenceComputesOnTheNotebooksStudents) {
  for (const graph::StudentConfig& config :
       {graph::StudentConfig{1, 1, 16, 0, 64}, graph::StudentConfig{2, 2, 16, 2, 64}}) {
    const graph::Graph graph = graph::create_model(graph::student_layers(config, 10), {32, 32, 1, false}, 10);
    SCOPED_TRACE(graph::to_string(config));
    expect_like_reference(graph, graph::initialize(graph, Rng(4)), {0.1F, 3.0F, 0.0F}, 9, 1e-3);
  }
}

TEST_P(BackendContract, ParametersAndStatesGoInAndOutUnchanged) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    graph::Graph graph = graph::random_graph(rng, {});
    if (seed % 2 == 0) graph = graph::quantized_form(graph);
    const auto network = compile(graph);
    const auto random = [&](uint64_t index) {
      Parameters values(graph);
      Rng stream = rng.fork("values", index);
      for (float& value : values.values()) value = stream.normal();
      return values;
    };
    expect_equal(network->parameters(), Parameters(graph));
    network->set_parameters(random(0));
    expect_equal(network->parameters(), random(0));
    EXPECT_TRUE(network->masks().specs().empty());

    // Moments of what is not learned are no state.
    const auto learned = [&](uint64_t index) {
      Parameters values = random(index);
      for (const ParameterSpec& spec : values.specs())
        if (!graph::is_trainable(spec.role))
          for (float& value : values.at(spec.node, spec.role)) value = 0;
      return values;
    };
    network->set_optimizer_state({17, learned(1), learned(2)});
    const OptimizerState state = network->optimizer_state();
    EXPECT_EQ(state.steps, 17);
    expect_equal(state.first, learned(1));
    expect_equal(state.second, learned(2));
    EXPECT_GT(network->memory_bytes(), 0);
    EXPECT_FALSE(network->describe_plan().empty());
  }
}

// Each optimiser's step from its gradients and moments, as its formula says.
TEST_P(BackendContract, OptimizersFollowTheirFormulas) {
  const graph::Graph graph = small_graph();
  std::vector<OptimizerOptions> all(6);
  all[1].epsilon_form = EpsilonForm::PyTorch;
  all[2] = {.beta1 = 0.8F, .beta2 = 0.99F, .epsilon = 0.01F, .weight_decay = 0.1F};
  all[3] = {.epsilon = 0.01F, .epsilon_form = EpsilonForm::PyTorch};
  all[4].kind = OptimizerKind::Sgd;
  all[5] = {.kind = OptimizerKind::Sgd, .momentum = 0, .weight_decay = 0.2F};
  for (size_t which = 0; which < all.size(); ++which) {
    SCOPED_TRACE(which);
    const OptimizerOptions& options = all[which];
    const auto network = compile(graph, {.batch_size = 8, .optimizer = options});
    network->set_parameters(random_parameters(graph, Rng(2)));
    for (int step = 1; step <= 4; ++step) {
      const RandomBatch batch(graph, 8, Rng(3).fork("batch", static_cast<uint64_t>(step)));
      Rng rng(5);
      const OptimizerState state = network->optimizer_state();
      network->compute_gradients(batch.view(), {}, rng);
      const Parameters before = network->parameters();
      const Parameters gradients = network->gradients();
      const double rate = 0.01 * step;
      network->apply_gradients(static_cast<float>(rate));
      const Parameters after = network->parameters();
      EXPECT_EQ(network->optimizer_state().steps, step);
      for (const ParameterSpec& spec : before.specs()) {
        for (size_t i = spec.offset; i < spec.offset + spec.size; ++i) {
          double w = before.values()[i];
          if (graph::is_trainable(spec.role)) {
            const double g = gradients.values()[i];
            if (spec.role == Role::Kernel) w -= rate * static_cast<double>(options.weight_decay) * w;
            if (options.kind == OptimizerKind::Adam) {
              const double beta1 = options.beta1;
              const double beta2 = options.beta2;
              const double m = beta1 * state.first.values()[i] + (1 - beta1) * g;
              const double v = beta2 * state.second.values()[i] + (1 - beta2) * g * g;
              const double c1 = 1 - std::pow(beta1, step);
              const double c2 = 1 - std::pow(beta2, step);
              const double epsilon = options.epsilon;
              if (options.epsilon_form == EpsilonForm::Keras)
                w -= rate * std::sqrt(c2) / c1 * m / (std::sqrt(v) + epsilon);
              else
                w -= rate * (m / c1) / (std::sqrt(v / c2) + epsilon);
            } else {
              const double momentum = options.momentum;
              const double velocity = momentum * state.first.values()[i] - rate * g;
              w += momentum * velocity - rate * g;
            }
          }
          ASSERT_NEAR(after.values()[i], w, 1e-6 * (1 + std::abs(w)) + 2e-4 * rate)
              << "step " << step << ", node " << spec.node << ", entry " << i - spec.offset;
        }
      }
    }
  }
}

TEST_P(BackendContract, MaskedWeightsAreZeroFromThenOn) {
  const graph::Graph graph = small_graph();
  const auto network = compile(graph, {.batch_size = 8});
  const Parameters start = random_parameters(graph, Rng(2));
  network->set_parameters(start);
  Parameters masks(graph);
  Rng rng(1);
  for (const ParameterSpec& spec : masks.specs())
    for (float& value : masks.at(spec.node, spec.role))
      value = spec.role == Role::Kernel && rng.below(3) > 0 ? 0.0F : 1.0F;
  const auto expect_masked = [&] {
    const Parameters now = network->parameters();
    int others = 0;
    for (size_t i = 0; i < now.values().size(); ++i) {
      if (masks.values()[i] == 0) {
        EXPECT_EQ(now.values()[i], 0);
      } else if (now.values()[i] != 0) {
        ++others;
      }
    }
    EXPECT_GT(others, 40);
  };
  network->set_masks(masks);
  expect_equal(network->masks(), masks);
  expect_masked();
  network->set_parameters(start);
  expect_masked();
  for (uint64_t step = 0; step < 3; ++step) {
    const RandomBatch batch(graph, 8, Rng(3).fork("batch", step));
    network->train_step(batch.view(), {}, 0.01F, rng);
    expect_masked();
  }
  // A later mask that lets go of them.
  std::fill(masks.values().begin(), masks.values().end(), 1.0F);
  network->set_masks(masks);
  const RandomBatch batch(graph, 8, Rng(4));
  network->train_step(batch.view(), {}, 0.01F, rng);
  network->train_step(batch.view(), {}, 0.01F, rng);
  EXPECT_LT(graph::kernel_sparsity(network->parameters()), 0.2);
}

TEST_P(BackendContract, AnotherNetworkGoesOnFromTheStateToTheSameBits) {
  const graph::Graph graph = small_graph();
  for (const int threads : {1, 2}) {
    const CompileOptions options{.batch_size = 16, .threads = threads};
    const auto network = compile(graph, options);
    network->set_parameters(random_parameters(graph, Rng(2)));
    const auto train = [&](Network& which, uint64_t from, uint64_t to) {
      for (uint64_t step = from; step < to; ++step) {
        const RandomBatch batch(graph, step % 3 == 2 ? 7 : 16, Rng(3).fork("batch", step));
        Rng rng = Rng(8).fork("dropout", step);
        which.train_step(batch.view(), {0.5F, 2.0F, 0.0F}, 0.01F, rng);
      }
    };
    train(*network, 0, 5);
    const auto other = compile(graph, options);
    other->set_parameters(network->parameters());
    other->set_optimizer_state(network->optimizer_state());
    train(*network, 5, 10);
    train(*other, 5, 10);
    expect_equal(network->parameters(), other->parameters());
    expect_equal(network->optimizer_state().first, other->optimizer_state().first);
    expect_equal(network->optimizer_state().second, other->optimizer_state().second);

    const auto again = compile(graph, options);
    again->set_parameters(random_parameters(graph, Rng(2)));
    train(*again, 0, 10);
    expect_equal(network->parameters(), again->parameters());
  }
}

// What is dropped, too, is the same on any number.
TEST_P(BackendContract, ThreadsChangeRoundingOnly) {
  const graph::Graph graph = small_graph();
  ASSERT_TRUE(std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const graph::Node& node) {
    return std::holds_alternative<graph::Dropout>(node.op);
  }));
  std::vector<Parameters> results;
  for (const int threads : {1, 2, 3}) {
    const auto network = compile(graph, {.batch_size = 16, .threads = threads});
    network->set_parameters(random_parameters(graph, Rng(2)));
    const RandomBatch batch(graph, 13, Rng(3));
    Rng rng(1);
    network->compute_gradients(batch.view(), {}, rng);
    results.push_back(network->gradients());
  }
  expect_near(results[1], results[0], 1e-4);
  expect_near(results[2], results[0], 1e-4);
}

// A white image, a batch of one: the kernel's gradient over the bias's is what dropout made of each 1.
TEST_P(BackendContract, DropoutDropsItsShareAndKeepsTheMean) {
  graph::Graph graph({64, 64, 1, false});
  graph.add(graph::Flatten{});
  graph.add(graph::Dropout{0.3F});
  graph.add(dense(2));
  const auto network = compile(graph, {.batch_size = 1});
  const std::vector<uint8_t> image(4096, 255);
  const std::vector<uint16_t> label{0};
  Rng rng(6);
  const auto factors = [&](Rng& stream) {
    network->compute_gradients({image, label, {}}, {}, stream);
    const Parameters gradients = network->gradients();
    const float dz = gradients.at(3, Role::Bias)[0];
    std::vector<float> values;
    for (size_t i = 0; i < 4096; ++i) values.push_back(gradients.at(3, Role::Kernel)[i] / dz);
    return values;
  };
  Rng copy = rng;
  const auto first = factors(rng);
  int dropped = 0;
  for (const float factor : first) {
    if (factor == 0)
      ++dropped;
    else
      EXPECT_NEAR(factor, 1 / 0.7, 1e-5);
  }
  EXPECT_NEAR(dropped / 4096.0, 0.3, 0.03);
  EXPECT_NE(factors(rng), first) << "the next step draws anew";
  EXPECT_EQ(factors(copy), first) << "the same numbers give the same choice";

  // None of it outside training.
  Parameters ones(graph);
  std::fill(ones.values().begin(), ones.values().end(), 1.0F);
  network->set_parameters(ones);
  std::vector<float> logits(2);
  network->predict(image, logits);
  EXPECT_NEAR(logits[0], 4097, 0.01);
}

TEST_P(BackendContract, PredictTakesAnyCount) {
  const graph::Graph graph = small_graph();
  const auto network = compile(graph, {.batch_size = 8});
  network->set_parameters(random_parameters(graph, Rng(2)));
  const RandomBatch images(graph, 100, Rng(1));
  std::vector<float> all(400);
  network->predict(images.images, all);
  for (const size_t count : {1, 7, 33}) {
    std::vector<float> some(count * 4);
    network->predict(std::span(images.images).subspan(36 * 50, 36 * count), some);
    for (size_t i = 0; i < some.size(); ++i) EXPECT_NEAR(some[i], all[200 + i], 1e-5);
  }
  network->predict({}, {});

  const auto predicting = compile(graph, {.batch_size = kPredictsOnly});
  predicting->set_parameters(network->parameters());
  std::vector<float> again(400);
  predicting->predict(images.images, again);
  EXPECT_EQ(again, all);
  EXPECT_LE(predicting->memory_bytes(), network->memory_bytes());
}

TEST_P(BackendContract, CountsWhatIsRight) {
  graph::Graph graph({1, 3, 1, false});
  graph.add(graph::Flatten{});
  graph.add(dense(3));
  const auto network = compile(graph, {.batch_size = 4});
  Parameters parameters(graph);
  for (size_t i = 0; i < 3; ++i) parameters.at(2, Role::Kernel)[4 * i] = 1;
  network->set_parameters(parameters);
  const std::vector<uint8_t> images{9, 0, 0, 0, 9, 0, 0, 0, 9, 9, 8, 7};
  Rng rng(0);
  EXPECT_EQ(network->compute_gradients({images, std::vector<uint16_t>{0, 1, 2, 0}, {}}, {}, rng).correct, 4);
  EXPECT_EQ(network->compute_gradients({images, std::vector<uint16_t>{1, 1, 2, 2}, {}}, {}, rng).correct, 2);
}

TEST_P(BackendContract, ErrorsSayWhatDoesNotFit) {
  const auto error_of = [](const std::function<void()>& function) -> std::string {
    try {
      function();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage);
      return error.what();
    }
    return "none";
  };
  const graph::Graph graph = small_graph();
  const auto network = compile(graph, {.batch_size = 8});
  network->set_parameters(random_parameters(graph, Rng(2)));
  Rng rng(0);
  RandomBatch batch(graph, 9, Rng(1));
  const auto step = [&](const Batch& view, const Objective& objective = {}) {
    return error_of([&] { network->compute_gradients(view, objective, rng); });
  };
  EXPECT_EQ(step(batch.view()), "a batch of 9 images: the network was compiled for 1 to 8");
  EXPECT_EQ(step({}), "a batch of 0 images: the network was compiled for 1 to 8");
  batch = RandomBatch(graph, 8, Rng(1));
  EXPECT_EQ(step({std::span(batch.images).first(100), batch.labels, {}}),
            "100 bytes of images for 8 labels: 8 images × 36 bytes are needed");
  EXPECT_EQ(step({batch.images, batch.labels, {}}, {0.5F, 2.0F, 0.0F}),
            "0 teacher logits for 8 images: 8 × 4 classes are needed");
  EXPECT_EQ(step(batch.view(), {1.5F, 2.0F, 0.0F}), "alpha 1.5: a number from 0 to 1 is needed");
  EXPECT_EQ(step(batch.view(), {0.5F, 0.0F, 0.0F}), "temperature 0: a positive number is needed");
  batch.labels[3] = 4;
  EXPECT_EQ(step(batch.view()), "label 4: the network has 4 classes");

  const Parameters other(small_graph(5));
  EXPECT_NE(error_of([&] { network->set_parameters(other); }).find("the parameters belong to another graph"),
            std::string::npos);
  EXPECT_NE(error_of([&] { network->set_masks(other); }).find("the masks belong to another graph"),
            std::string::npos);
  EXPECT_NE(
      error_of([&] { network->set_optimizer_state({1, other, other}); }).find("belong to another graph"),
      std::string::npos);
  std::vector<float> logits(4);
  EXPECT_NE(error_of([&] { network->predict(std::span(batch.images).first(35), logits); }), "none");
  EXPECT_NE(error_of([&] { network->predict(std::span(batch.images).first(72), logits); }), "none");

  EXPECT_EQ(error_of([&] { compile(graph, {.batch_size = 0}); }), "batch size 0: at least 1 is needed");
  EXPECT_EQ(error_of([&] { compile(graph, {.threads = 0}); }), "0 threads: at least 1 is needed");
  graph::Graph early({2, 2, 1, false});
  EXPECT_EQ(error_of([&] { compile(early); }), "a graph without operators can't be trained");
  graph::Conv conv;
  conv.filters = 3;
  early.add(conv);
  EXPECT_EQ(error_of([&] { compile(early); }),
            "node 1: the logits are 2×2×3; add a flatten or global_avg_pool before them");
  early.add(graph::Flatten{});
  early.add(graph::Softmax{});
  early.add(dense(4));
  EXPECT_EQ(error_of([&] { compile(early); }), "node 3: a softmax can only be the last node");
  graph::Graph wide({20, 20, 1, false});
  wide.add(graph::MaxPool{{17, 17, 1, 1, graph::Padding::Same}});
  wide.add(graph::Flatten{});
  wide.add(dense(4));
  EXPECT_EQ(error_of([&] { compile(wide); }), "node 1: a max pool's window of 17×17 has more than 256 cells");
}

}  // namespace
}  // namespace retort::engine
