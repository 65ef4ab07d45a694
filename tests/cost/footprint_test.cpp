#include "cost/footprint.h"

#include <gtest/gtest.h>

#include <tuple>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "cost/cost.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"

namespace retort::cost {
namespace {

const Board& board(std::string_view name) {
  return find_board(builtin_boards(), name);
}

TEST(Footprint, HasTheModelAndItsRuntime) {
  Rng rng(1);
  for (int i = 0; i < 40; ++i) {
    const graph::Graph graph = graph::random_graph(rng, {});
    const Cost tflm = analyze(graph, {.target = {.runtime = Runtime::Tflm}});
    EXPECT_EQ(tflm.footprint.model_bytes, tflm.flash_bytes);
    EXPECT_EQ(tflm.footprint.arena_bytes, tflm.cortex_m4.smallest_bytes);
    const Cost c = analyze(graph, {.target = {.runtime = Runtime::C}});
    EXPECT_EQ(c.flash_bytes, tflm.flash_bytes) << "that stays the file's";
    EXPECT_GE(c.footprint.model_bytes, c.parameters);
    EXPECT_LT(c.footprint.flash_bytes(), tflm.footprint.flash_bytes());
    EXPECT_LT(c.footprint.ram_bytes(), tflm.footprint.ram_bytes());
    for (const Footprint& footprint : {c.footprint, tflm.footprint}) {
      EXPECT_GT(footprint.code_bytes, 0);
      EXPECT_GT(footprint.stack_bytes, 0);
      EXPECT_EQ(footprint.flash_bytes(), footprint.model_bytes + footprint.code_bytes);
      EXPECT_EQ(footprint.ram_bytes(),
                footprint.arena_bytes + footprint.static_bytes + footprint.stack_bytes);
      EXPECT_EQ(Json(footprint).get<Footprint>(), footprint);
    }
  }
}

// Code is there once, however many operators of a kind there are.
TEST(Footprint, CodeGrowsWithKindsOfOperators) {
  const auto code = [](const char* name) {
    return analyze(graph::reference_network(name), {.target = {.runtime = Runtime::Tflm}})
        .footprint.code_bytes;
  };
  EXPECT_EQ(code("s11_16"), code("s32_64"));
  EXPECT_LT(code("autoencoder"), code("s11_16"));
}

// Linked with exactly these operators by arm-none-eabi-g++ 12.2 (footprint.cpp says how).
TEST(Footprint, IsWhatTflmWasLinkedTo) {
  for (const auto& [name, bytes] : {std::pair{"autoencoder", 20'472}, std::pair{"dscnn", 41'608},
                                    std::pair{"mobilenet", 41'608}, std::pair{"resnet8", 45'988}}) {
    const Cost cost = analyze(graph::reference_network(name), {.target = {.runtime = Runtime::Tflm}});
    EXPECT_NEAR(static_cast<double>(cost.footprint.code_bytes), bytes, 40) << name;
  }
}

TEST(Footprint, RuntimesHaveNames) {
  EXPECT_EQ(parse_runtime("c"), Runtime::C);
  EXPECT_EQ(parse_runtime(to_string(Runtime::Tflm)), Runtime::Tflm);
  EXPECT_THROW(parse_runtime("C"), Error);
}

// Compiled by arm-none-eabi-gcc 12.2 -Os: .text, and .rodata (conformance/c_code.py).
TEST(Footprint, IsWhatGeneratedCodeWasCompiledTo) {
  for (const auto& [name, text, numbers] :
       {std::tuple{"resnet8", 3'732, 82'140}, std::tuple{"dscnn", 4'208, 29'600},
        std::tuple{"mobilenet", 4'584, 242'368}, std::tuple{"autoencoder", 544, 284'536},
        std::tuple{"ds16", 4'070, 6'228}}) {
    const Footprint footprint = analyze(graph::reference_network(name), {}).footprint;
    EXPECT_NEAR(static_cast<double>(footprint.code_bytes), text, 64) << name;
    EXPECT_NEAR(static_cast<double>(footprint.model_bytes), numbers, 100) << name;
  }
}

// Counted on an emulated Cortex-M4 at -O2 (bench/c_instructions.py).
TEST(Latency, CountsOurKernelsInstructions) {
  for (const auto& [name, instructions] :
       {std::pair{"resnet8", 14'600'000}, std::pair{"dscnn", 4'602'000}, std::pair{"autoencoder", 560'840}}) {
    const Cost cost = analyze(graph::reference_network(name), {.target = {.board = board("stm32l4r5")}});
    ASSERT_TRUE(cost.latency);
    EXPECT_NEAR(static_cast<double>(cost.latency->instructions) / instructions, 1, 0.05) << name;
    EXPECT_LT(cost.latency->error_fraction, 0.3);
    EXPECT_EQ(Json(*cost.latency), Json(Json(*cost.latency).get<Latency>()));
  }
}

// Counted on an emulated Cortex-M4 (latency.cpp says how).
TEST(Latency, CountsTflmsInstructions) {
  for (const auto& [name, instructions] :
       {std::pair{"resnet8", 105'543'880}, std::pair{"dscnn", 42'181'040}, std::pair{"mobilenet", 99'401'320},
        std::pair{"autoencoder", 1'691'080}, std::pair{"s11_16", 9'000'400}, std::pair{"ds32", 58'426'360}}) {
    const Cost cost = analyze(graph::reference_network(name),
                              {.target = {.runtime = Runtime::Tflm, .board = board("stm32l4r5")}});
    ASSERT_TRUE(cost.latency);
    EXPECT_NEAR(static_cast<double>(cost.latency->instructions) / instructions, 1, 0.01) << name;
  }
}

TEST(Latency, FollowsTheCoreTheClockAndTheRuntime) {
  const graph::Graph graph = graph::reference_network("ds16");
  const auto latency = [&](const Board& on, Runtime runtime) {
    return *analyze(graph, {.target = {.runtime = runtime, .board = on}}).latency;
  };
  Board m4 = board("nrf52840");
  const Latency at_64 = latency(m4, Runtime::C);
  m4.clock_hz *= 2;
  EXPECT_NEAR(latency(m4, Runtime::C).milliseconds, at_64.milliseconds / 2, 1e-9);
  EXPECT_GT(latency(board("nrf52840"), Runtime::Tflm).milliseconds, 1.5 * at_64.milliseconds);
  m4.core = Core::CortexM0Plus;
  EXPECT_GT(latency(m4, Runtime::C).instructions, at_64.instructions) << "without DSP instructions";
  EXPECT_GT(latency(board("esp32s3"), Runtime::C).error_fraction, at_64.error_fraction);
  EXPECT_FALSE(analyze(graph, {}).latency) << "without a board there is no time";
}

}  // namespace
}  // namespace retort::cost
