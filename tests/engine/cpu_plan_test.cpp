// What the CPU backend promises beyond the contract of all backends: no slow implementation, the same bits whatever
// runs beside it, and an arena without collisions. steady_step_test.cpp has what a step must not do.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "engine/plan_layout.h"
#include "engine/plan_memory.h"
#include "graph/notebook.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"
#include "random_batch.h"

// Of the OpenMP that oneDNN runs on.
extern "C" int omp_get_max_threads();

namespace retort::engine {
namespace {

using graph::Graph;

std::unique_ptr<Network> compile(const Graph& graph, int batch_size = 32, int threads = 1,
                                 Precision precision = Precision::Float32) {
  auto network =
      backend("cpu").compile(graph, {.batch_size = batch_size, .threads = threads, .precision = precision});
  network->set_parameters(graph::initialize(graph, Rng(3)));
  return network;
}

// oneDNN's names of its slow implementations, and those of plain matrix products, which hide a conversion of
// layouts.
// Of the full batch, of an epoch's last one, and of inference.
void expect_no_slow_step(const Graph& graph, int batch_size, Precision precision) {
  const auto network = compile(graph, batch_size, 1, precision);
  const RandomBatch rest(graph, static_cast<size_t>(batch_size) / 2 + 1, Rng(1));
  Rng rng(2);
  network->compute_gradients(rest.view(), {}, rng);
  std::vector<float> logits(rest.labels.size() * static_cast<size_t>(graph.classes()));
  network->predict(rest.images, logits);
  std::set<std::string> plans;
  for (const std::string& line : network->describe_plan()) {
    plans.insert(line.substr(0, line.find(':')));
    for (const char* slow : {"ref", "simple", "gemm", "nspc"})
      EXPECT_EQ(line.find(slow), std::string::npos) << line;
  }
  EXPECT_EQ(plans.size(), 3U) << testing::PrintToString(plans);
}

// The whole suite runs once more as on a CPU without AVX-512 (tests/CMakeLists.txt): oneDNN reads the
// variable itself, our own kernels follow it as soon as there is a backend.
const bool limited_to_avx2 = [] {
  const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  return limit != nullptr && std::string_view(limit) == "AVX2";
}();

TEST(CpuPlan, FollowsALimitOnTheInstructionSet) {
  if (!limited_to_avx2) GTEST_SKIP() << "no limit is set";
  EXPECT_EQ(onednn::channel_block(), 8);
  static_cast<void>(backend("cpu"));
  EXPECT_EQ(hwy::SupportedTargets() & HWY_AVX3, 0);
  for (const std::string& line : compile(graph::reference_network("resnet8"))->describe_plan())
    EXPECT_EQ(line.find("avx512"), std::string::npos) << line;
}

TEST(CpuPlan, NoReferenceNetworkHasASlowImplementation) {
  for (const std::string& name : graph::reference_network_names()) {
    SCOPED_TRACE(name);
    const Graph graph = graph::reference_network(name);
    for (const Precision precision : {Precision::Float32, Precision::Bfloat16}) {
      expect_no_slow_step(graph, 32, precision);
      expect_no_slow_step(graph::quantized_form(graph), 32, precision);
    }
  }
}

TEST(CpuPlan, NoShapeOfConvolutionHasASlowImplementation) {
  const std::vector<std::array<int, 4>> windows{{3, 3, 1, 1}, {3, 3, 2, 2},  {1, 1, 1, 1}, {1, 1, 2, 2},
                                                {5, 5, 1, 1}, {10, 4, 2, 2}, {3, 1, 1, 1}, {1, 3, 2, 1},
                                                {3, 3, 1, 2}, {4, 4, 2, 2}};
  for (const int width : {5, 12, 20, 27}) {
    for (const auto& [height, columns, down, across] : windows) {
      for (const graph::Padding padding : {graph::Padding::Same, graph::Padding::Valid}) {
        SCOPED_TRACE(testing::Message() << width << " channels, " << height << "×" << columns << " by "
                                        << down << ", " << across);
        Graph graph({17, 14, 3, false});
        graph.add(graph::Conv{.filters = width, .window = {3, 3, 1, 1, graph::Padding::Same}});
        graph.add(graph::Relu{});
        graph.add(graph::Conv{.filters = width + 1, .window = {height, columns, down, across, padding}});
        graph.add(graph::GlobalAvgPool{});
        graph.add(graph::Dense{.units = width});
        graph.add(graph::Dense{.units = 10});
        for (const Precision precision : {Precision::Float32, Precision::Bfloat16})
          expect_no_slow_step(graph, 4, precision);
      }
    }
  }
}

graph::Parameters trained(const Graph& graph, int steps, int threads, std::atomic<bool>* stop = nullptr) {
  const auto network = compile(graph, 8, threads);
  Rng rng(7);
  for (int step = 0; stop == nullptr ? step < steps : !stop->load(); ++step) {
    const RandomBatch batch(graph, 8, Rng(9).fork("batch", static_cast<uint64_t>(step)));
    network->train_step(batch.view(), {0.5F, 2.0F, 0.0F}, 0.01F, rng);
  }
  return network->parameters();
}

TEST(CpuPlan, TheSameBitsAloneAndBesideOthers) {
  for (const char* name : {"s21_16", "ds16"}) {
    const Graph graph = graph::reference_network(name);
    const graph::Parameters alone = trained(graph, 5, 1);
    std::atomic<bool> stop{false};
    graph::Parameters first;
    graph::Parameters second;
    {
      std::jthread other([&] { trained(graph::reference_network("resnet8"), 0, 1, &stop); });
      std::jthread twin([&] { first = trained(graph, 5, 1); });
      second = trained(graph, 5, 1);
      twin.join();
      stop = true;
    }
    EXPECT_TRUE(std::ranges::equal(first.values(), alone.values()));
    EXPECT_TRUE(std::ranges::equal(second.values(), alone.values()));
  }
}

TEST(CpuPlan, TheSameBitsForTheSameNumberOfThreads) {
  const Graph graph = graph::reference_network("ds16");
  EXPECT_TRUE(std::ranges::equal(trained(graph, 4, 2).values(), trained(graph, 4, 2).values()));
}

// Numbers below the smallest normal one are slow, so the network takes them for 0, on all its threads; its caller
// does not.
TEST(CpuPlan, DenormalNumbersAreZeroWithinACall) {
  Graph graph({4, 4, 1, false});
  graph.add(graph::Flatten{});
  graph.add(graph::Dense{.units = 3});
  graph::Parameters parameters(graph);
  const volatile float denormal = 1e-40F;
  for (float& value : parameters.at(2, graph::Role::Kernel)) value = denormal;
  const std::vector<uint8_t> images(16 * 32, 255);
  for (const int threads : {1, 2}) {
    const auto network = compile(graph, 32, threads);
    network->set_parameters(parameters);
    std::vector<float> logits(3 * 32, 1);
    network->predict(images, logits);
    EXPECT_EQ(std::ranges::count(logits, 0.0F), 96) << threads;
    EXPECT_GT(denormal * 2, 0.0F);
  }
}

TEST(CpuPlan, ASmallNetworkNeedsLittleMemory) {
  EXPECT_LT(compile(graph::reference_network("s21_16"))->memory_bytes(), 16 << 20);
}

TEST(CpuPlan, SecondAndLaterPlansCompileQuickly) {
  const Graph graph = graph::reference_network("s22_32");
  compile(graph);
  double best = 1;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    compile(graph);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
#ifndef RETORT_SANITIZED
  EXPECT_LT(best, 0.02);
#endif
}

TEST(CpuPlan, ParametersLieApartWithTheirPaddingZero) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Rng rng(seed);
    const Graph graph = graph::random_graph(rng, {});
    for (const int block : {8, 16}) {
      const ParameterLayout layout(graph, lower(graph, block, PlanMode::Training));
      const ParameterLayout inference(graph, lower(graph, block, PlanMode::Inference));
      graph::Parameters numbers(graph);
      float next = 1;
      for (float& value : numbers.values()) value = next++;
      std::vector<float> inside(layout.count());
      layout.to_internal(numbers.values(), inside);
      std::vector<float> outside(numbers.values().size());
      layout.to_canonical(inside, outside);
      EXPECT_TRUE(std::ranges::equal(outside, numbers.values()));
      EXPECT_EQ(static_cast<size_t>(std::ranges::count_if(inside, [](float value) { return value != 0; })),
                outside.size());
      ASSERT_EQ(inference.count(), layout.count());
      std::vector<float> in_inference(layout.count());
      inference.to_internal(numbers.values(), in_inference);
      EXPECT_EQ(in_inference, inside) << "plans of both modes share the parameters";
    }
  }
}

