#include "cost/latency.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cost/code_table.h"

namespace retort::cost {
namespace {

// What an operator does, in the numbers that its instructions follow from.
struct Work {
  double macs = 0;  // conv, depthwise, dense: products; pools and means: values that are read
  double taps = 0;  // conv: places of the kernel over all outputs, a tap has input channels products
  double outputs = 0;
};

Work work_of(const int8::QuantGraph& graph, const int8::Operator& op) {
  const auto tensor = [&](int index) -> const int8::Tensor& {
    return graph.tensors[static_cast<size_t>(index)];
  };
  Work work{.macs = static_cast<double>(int8::operator_macs(graph, op)),
            .outputs = static_cast<double>(tensor(op.outputs[0]).elements())};
  const auto pool = [&](const auto& p) {
    work.macs = work.outputs * static_cast<double>(p.filter_height) * static_cast<double>(p.filter_width);
  };
  if (std::holds_alternative<int8::Conv2D>(op.kind))
    work.taps = work.macs / static_cast<double>(std::max(tensor(op.inputs[1]).dims.back(), 1));
  if (const auto* max = std::get_if<int8::MaxPool2D>(&op.kind)) pool(*max);
  if (const auto* average = std::get_if<int8::AveragePool2D>(&op.kind)) pool(*average);
  if (std::holds_alternative<int8::Mean>(op.kind))
    work.macs = static_cast<double>(tensor(op.inputs[0]).elements());
  return work;
}

// instructions = a_mac · macs + a_tap · taps + an_output · outputs + fixed
struct Coefficients {
  double a_mac = 0;
  double a_tap = 0;
  double an_output = 0;
  double fixed = 0;
};
using Model = std::array<Coefficients, kOperatorKinds>;  // in the order of int8::OperatorKind

// TO BE REPLACED BEFORE MERGING: of conv, depthwise and dense solved for the totals that were counted for
// MLPerf Tiny's four networks (TFLM's reference kernels 8.6, 16.2, 13.4 and 7.4 instructions a MAC; CMSIS-NN,
// for our kernels with DSP instructions, 2.39, 2.90, 3.22 and 2.21), the others guessed.
constexpr Model kTflmReference = {{{6.3, 32.5, 80, 2'000},  // conv
                                   {38, 0, 80, 2'000},      // depthwise
                                   {18, 0, 40, 500},        // max pool
                                   {18, 0, 60, 500},        // average pool
                                   {6.9, 0, 80, 1'000},     // dense
                                   {0, 0, 110, 1'000},      // add
                                   {20, 0, 80, 2'000},      // mean
                                   {0, 0, 1, 300},          // reshape
                                   {0, 0, 900, 1'000},      // softmax
                                   {0, 0, 60, 300},         // relu
                                   {0, 0, 12, 300},         // relu6
                                   {0, 0, 60, 300},         // quantize
                                   {0, 0, 30, 300}}};       // dequantize
constexpr Model kDsp = {{{2.25, 0, 30, 500},
                         {4, 0, 30, 500},
                         {3, 0, 10, 200},
                         {4, 0, 25, 200},
                         {2.05, 0, 30, 300},
                         {0, 0, 25, 200},
                         {3, 0, 40, 200},
                         {0, 0, 1, 50},
                         {0, 0, 150, 500},
                         {0, 0, 12, 100},
                         {0, 0, 6, 100},
                         {0, 0, 40, 100},
                         {0, 0, 15, 100}}};
constexpr Model kPlain = {{{5, 0, 40, 500},
                           {8, 0, 40, 500},
                           {6, 0, 12, 200},
                           {6, 0, 30, 200},
                           {4.5, 0, 40, 300},
                           {0, 0, 45, 200},
                           {4, 0, 40, 200},
                           {0, 0, 1, 50},
                           {0, 0, 200, 500},
                           {0, 0, 20, 100},
                           {0, 0, 8, 100},
                           {0, 0, 40, 100},
                           {0, 0, 20, 100}}};
constexpr double kModelError = 0.15;  // of the instructions, beside the board's own uncertainty

const Model& model_of(Runtime runtime, Core core) {
  if (runtime == Runtime::Tflm) return kTflmReference;
  return traits(core).kernels == Kernels::Dsp ? kDsp : kPlain;
}

}  // namespace

Latency estimate_latency(const int8::QuantGraph& graph, Runtime runtime, const Board& board) {
  const Model& model = model_of(runtime, board.core);
  double instructions = 0;
  for (const int8::Operator& op : graph.operators) {
    const Work work = work_of(graph, op);
    const Coefficients& c = model[op.kind.index()];
    instructions += c.a_mac * work.macs + c.a_tap * work.taps + c.an_output * work.outputs + c.fixed;
  }
  constexpr double kMost = 9e18;  // of an absurd file
  return {
      .instructions = std::llround(std::min(instructions, kMost)),
      .milliseconds = instructions * board.cycles_per_instruction / static_cast<double>(board.clock_hz) * 1e3,
      .error_fraction = std::hypot(kModelError, board.cycles_error)};
}

std::string latency_text(const Latency& latency) {
  const double ms = latency.milliseconds;
  return fmt::format("{:.{}f} ms ± {:.0f} %", ms,
                     ms < 10    ? 2
                     : ms < 100 ? 1
                                : 0,
                     latency.error_fraction * 100);
}

void to_json(nlohmann::json& json, const Latency& latency) {
  json = {{"instructions", latency.instructions},
          {"milliseconds", latency.milliseconds},
          {"error", latency.error_fraction}};
}

void from_json(const nlohmann::json& json, Latency& latency) {
  latency = {.instructions = json.at("instructions"),
             .milliseconds = json.at("milliseconds"),
             .error_fraction = json.at("error")};
}

}  // namespace retort::cost
