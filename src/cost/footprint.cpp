#include "cost/footprint.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cost/code_table.h"

namespace retort::cost {
namespace {

// TFLM 90b983c2 with reference kernels, built by hand for a Cortex-M4 (soft float) with arm-none-eabi-g++ 12.2 and
// newlib-nano, linked with --gc-sections: the kernels at -O2 and the rest at -Os, as TFLM's own make does, without
// error strings. .text, .rodata and .data beyond the same program without TFLM, the C library's part and soft float
// included. What several kinds of operators share is found from the linker's sections by the set of operators that
// pull them in; on 28 sets of operators the sum is within 31 bytes of what was linked.
constexpr std::array<SharedCode, 22> kTflmShared = {
    {{1460, 0x0b73}, {924, 0x1f7f}, {872, 0x004f}, {836, 0x000c}, {812, 0x0b7f}, {672, 0x0f7f},
     {384, 0x0003},  {332, 0x0013}, {284, 0x1f3f}, {280, 0x003f}, {236, 0x073f}, {160, 0x1900},
     {156, 0x0f73},  {148, 0x0b3f}, {120, 0x1fff}, {112, 0x0b53}, {80, 0x0500},  {40, 0x1bff},
     {28, 0x08c0},   {16, 0x000f},  {8, 0x0091},   {8, 0x0600}}};
// In the order of int8::OperatorKind.
constexpr CodeTable kTflmCode = {
    .fixed_bytes = 10664,
    .kind_bytes = {5396, 4312, 1852, 1728, 4148, 8688, 3996, 852, 6304, 796, 648, 1624, 588},
    .shared = kTflmShared};
// The resolver and what fills it.
constexpr int64_t kTflmOneKindBytes = 66;
constexpr int64_t kTflmSeveralKindsBytes = 128;
constexpr int64_t kTflmKindBytes = 21;
// The double multiplication, where no other operator than DEQUANTIZE brings it.
constexpr int64_t kTflmMultiplyBytes = 596;
// .data and .bss; softmax pulls in newlib's errno.
constexpr int64_t kTflmStaticBytes = 236;
constexpr int64_t kTflmStaticBytesAKind = 36;
constexpr int64_t kTflmStaticBytesOfSoftmax = 104;
// The deeper of AllocateTensors and Invoke, whichever operators there are beside.
constexpr std::array<int64_t, kOperatorKinds> kTflmStackBytes = {708, 652, 344, 344, 408, 784, 400,
                                                                 384, 356, 400, 336, 344, 336};

template <typename Kind>
constexpr size_t kIndexOf = int8::OperatorKind(Kind{}).index();

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

Kinds kinds_of(const int8::QuantGraph& graph) {
  Kinds kinds = 0;
  for (const int8::Operator& op : graph.operators) kinds |= Kinds{1} << op.kind.index();
  return kinds;
}

int64_t code_bytes(const CodeTable& table, const int8::QuantGraph& graph) {
  const Kinds used = kinds_of(graph);
  int64_t bytes = table.fixed_bytes;
  for (size_t kind = 0; kind < kOperatorKinds; ++kind)
    if ((used >> kind & 1U) != 0) bytes += table.kind_bytes[kind];
  for (const SharedCode& shared : table.shared)
    if ((used & shared.kinds) != 0) bytes += shared.bytes;
  return bytes;
}

Footprint tflm_footprint(const int8::QuantGraph& graph, int64_t file_bytes, int64_t smallest_arena_bytes) {
  const Kinds used = kinds_of(graph);
  const int kinds = std::popcount(used);
  constexpr Kinds kSoftmax = Kinds{1} << kIndexOf<int8::SoftmaxOp>;
  constexpr Kinds kDequantize = Kinds{1} << kIndexOf<int8::Dequantize>;
  constexpr Kinds kNoMultiply = kDequantize | Kinds{1} << kIndexOf<int8::MaxPool2D> |
                                Kinds{1} << kIndexOf<int8::AveragePool2D> |
                                Kinds{1} << kIndexOf<int8::Reshape> | Kinds{1} << kIndexOf<int8::Relu6Op>;
  Footprint footprint{.model_bytes = file_bytes,
                      .code_bytes = code_bytes(kTflmCode, graph),
                      .arena_bytes = smallest_arena_bytes,
                      .static_bytes = kTflmStaticBytes + kTflmStaticBytesAKind * kinds};
  footprint.code_bytes += kinds == 1 ? kTflmOneKindBytes : kTflmSeveralKindsBytes + kTflmKindBytes * kinds;
  if ((used & kDequantize) != 0 && (used & ~kNoMultiply) == 0) footprint.code_bytes += kTflmMultiplyBytes;
  if ((used & kSoftmax) != 0) footprint.static_bytes += kTflmStaticBytesOfSoftmax;
  for (size_t kind = 0; kind < kOperatorKinds; ++kind)
    if ((used >> kind & 1U) != 0)
      footprint.stack_bytes = std::max(footprint.stack_bytes, kTflmStackBytes[kind]);
  return footprint;
}

std::string flash_parts(const Footprint& footprint) {
  return fmt::format("model {} + code {}", format_integer(footprint.model_bytes),
                     format_integer(footprint.code_bytes));
}

std::string ram_parts(const Footprint& footprint) {
  return fmt::format("arena {} + static {} + stack {}", format_integer(footprint.arena_bytes),
                     format_integer(footprint.static_bytes), format_integer(footprint.stack_bytes));
}

void to_json(Json& json, const Footprint& footprint) {
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

void from_json(const Json& json, Footprint& footprint) {
  // Sums of them must not overflow, whoever wrote them.
  constexpr int64_t kMost = int64_t{1} << 48U;
  for (const auto& [memory, parts] : json.items())
    for (const auto& [name, part] : parts.items())
      if (const auto bytes = part.get<int64_t>(); bytes < 0 || bytes > kMost)
        throw_failure("a stored footprint has {} bytes of {}", bytes, name);
  footprint = {.model_bytes = json.at("flash").at("model"),
               .code_bytes = json.at("flash").at("code"),
               .arena_bytes = json.at("ram").at("arena"),
               .static_bytes = json.at("ram").at("static"),
               .stack_bytes = json.at("ram").at("stack")};
}

}  // namespace retort::cost