TEST(CpuPlan, LeavesItsCallersThreadsAsTheyWere) {
  const int before = omp_get_max_threads();
  const Graph graph = graph::reference_network("ds16");
  const auto network = compile(graph, 4, before + 1);
  const RandomBatch batch(graph, 4, Rng(1));
  Rng rng(2);
  network->train_step(batch.view(), {}, 0.01F, rng);
  EXPECT_EQ(omp_get_max_threads(), before);
}

// The next network has the memory of the last, unless that would leave most of it idle.
TEST(Arena, TakesSpareMemoryOfItsSize) {
  constexpr size_t kLarge = size_t{64} << 20;
  auto first = std::make_unique<Arena>(kLarge);
  const std::byte* const memory = first->data();
  first->data()[kLarge / 2] = std::byte{1};
  first.reset();
  const Arena small(kLarge / 8);
  EXPECT_NE(small.data(), memory);
  const Arena large(kLarge - 4096);
  EXPECT_EQ(large.data(), memory);
  EXPECT_EQ(large.data()[kLarge / 2], std::byte{0});
}

TEST(MemoryPlan, BuffersThatLiveAtOnceDoNotCollide) {
  Rng rng(4);
  for (int round = 0; round < 50; ++round) {
    struct Request {
      size_t bytes;
      int first;
      int last;
    };
    MemoryPlan plan;
    std::vector<Request> requests;
    for (int i = 0; i < 40; ++i) {
      const int first = static_cast<int>(rng.below(30));
      const Request request{rng.below(5000), first, first + static_cast<int>(rng.below(10))};
      EXPECT_EQ(plan.request(request.bytes, request.first, request.last), i);
      requests.push_back(request);
    }
    plan.extend(3, 35);
    requests[3].last = std::max(requests[3].last, 35);
    const size_t total = plan.arrange();
    size_t needed = 0;
    for (int time = 0; time < 40; ++time) {
      size_t alive = 0;
      for (const Request& request : requests)
        if (request.first <= time && time <= request.last) alive += request.bytes;
      needed = std::max(needed, alive);
    }
    EXPECT_GE(total, needed);
    EXPECT_LE(total, needed * 3 / 2 + 64 * 40);
    for (int i = 0; i < 40; ++i) {
      const Request& a = requests[static_cast<size_t>(i)];
      EXPECT_EQ(plan.offset(i) % 64, 0);
      EXPECT_LE(plan.offset(i) + a.bytes, total);
      for (int j = 0; j < i; ++j) {
        const Request& b = requests[static_cast<size_t>(j)];
        const bool together = a.first <= b.last && b.first <= a.last;
        const bool overlap =
            plan.offset(i) < plan.offset(j) + b.bytes && plan.offset(j) < plan.offset(i) + a.bytes;
        EXPECT_FALSE(together && overlap && a.bytes > 0 && b.bytes > 0);
      }
    }
  }
}

}  // namespace
}  // namespace retort::engine
