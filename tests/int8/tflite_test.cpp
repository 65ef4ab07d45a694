#include "int8/tflite.h"

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.h"
#include "int8/handmade_file.h"
#include "int8/random_networks.h"
#include "int8/random_quant_graph.h"

namespace retort::int8 {
namespace {

std::string error_of(const std::vector<uint8_t>& bytes) {
  try {
    read_tflite(bytes, "model.tflite");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "";
}

void expect_same_tensor(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.dims, b.dims);
  EXPECT_EQ(a.quantization, b.quantization);
  EXPECT_EQ(a.data, b.data);
}

TEST(TfliteFile, RoundTripKeepsEverythingAndItsBytes) {
  for (int i = 0; i < 150; ++i) {
    Rng rng = Rng(20).fork("network", static_cast<uint64_t>(i));
    QuantGraph network = random_network(rng, i % 2 == 0 ? Ends::Int8 : Ends::Float);
    network.classes =
        i % 3 == 0 ? std::vector<std::string>{} : std::vector<std::string>{"T-Shirt", "Hose \"Ü\""};
    const std::vector<uint8_t> bytes = write_tflite(network);
    const QuantGraph read = read_tflite(bytes, "round trip");
    ASSERT_EQ(read.tensors.size(), network.tensors.size());
    for (size_t t = 0; t < read.tensors.size(); ++t) expect_same_tensor(read.tensors[t], network.tensors[t]);
    ASSERT_EQ(read.operators.size(), network.operators.size());
    for (size_t o = 0; o < read.operators.size(); ++o) {
      EXPECT_EQ(read.operators[o].kind.index(), network.operators[o].kind.index());
      EXPECT_EQ(read.operators[o].inputs, network.operators[o].inputs);
      EXPECT_EQ(read.operators[o].outputs, network.operators[o].outputs);
    }
    EXPECT_EQ(read.inputs, network.inputs);
    EXPECT_EQ(read.outputs, network.outputs);
    EXPECT_EQ(read.description, network.description);
    EXPECT_EQ(read.classes, network.classes);
    EXPECT_EQ(write_tflite(read), bytes);  // attributes too
  }
}

TEST(TfliteFile, ConstantsLieOnSixteenBytes) {
  Rng rng(21);
  const QuantGraph network = random_network(rng);
  const std::vector<uint8_t> bytes = write_tflite(network);
  for (const Tensor& tensor : network.tensors) {
    if (tensor.data.size() < 32) continue;
    const auto found = std::search(bytes.begin(), bytes.end(), tensor.data.begin(), tensor.data.end());
    ASSERT_NE(found, bytes.end());
    EXPECT_EQ((found - bytes.begin()) % 16, 0) << tensor.name;
  }
}

TEST(TfliteFile, ReadsFromAnyAddress) {
  Rng rng(22);
  const std::vector<uint8_t> bytes = write_tflite(random_network(rng));
  for (size_t offset = 1; offset < 16; ++offset) {
    std::vector<uint8_t> moved(offset);
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(write_tflite(read_tflite(std::span(moved).subspan(offset), "moved")), bytes);
  }
}

// A small file with the operators that have the most to go wrong.
std::vector<uint8_t> small_file() {
  Rng rng(23);
  graph::Graph network({4, 4, 2, false});
  const int entry = network.add(graph::Conv{2, {3, 3, 1, 1, graph::Padding::Same}});
  network.add(graph::Relu{});
  network.add(graph::DepthwiseConv{{3, 3, 1, 1, graph::Padding::Same}});
  network.add(graph::Add{}, {entry, network.output()});
  network.add(graph::MaxPool{});
  network.add(graph::GlobalAvgPool{});
  network.add(graph::Dense{3});
  network.add(graph::Softmax{});
  const graph::QuantizedForm form = random_form(network, rng);
  return write_tflite(lower(form.graph, form.parameters, {Ends::Float, {"a", "b", "c"}}));
}

TEST(TfliteFile, TruncatedFilesAreRefused) {
  const std::vector<uint8_t> bytes = small_file();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<uint8_t> shorter(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_NE(error_of(shorter), "") << length << " of " << bytes.size();
  }
}

// Changes a sound network and expects the sentence that says what is wrong with it.
template <typename Change>
void expect_refusal(const Change& change, const std::string& part) {
  QuantGraph network = read_tflite(small_file(), "small");
  change(network);
  const std::string error = error_of(write_tflite(network));
  EXPECT_NE(error.find("model.tflite: "), std::string::npos) << error;
  EXPECT_NE(error.find(part), std::string::npos) << error << "\nexpected: " << part;
}

Tensor& output_of(QuantGraph& network, size_t op) {
  return network.tensors[static_cast<size_t>(network.operators[op].outputs[0])];
}
Tensor& input_of(QuantGraph& network, size_t op, size_t input) {
  return network.tensors[static_cast<size_t>(network.operators[op].inputs[input])];
}

// The list of tables or of anything else that a table's field, by its number in the schema, points to.
template <typename T>
flatbuffers::Vector<T>* list_of(flatbuffers::Table* table, int field) {
  return table->GetPointer<flatbuffers::Vector<T>*>(static_cast<flatbuffers::voffset_t>(4 + 2 * field));
}

// Any number of tensors may name one buffer: the reader must not copy it for each.
TEST(TfliteFile, TensorsThatShareABufferAreLimited) {
  using Tables = flatbuffers::Offset<flatbuffers::Table>;
  constexpr size_t kShared = size_t{1} << 20;
  const auto with_sharing = [](size_t sharers) {
    QuantGraph network = read_tflite(small_file(), "small");
    const size_t first = network.tensors.size();
    for (size_t i = 0; i < sharers; ++i)
      network.tensors.push_back(
          {"shared", Type::Int8, {1 << 20}, {}, std::vector<uint8_t>(i == 0 ? kShared : 1, 1)});
    std::vector<uint8_t> bytes = write_tflite(network);
    constexpr int kSubgraphs = 2;
    constexpr int kTensors = 0;
    constexpr flatbuffers::voffset_t kBufferOffset = 4 + 2 * 2;
    auto* model = flatbuffers::GetMutableRoot<flatbuffers::Table>(bytes.data());
    const auto* subgraph = list_of<Tables>(model, kSubgraphs)->Get(0);
    auto* tensors = list_of<Tables>(const_cast<flatbuffers::Table*>(subgraph), kTensors);
    const auto table = [&](size_t i) {
      return const_cast<flatbuffers::Table*>(tensors->Get(static_cast<flatbuffers::uoffset_t>(i)));
    };
    const auto buffer = table(first)->GetField<uint32_t>(kBufferOffset, 0);
    for (size_t i = first + 1; i < first + sharers; ++i)
      EXPECT_TRUE(table(i)->SetField<uint32_t>(kBufferOffset, buffer, 0));
    return bytes;
  };
  EXPECT_EQ(error_of(with_sharing(3)), "");
  EXPECT_NE(error_of(with_sharing(1000)).find("name the same data again and again"), std::string::npos);
}

// An interpreter refuses a version that it does not know, and older ones know fewer. The numbers are the schema's, the
// versions those of TensorFlow's op_version.cc for int8.
TEST(TfliteFile, OperatorsAskForTheFirstVersionThatHasInt8) {
  const std::map<int, std::set<int>> expected = {{0, {2}},  {1, {2}},  {3, {3}},     {4, {3}},  {6, {2}},
                                                 {9, {4}},  {17, {2}}, {19, {2}},    {21, {2}}, {22, {1}},
                                                 {25, {2}}, {40, {2}}, {114, {1, 2}}};
  std::map<int, std::set<int>> found;
  Rng rng(25);
  for (int i = 0; i < 60; ++i) {
    std::vector<uint8_t> bytes =
        write_tflite(i % 2 == 0 ? random_quant_graph(rng) : random_network(rng, Ends::Float));
    auto* model = flatbuffers::GetMutableRoot<flatbuffers::Table>(bytes.data());
    const auto* codes = list_of<flatbuffers::Offset<flatbuffers::Table>>(model, 1);
    for (flatbuffers::uoffset_t k = 0; k < codes->size(); ++k)
      found[codes->Get(k)->GetField<int32_t>(4 + 2 * 3, 0)].insert(
          codes->Get(k)->GetField<int32_t>(4 + 2 * 2, 1));
  }
  EXPECT_EQ(found, expected);
}

TEST(TfliteFile, ErrorsNameTheOperatorAndTheTensor) {
  // QUANTIZE, CONV_2D, … in order.
  expect_refusal([](auto& g) { g.operators[1].inputs[0] = 99; },
                 "input 0 of operator 1 is tensor 99, but there are");
  expect_refusal([](auto& g) { g.operators[1].inputs[0] = g.outputs[0]; },
                 "operator 1 (CONV_2D): its input, tensor");
  expect_refusal([](auto& g) { g.operators[2].outputs = g.operators[1].outputs; }, "already has a value");
  expect_refusal([](auto& g) { g.operators[1].inputs = {0}; }, "it has 1 inputs; 2 to 3 are expected");
  expect_refusal([](auto& g) { output_of(g, 1).quantization.scales[0] = 0; }, "scales must be positive");
  expect_refusal([](auto& g) { output_of(g, 1).quantization.scales[0] = NAN; }, "scales must be positive");
  expect_refusal([](auto& g) { output_of(g, 1).quantization.zero_points[0] = 200; }, "a zero point of 200");
  expect_refusal([](auto& g) { output_of(g, 1).quantization = {}; },
                 "has 0 scales; an int8 activation needs");
  expect_refusal([](auto& g) { output_of(g, 1).dims = {1, 5, 4, 2}; },
                 "its output has shape [1, 5, 4, 2]; [1, 4, 4, 2]");
  expect_refusal([](auto& g) { output_of(g, 1).dims = {1, -1, 4, 2}; }, "dynamic shapes");
  expect_refusal([](auto& g) { output_of(g, 1).dims = {1, 1 << 20, 1 << 20, 1 << 20}; },
                 "elements are supported");
  expect_refusal(
      [](auto& g) {
        for (int i = 0; i < 300; ++i) g.tensors.push_back({"unused", Type::Int8, {1 << 10, 1 << 10}, {}, {}});
      },
      "the network's activations take");
  expect_refusal([](auto& g) { g.tensors.resize(50'000, {"unused", Type::Int8, {1}, {}, {}}); }, "has 5");
  expect_refusal([](auto& g) { output_of(g, 1).type = Type::Int32; }, "must be int8");
  expect_refusal([](auto& g) { input_of(g, 1, 1).data.pop_back(); }, "bytes, but its shape");
  expect_refusal([](auto& g) { input_of(g, 1, 1).quantization.zero_points[1] = 1; },
                 "a zero point other than 0");
  expect_refusal([](auto& g) { input_of(g, 1, 1).quantization.axis = 3; }, "scales along dimension 3");
  expect_refusal([](auto& g) { input_of(g, 1, 2).type = Type::Float32; },
                 "is a bias; it must be constant int32");
  expect_refusal([](auto& g) { std::get<Conv2D>(g.operators[1].kind).stride_width = 0; },
                 "a stride or dilation is 0");
  expect_refusal([](auto& g) { output_of(g, 1).quantization.scales[0] = 1e-30F; },
                 "its scales ask for a factor");
  expect_refusal([](auto& g) { g.tensors[static_cast<size_t>(g.inputs[0])].dims[0] = 2; }, "the batch");
  expect_refusal([](auto& g) { g.operators.clear(); }, "no operators");
  // A constant where the evaluator would look for memory that an operator filled.
  const auto add_constant = [](QuantGraph& g) {
    Tensor constant = input_of(g, g.operators.size() - 1, 0);
    constant.data.assign(static_cast<size_t>(constant.elements()), 1);
    g.tensors.push_back(constant);
    return static_cast<int>(g.tensors.size()) - 1;
  };
  expect_refusal([&](auto& g) { g.outputs = {add_constant(g)}; },
                 "is an output of the network but holds data");
  expect_refusal([&](auto& g) { g.operators.back().inputs = {add_constant(g)}; },
                 "(DEQUANTIZE): its input holds data");
  expect_refusal([](auto& g) { g.outputs.clear(); }, "needs an input and an output");
  EXPECT_NE(error_of({1, 2, 3}).find("not a TensorFlow Lite file"), std::string::npos);
}

TEST(TfliteFile, EveryOperatorHasItsNumberOfInputsAndOneOutput) {
  Rng rng(24);
  std::set<size_t> kinds;
  const auto look_at = [&](const QuantGraph& network) {
    for (size_t o = 0; o < network.operators.size(); ++o) {
      kinds.insert(network.operators[o].kind.index());
      const auto expect = [&](const auto& change, const std::string& part) {
        QuantGraph changed = network;
        change(changed.operators[o]);
        const std::string error = error_of(write_tflite(changed));
        EXPECT_NE(error.find(part), std::string::npos) << error << "\nexpected: " << part;
      };
      expect([](Operator& op) { op.inputs.clear(); }, "it has 0 inputs; ");
      expect([](Operator& op) { op.inputs.resize(4, op.inputs[0]); }, "it has 4 inputs; ");
      expect([](Operator& op) { op.outputs.push_back(op.outputs[0]); }, "it has 2 outputs; 1 is expected");
    }
  };
  for (int i = 0; i < 40; ++i) {
    look_at(random_quant_graph(rng));
    look_at(random_network(rng, Ends::Float));
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<OperatorKind>);
}

// The sentences about a file that is sound but not supported, one a line.
std::string problems_of(const HandmadeFile& file) {
  const std::vector<uint8_t> bytes = file.bytes();
  const TfliteContents contents = open_tflite(bytes, "model.tflite");
  EXPECT_FALSE(contents.graph.has_value());
  std::string all;
  for (const Problem& problem : contents.problems) all += sentence(problem) + "\n";
  // Everyone else gets the first.
  EXPECT_EQ(error_of(bytes), "model.tflite: " + all.substr(0, all.find('\n')));
  return all;
}

HandmadeFile with_code(HandmadeFile::Code code) {
  HandmadeFile file = small_handmade();
  file.codes = {std::move(code)};
  return file;
}

TEST(TfliteFile, UnsupportedFilesAreToldAboutInFull) {
  // RELU, TANH, a custom operator, RELU: what has a problem is named, what reads its output is looked at too.
  HandmadeFile file = small_handmade();
  file.codes = {{format::kRelu}, {format::kTanh}, {format::kCustom, "My\x1b[31mOp"}};
  file.tensors.resize(5, file.tensors[0]);
  file.operators = {{.code = 0, .inputs = {{0}}, .outputs = {{1}}},
                    {.code = 1, .inputs = {{1}}, .outputs = {{2}}},
                    {.code = 2, .inputs = {{2, -1}}, .outputs = {{3}}},
                    {.code = 0, .inputs = {{3}}, .outputs = {{4}}}};
  file.outputs = {{4}};
  file.tensors[4].shape = {{1, 4, 4, 3}};
  EXPECT_EQ(problems_of(file),
            "operator 1 (TANH): the operator is not supported; train with RELU or RELU6 in its place\n"
            "operator 2 (My?[31mOp): it is a custom operator, which is not supported\n"
            "operator 3 (RELU): its output has shape [1, 4, 4, 3]; [1, 4, 4, 2] is expected\n");
  const TfliteContents contents = open_tflite(file.bytes(), "model.tflite");
  ASSERT_EQ(contents.operators.size(), 4U);
  EXPECT_EQ(contents.operators[0].name, "RELU");
  EXPECT_EQ(contents.operators[1].name, "TANH");
  EXPECT_EQ(contents.operators[2].name, "My\x1b[31mOp");
  EXPECT_EQ(contents.operators[2].inputs, (std::vector<int>{2, -1}));
  EXPECT_EQ(contents.tensors[4].dims, (std::vector<int>{1, 4, 4, 3}));
  EXPECT_EQ(contents.tensors[4].type, "int8");
  EXPECT_EQ(contents.problems[0].place, Problem::Place::Operator);
  EXPECT_EQ(contents.problems[0].index, 1);
}

TEST(TfliteFile, EachUnsupportedKindHasItsSentence) {
  EXPECT_NE(problems_of(with_code({format::kConcatenation}))
                .find("operator 0 (CONCATENATION): the operator is not supported; supported are CONV_2D, "),
            std::string::npos);
  HandmadeFile file = dense_handmade();
  for (HandmadeFile::Tensor& tensor : file.tensors) tensor.type = format::kFloat32, tensor.scales.clear();
  file.buffers[1].data.resize(24);
  EXPECT_EQ(
      problems_of(file),
      "operator 0 (FULLY_CONNECTED): its input is float32; it must be int8; quantise the network to int8, "
      "activations as well as weights\n");
  file.tensors[2].type = format::kFloat16;  // and its operator is not looked at
  file.buffers[1].data.resize(12);
  EXPECT_EQ(problems_of(file),
            "tensor 2 ('kernel') is float16; int8, int32 and float32 are supported; quantise the network to "
            "int8, activations as well as weights\n");
  const auto with_tensor = [](const auto& change) {
    HandmadeFile changed = small_handmade();
    change(changed.tensors[1]);
    return problems_of(changed);
  };
  EXPECT_EQ(with_tensor([](auto& t) { t.type = format::kInt4; }),
            "tensor 1 ('out') is int4; int8, int32 and float32 are supported; quantise weights to 8 bits\n");
  EXPECT_EQ(
      with_tensor([](auto& t) { t.type = format::kUint8; }),
      "tensor 1 ('out') is uint8; int8, int32 and float32 are supported; convert the network again with "
      "int8 (uint8 is TensorFlow 1's scheme)\n");
  EXPECT_EQ(with_tensor([](auto& t) { t.type = 99; }),
            "tensor 1 ('out') is type number 99; int8, int32 and float32 are supported\n");
  EXPECT_EQ(with_tensor([](auto& t) { t.variable = true; }),
            "tensor 1 ('out') is a variable; networks with state are not supported\n");
  EXPECT_EQ(
      with_tensor([](auto& t) { t.signature = {-1, 4, -1, 2}; }),
      "tensor 1 ('out') has a dynamic dimension 2, which is not supported; convert the network again with a "
      "fixed input shape\n");
  HandmadeFile several = small_handmade();
  several.subgraphs = 3;
  EXPECT_EQ(
      problems_of(several),
      "the file holds 3 subgraphs; exactly one is supported; convert a network without control flow and "
      "with one signature\n");
}

// TensorFlow 1 wrote a kernel's dimension at its bias too, where nobody looks at it.
TEST(TfliteFile, ABiassDimensionOfScalesIsOfNoConsequence) {
  HandmadeFile file = dense_handmade();
  file.tensors[2].scales = {1, 1, 1};
  file.tensors[2].zero_points = {0, 0, 0};
  file.tensors.push_back({.shape = {{3}},
                          .type = format::kInt32,
                          .buffer = 2,
                          .name = "bias",
                          .scales = {0.5F, 0.5F, 0.5F},
                          .zero_points = {0, 0, 0},
                          .axis = 3});
  file.buffers.push_back({std::vector<uint8_t>(12)});
  file.operators[0].inputs = {{0, 2, 3}};
  EXPECT_EQ(error_of(file.bytes()), "");
}

TEST(TfliteFile, NamesAreFitForATerminal) {
  EXPECT_EQ(printable("conv2d/Relu"), "conv2d/Relu");
  EXPECT_EQ(printable("Größe \xf0\x9f\x98\x80"), "Größe \xf0\x9f\x98\x80");
  EXPECT_EQ(printable("a\x1b[2Jb\n\x7f"), "a?[2Jb??");
  EXPECT_EQ(printable("\xc2\x9b\xff\xc3"), "???");        // a control character, no lead, half a letter
  EXPECT_EQ(printable("\xc0\x80\xed\xa0\x80"), "?????");  // too long a form, a surrogate
  EXPECT_EQ(printable(std::string(150, 'x')), std::string(100, 'x') + "…");
  EXPECT_EQ(printable(std::string(100, 'x')), std::string(100, 'x'));
}

}  // namespace
}  // namespace retort::int8
