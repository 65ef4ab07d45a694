#include "cost/footprint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/units.h"
#include "cost/code_table.h"

namespace retort::cost {
namespace {

// TO BE REPLACED BEFORE MERGING: estimates from what TFLM's binaries usually have, until its code was built
// for a Cortex-M4 at -Os and measured. In the order of int8::OperatorKind.
constexpr CodeTable kTflmCode = {
    .fixed_bytes = 24'000,
    .kind_bytes = {4'500, 4'500, 2'000, 2'000, 3'500, 4'000, 6'000, 700, 4'500, 1'500, 1'500, 3'000, 1'500},
    .shared = {}};
constexpr int64_t kTflmStaticBytes = 256;
constexpr int64_t kTflmStackBytes = 2'048;

}  // namespace

std::string_view to_string(Runtime runtime) {
  return runtime == Runtime::C ? "c" : "tflm";
}

std::string_view title(Runtime runtime) {
  return runtime == Runtime::C ? "generated C" : "TensorFlow Lite Micro";
}

Runtime parse_runtime(std::string_view text) {
  for (const Runtime runtime : {Runtime::C, Runtime::Tflm})
    if (text == to_string(runtime)) return runtime;
  throw_usage("\"{}\" is no runtime: write c (generated C) or tflm (TensorFlow Lite Micro)", text);
}

int64_t code_bytes(const CodeTable& table, const int8::QuantGraph& graph) {
  std::array<bool, kOperatorKinds> used{};
  for (const int8::Operator& op : graph.operators) used[op.kind.index()] = true;
  int64_t bytes = table.fixed_bytes;
  for (size_t kind = 0; kind < kOperatorKinds; ++kind)
    if (used[kind]) bytes += table.kind_bytes[kind];
  for (const SharedCode& shared : table.shared) {
    bool needed = false;
    for (size_t kind = 0; kind < kOperatorKinds; ++kind) needed |= used[kind] && shared.kinds[kind];
    if (needed) bytes += shared.bytes;
  }
  return bytes;
}

Footprint tflm_footprint(const int8::QuantGraph& graph, int64_t file_bytes, int64_t smallest_arena_bytes) {
  return {.model_bytes = file_bytes,
          .code_bytes = code_bytes(kTflmCode, graph),
          .arena_bytes = smallest_arena_bytes,
          .static_bytes = kTflmStaticBytes,
          .stack_bytes = kTflmStackBytes};
}

std::string flash_parts(const Footprint& footprint) {
  return fmt::format("model {} + code {}", format_integer(footprint.model_bytes),
                     format_integer(footprint.code_bytes));
}

std::string ram_parts(const Footprint& footprint) {
  return fmt::format("arena {} + static {} + stack {}", format_integer(footprint.arena_bytes),
                     format_integer(footprint.static_bytes), format_integer(footprint.stack_bytes));
}

void to_json(nlohmann::json& json, const Footprint& footprint) {
  json = {{"flash",
           {{"model", footprint.model_bytes},
            {"code", footprint.code_bytes},
            {"total", footprint.flash_bytes()}}},
          {"ram",
           {{"arena", footprint.arena_bytes},
            {"static", footprint.static_bytes},
            {"stack", footprint.stack_bytes},
            {"total", footprint.ram_bytes()}}}};
}

void from_json(const nlohmann::json& json, Footprint& footprint) {
  footprint = {.model_bytes = json.at("flash").at("model"),
               .code_bytes = json.at("flash").at("code"),
               .arena_bytes = json.at("ram").at("arena"),
               .static_bytes = json.at("ram").at("static"),
               .stack_bytes = json.at("ram").at("stack")};
}

}  // namespace retort::cost
