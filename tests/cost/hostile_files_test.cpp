// Files that want to break us. Each is either refused in a sentence, or told about with its problems, or it is
// a network that can be costed, written and run. Here rather than with the reader's tests because costing is
// part of that.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/error.h"
#include "cost/cost.h"
#include "int8/evaluator.h"
#include "int8/handmade_file.h"
#include "int8/random_networks.h"
#include "int8/reference.h"
#include "int8/tflite.h"

namespace retort::cost {
namespace {

using int8::HandmadeFile;
using int8::format::kConv2D;

void cost_and_run(const int8::QuantGraph& graph) {
  const Cost cost = analyze(graph, 0);
  ASSERT_GE(cost.macs, 0);
  ASSERT_GE(cost.weight_bytes, 0);
  ASSERT_EQ(cost.layers.size(), graph.operators.size());
  for (const HeadBuffer& buffer : cost.head) {
    ASSERT_GE(buffer.offset, 0);
    ASSERT_LE(buffer.offset + buffer.bytes, cost.cortex_m4.head_bytes);
    ASSERT_LE(buffer.first_used, buffer.last_used);
  }
  const std::vector<uint8_t> written = int8::write_tflite(graph);
  ASSERT_EQ(int8::write_tflite(int8::read_tflite(written, "again")), written);
  constexpr int64_t kMostWork = 1'000'000;  // for the test's sake
  if (cost.macs > kMostWork || cost.cortex_m4.head_bytes > kMostWork) return;
  int8::Interpreter interpreter(graph);
  const std::vector<uint8_t> input(static_cast<size_t>(interpreter.input_bytes()));
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  interpreter.invoke(input, output);
  try {
    int8::Evaluator evaluator(graph);
    const std::vector<uint8_t> images(3 * evaluator.image_bytes());
    std::vector<int8_t> outputs(3 * evaluator.outputs());
    evaluator.run(images, 3, outputs);
  } catch (const Error& error) {  // inputs that are no images
    ASSERT_EQ(error.code(), ErrorCode::Usage);
  }
}

enum class Fate { Refused, Unsupported, Works };

Fate open(const std::vector<uint8_t>& bytes, std::string* said = nullptr) {
  try {
    const int8::TfliteContents contents = int8::open_tflite(bytes, "hostile");
    EXPECT_NE(contents.graph.has_value(), !contents.problems.empty());
    for (const int8::Problem& problem : contents.problems) {
      EXPECT_FALSE(problem.why.empty());
      if (said != nullptr) *said += sentence(problem) + "\n";
    }
    const auto count = static_cast<int>(contents.tensors.size());
    for (const auto& op : contents.operators) {
      EXPECT_FALSE(op.name.empty());
      for (const int tensor : op.inputs) EXPECT_TRUE(tensor >= -1 && tensor < count);
      for (const int tensor : op.outputs) EXPECT_TRUE(tensor >= 0 && tensor < count);
    }
    if (!contents.graph) return Fate::Unsupported;
    cost_and_run(*contents.graph);
    return Fate::Works;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    EXPECT_EQ(std::string(error.what()).find("hostile: "), 0U) << error.what();
    if (said != nullptr) *said = error.what();
    return Fate::Refused;
  }
}

// Sound files of a few kilobytes, ours and made by hand.
std::vector<std::vector<uint8_t>> sound_files() {
  std::vector<std::vector<uint8_t>> files;
  graph::RandomGraphOptions options;
  options.maximum_channels = 6;
  for (uint64_t i = 0; files.size() < 6; ++i) {
    Rng rng = Rng(31).fork("file", i);
    const graph::QuantizedForm form = int8::random_form(graph::random_graph(rng, options), rng);
    files.push_back(int8::write_tflite(int8::lower(
        form.graph, form.parameters, {i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float, {"yes", "no"}})));
    constexpr size_t kMostBytes = 8'000;
    if (files.back().size() > kMostBytes) files.pop_back();
  }
  files.push_back(int8::small_handmade().bytes());
  files.push_back(int8::dense_handmade().bytes());
  return files;
}

TEST(HostileFiles, TruncatedAnywhere) {
  for (const std::vector<uint8_t>& bytes : sound_files()) {
    ASSERT_EQ(open(bytes), Fate::Works);
    for (size_t length = 0; length < bytes.size(); ++length)
      ASSERT_NE(open({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)}), Fate::Works)
          << length << " of " << bytes.size();
  }
}

// Numbers that offsets, sizes and indices go wrong with.
uint32_t awkward(Rng& rng, size_t size) {
  const std::array<uint32_t, 12> numbers = {0,
                                            1,
                                            2,
                                            0x7FFFFFFF,
                                            0x80000000,
                                            0xFFFFFFFF,
                                            0xFFFFFFFE,
                                            0x10000,
                                            0x7FC00000,  // a NaN
                                            0x7F800000,  // an infinity
                                            static_cast<uint32_t>(size),
                                            static_cast<uint32_t>(size) - 4};
  return numbers.at(rng.below(numbers.size()));
}

TEST(HostileFiles, MutatedAnywhere) {
  Rng rng(32);
  std::array<int, 3> fates{};
  const std::vector<std::vector<uint8_t>> files = sound_files();
  for (int i = 0; i < 40'000; ++i) {
    std::vector<uint8_t> damaged = files[static_cast<size_t>(i) % files.size()];
    const auto size = static_cast<uint32_t>(damaged.size());
    for (uint32_t changes = 1 + rng.below(4); changes > 0; --changes) {
      const uint32_t at = rng.below(size - 3);
      const uint32_t way = rng.below(4);
      if (way == 0) {
        damaged[at] ^= static_cast<uint8_t>(1U << rng.below(8));
      } else if (way == 1) {
        damaged[at] = static_cast<uint8_t>(rng.next_u32());
      } else {
        const uint32_t number = awkward(rng, damaged.size());
        std::memcpy(&damaged[way == 2 ? at : at / 4 * 4], &number, sizeof number);
      }
    }
    ++fates.at(static_cast<size_t>(open(damaged)));
    ASSERT_FALSE(HasFailure()) << "mutation " << i;
  }
  // Not all of one kind, or the mutations would be no test.
  for (const int count : fates) EXPECT_GT(count, 1000);
}

void expect_fate(HandmadeFile file, Fate fate, const std::string& part) {
  std::string said;
  EXPECT_EQ(static_cast<int>(open(file.bytes(), &said)), static_cast<int>(fate)) << part << "\n" << said;
  EXPECT_NE(said.find(part), std::string::npos) << said << "expected: " << part;
}

TEST(HostileFiles, MadeByHand) {
  using Change = std::function<void(HandmadeFile&)>;
  struct Case {
    Change change;
    Fate fate;
    std::string part;
  };
  constexpr int kMost = std::numeric_limits<int>::max();
  constexpr int kLeast = std::numeric_limits<int>::min();
  constexpr uint32_t kHuge = 0xFFFFFFFF;
  const std::vector<Case> cases = {
      {[](auto&) {}, Fate::Works, ""},
      {[](auto& f) { f.version = 4; }, Fate::Refused, "schema version 4; version 3 is expected"},
      {[](auto& f) { f.subgraphs = 0; }, Fate::Refused, "holds no network"},
      {[](auto& f) { f.lists = HandmadeFile::Lists::NoSubgraphs; }, Fate::Refused, "holds no network"},
      {[](auto& f) { f.lists = HandmadeFile::Lists::NoTensors; }, Fate::Refused, "holds no network"},
      {[](auto& f) { f.lists = HandmadeFile::Lists::NoOperators; }, Fate::Refused, "holds no network"},
      {[](auto& f) { f.lists = HandmadeFile::Lists::NoCodes; }, Fate::Refused, "operator code 0, which"},
      {[](auto& f) { f.lists = HandmadeFile::Lists::NoBuffers; }, Fate::Refused, "buffer 0 is missing"},
      {[](auto& f) { f.tensors[1].buffer = 7; }, Fate::Refused, "buffer 7 is missing"},
      {[](auto& f) { f.tensors[1].buffer = kHuge; }, Fate::Refused, "buffer 4294967295 is missing"},
      {[](auto& f) { f.operators[0].code = kHuge; }, Fate::Refused, "operator code 4294967295, which"},
      {[](auto& f) { f.operators[0].inputs = {{kMost}}; }, Fate::Refused, "but there are 2 tensors"},
      {[](auto& f) { f.operators[0].inputs = {{kLeast}}; }, Fate::Refused, "is tensor -2147483648"},
      {[](auto& f) { f.operators[0].inputs = {{-1}}; }, Fate::Unsupported, "it has no input 0"},
      {[](auto& f) { f.operators[0].inputs.reset(); }, Fate::Unsupported, "it has 0 inputs"},
      {[](auto& f) { f.operators[0].outputs.reset(); }, Fate::Unsupported, "it has 0 outputs"},
      {[](auto& f) { f.operators[0].outputs = {{-1}}; }, Fate::Refused, "is tensor -1"},
      {[](auto& f) { f.operators[0].outputs = {{2}}; }, Fate::Refused, "is tensor 2, but"},
      {[](auto& f) { f.inputs = {{5}}; }, Fate::Refused, "an input of the network is tensor 5"},
      {[](auto& f) { f.outputs = {{-5}}; }, Fate::Refused, "an output of the network is tensor -5"},
      {[](auto& f) { f.inputs.reset(); }, Fate::Unsupported, "needs an input and an output"},
      {[](auto& f) { f.outputs.reset(); }, Fate::Unsupported, "needs an input and an output"},
      {[](auto& f) { f.operators.clear(); }, Fate::Unsupported, "no operators"},
      {[](auto& f) { f.codes[0].builtin = 5000; }, Fate::Unsupported,
       "(operator code 5000): the operator is"},
      {[](auto& f) { f.codes[0].builtin = -3; }, Fate::Unsupported, "(operator code -3): the operator is"},
      {[](auto& f) { f.codes[0] = {kConv2D}; }, Fate::Unsupported, "(CONV_2D): it has no options"},
      {[](auto& f) { f.tensors[0].shape.reset(); }, Fate::Unsupported, "has shape []"},
      {[](auto& f) { f.tensors[0].shape = {{1, 0, 4, 2}}; }, Fate::Unsupported, "has shape [1, 0, 4, 2]"},
      {[](auto& f) { f.tensors[0].shape = {{1, -4, -4, 2}}; }, Fate::Unsupported, "has shape [1, -4, -4, 2]"},
      {[](auto& f) { f.tensors[0].shape = {{kMost, kMost, kMost, kMost}}; }, Fate::Unsupported,
       "every dimension must be between"},
      {[](auto& f) { f.tensors[0].shape = {{1 << 16, 1 << 16, 1 << 16, 1 << 16}}; }, Fate::Unsupported,
       "elements are supported"},
      {[](auto& f) { f.tensors[0].shape = std::vector<int32_t>(100, 2); }, Fate::Unsupported,
       "has 100 dimensions"},
      {[](auto& f) { f.tensors[0].shape = f.tensors[1].shape = {{1, 1 << 14, 1 << 13, 2}}; },
       Fate::Unsupported, "the network's activations take 536870912 bytes"},
      {[](auto& f) { f.tensors[0].scales = {NAN}; }, Fate::Unsupported, "scales must be positive"},
      {[](auto& f) { f.tensors[0].scales = {INFINITY}; }, Fate::Unsupported, "scales must be positive"},
      {[](auto& f) { f.tensors[0].scales = {-1}; }, Fate::Unsupported, "scales must be positive"},
      {[](auto& f) { f.tensors[0].scales = {1e-45F}; }, Fate::Works, ""},
      {[](auto& f) { f.tensors[1].scales = {1e-38F}; }, Fate::Unsupported, "beyond int32"},
      {[](auto& f) { f.tensors[0].zero_points = {int64_t{1} << 40}; }, Fate::Unsupported,
       "a zero point of 1099511627776"},
      {[](auto& f) { f.tensors[0].zero_points = {1, 2}; }, Fate::Unsupported, "1 scales but 2 zero points"},
      {[](auto& f) { f.tensors[0].zero_points.clear(); }, Fate::Works, ""},
      {[](auto& f) { f.tensors[0].scales.assign(9, 1.0F); }, Fate::Unsupported, "9 scales but 1 zero points"},
      {[](auto& f) { f.tensors[0].external_buffer = 3; }, Fate::Unsupported, "outside the file's FlatBuffer"},
      {[](auto& f) { f.buffers[0] = {{}, 4096, uint64_t{1} << 62}; }, Fate::Unsupported,
       "outside the file's FlatBuffer"},
      {[](auto& f) { f.buffers[0] = {{}, 1, 0}; }, Fate::Works, ""},
      {[](auto& f) { f.tensors[0].buffer = 1, f.buffers.push_back({{1, 2, 3}}); }, Fate::Unsupported,
       "holds 3 bytes, but its shape"},
  };
  for (const Case& one : cases) {
    HandmadeFile file = int8::small_handmade();
    one.change(file);
    expect_fate(file, one.fate, one.part);
  }
  HandmadeFile file = int8::dense_handmade();
  expect_fate(file, Fate::Works, "");
  file.tensors[2].axis = kMost;  // of no consequence with one scale
  expect_fate(file, Fate::Works, "");
  file.tensors[2].scales = {1, 1, 1};
  file.tensors[2].zero_points = {0, 0, 0};
  expect_fate(file, Fate::Unsupported, "has 3 scales along dimension 2147483647");
  file.tensors[2].axis = 0;
  expect_fate(file, Fate::Works, "");
  file.operators[0].bytes = {0, 7};
  expect_fate(file, Fate::Unsupported, "shuffled weights");
  file.operators[0].bytes = {100, 0};
  expect_fate(file, Fate::Unsupported, "the fused activation number 100");
}

// The largest network that the reader lets pass: numbers must not overflow, and planning it ends in seconds.
TEST(HostileFiles, CostsOfAbsurdNetworksAreBounded) {
  // The most multiply-accumulates: a kernel and an output as large as they may be.
  int8::QuantGraph wide;
  const int8::Quantization grid{{0.5F}, {0}, 0};
  wide.tensors = {{"in", int8::Type::Int8, {1, 1 << 10, 1 << 10, 16}, grid, {}},
                  {"kernel", int8::Type::Int8, {200, 1000, 1000, 1}, grid, {}},
                  {"out", int8::Type::Int8, {1, 1 << 10, 1 << 10, 200}, grid, {}}};
  wide.tensors[1].data.resize(1);  // costing looks at shapes alone
  wide.operators = {{int8::Conv2D{}, {0, 1}, {2}}};
  wide.inputs = {0};
  wide.outputs = {2};
  const Cost cost = analyze(wide, 0);
  EXPECT_EQ(cost.macs, (int64_t{1} << 20) * 200 * 1'000'000);
  // Many operators with the most scratch, whose outputs all live to the end: as planning is quadratic, the
  // most that are allowed take 16 times as long.
  int8::QuantGraph deep;
  constexpr int kOperators = graph::kMaximumNodes / 2;
  deep.tensors = {{"in", int8::Type::Int8, {1, 2, 2, 3}, grid, {}},
                  {"axes", int8::Type::Int32, {2}, {}, {1, 0, 0, 0, 2, 0, 0, 0}}};
  deep.inputs = {0};
  for (int i = 0; i < kOperators; ++i) {
    deep.operators.push_back({int8::Mean{}, {0, 1}, {static_cast<int>(deep.tensors.size())}});
    deep.outputs.push_back(static_cast<int>(deep.tensors.size()));
    deep.tensors.push_back({"out", int8::Type::Int8, {1, 3}, grid, {}});
  }
  int8::check(deep, "deep");
  const Cost many = analyze(deep, 0);
  EXPECT_EQ(many.layers.size(), static_cast<size_t>(kOperators));
  EXPECT_GE(many.cortex_m4.head_bytes, int64_t{16} * kOperators);
}

}  // namespace
}  // namespace retort::cost
