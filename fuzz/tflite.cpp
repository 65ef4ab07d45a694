// TensorFlow Lite files of others: told apart, costed, written again, run by both interpreters, made into C.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "cost/cost.h"
#include "deploy/c_code.h"
#include "graph/random_graph.h"
#include "int8/evaluator.h"
#include "int8/kernel_parameters.h"
#include "int8/lower.h"
#include "int8/random_networks.h"
#include "int8/reference.h"
#include "int8/tflite.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr int64_t kMostWork = 200'000;  // an input must not take long

// What the evaluator makes of a picture, from the interpreter.
std::vector<uint8_t> interpreted(int8::Interpreter& interpreter, Bytes picture) {
  const int8::QuantGraph& graph = interpreter.graph();
  const int8::Tensor& in = graph.tensors[static_cast<size_t>(graph.inputs[0])];
  std::vector<uint8_t> input;
  for (const uint8_t byte : picture) {
    const float value = static_cast<float>(byte) / 255.0F;
    if (in.type == int8::Type::Float32) {
      input.resize(input.size() + sizeof value);
      std::memcpy(input.data() + input.size() - sizeof value, &value, sizeof value);
    } else {
      input.push_back(
          static_cast<uint8_t>(int8::quantize(value, int8::tensor_scale(in), int8::tensor_zero_point(in))));
    }
  }
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  interpreter.invoke(input, output);
  const int out = graph.outputs[0];
  if (graph.tensors[static_cast<size_t>(out)].type != int8::Type::Float32) return output;
  for (const int8::Operator& op : graph.operators)
    if (op.outputs[0] == out) {
      const auto values = interpreter.tensor(op.inputs[0]);
      return {values.begin(), values.end()};
    }
  return {};
}

void execute(const int8::QuantGraph& graph) {
  int8::Interpreter interpreter(graph);
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  interpreter.invoke(std::vector<uint8_t>(static_cast<size_t>(interpreter.input_bytes()), 0x3f), output);
  int8::Evaluator evaluator(graph);  // throws where the input is no picture
  std::vector<uint8_t> picture(evaluator.image_bytes());
  for (size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<uint8_t>(i * 37);
  std::vector<int8_t> values(evaluator.outputs());
  evaluator.run(picture, 1, values);
  const std::vector<uint8_t> expected = interpreted(interpreter, picture);
  require(expected.size() == values.size() && std::memcmp(expected.data(), values.data(), values.size()) == 0,
          "evaluator and interpreter give the same bytes");
}

}  // namespace

void run(Bytes bytes) {
  const int8::TfliteContents contents = int8::open_tflite(bytes, "file");
  for (const int8::Problem& problem : contents.problems)
    require(!sentence(problem).empty(), "a problem has a sentence");
  require(contents.graph.has_value() == contents.problems.empty(), "either a network or problems");
  if (!contents.graph) return;
  const cost::Cost cost = cost::analyze(*contents.graph, static_cast<int64_t>(bytes.size()));
  require(cost.macs >= 0 && cost.weight_bytes >= 0 && cost.cortex_m4.head_bytes >= 0,
          "costs are no less than nothing");
  const std::vector<uint8_t> written = int8::write_tflite(*contents.graph);
  require(int8::write_tflite(int8::read_tflite(written, "again")) == written, "what is written reads back");
  if (cost.macs > kMostWork || cost.cortex_m4.head_bytes > kMostWork) return;
  try {
    execute(*contents.graph);
  } catch (const Error&) {  // may still be made into C
  }
  require(!deploy::generate_c(*contents.graph, {}).source.empty(), "C code is not empty");
}

std::vector<Seed> seeds() {
  std::vector<Seed> files;
  graph::RandomGraphOptions options;
  options.maximum_channels = 5;
  options.maximum_side = 8;
  constexpr size_t kMostBytes = 6'000;
  for (uint64_t i = 0; files.size() < 24; ++i) {
    Rng rng = Rng(71).fork("seed", i);
    const graph::QuantizedForm form = int8::random_form(graph::random_graph(rng, options), rng);
    Seed file = int8::write_tflite(int8::lower(
        form.graph, form.parameters, {i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float, {"yes", "no"}}));
    if (file.size() <= kMostBytes) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace retort::fuzz
