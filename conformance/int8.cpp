// What conformance/int8.py drives: writes random int8 networks, takes files apart, and runs any .tflite file.
//
//   conformance_int8 generate FOLDER COUNT SEED   FOLDER/0000.tflite, …, every other one with float ends
//   conformance_int8 run FILE INPUTS OUTPUTS      the interpreter: for each input in turn, every activation
//                                                 tensor in index order
//   conformance_int8 evaluate FILE IMAGES OUTPUTS the evaluator, on bytes: all int8 outputs
//   conformance_int8 split FILE FOLDER            FOLDER/000.tflite, …: each operator as a network of its own
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "graph/random_graph.h"
#include "int8/evaluator.h"
#include "int8/lower.h"
#include "int8/reference.h"
#include "int8/tflite.h"
#include "random_form.h"

namespace {

using namespace retort;  // NOLINT(google-build-using-namespace): one small program

void generate(const std::filesystem::path& folder, int count, uint64_t seed) {
  const Rng root(seed);
  for (int i = 0; i < count; ++i) {
    Rng rng = root.fork("int8 conformance", static_cast<uint64_t>(i));
    graph::RandomGraphOptions options;
    options.maximum_side = 16;
    options.maximum_channels = 20;
    const graph::Graph network = graph::random_graph(rng, options);
    const graph::QuantizedForm form = random_form(network, rng);
    const auto ends = i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float;
    const int8::QuantGraph lowered = int8::lower(form.graph, form.parameters, {ends, {"first", "second"}});
    write_file_atomic(folder / fmt::format("{:04}.tflite", i), int8::write_tflite(lowered));
  }
}

void run(const std::filesystem::path& file, const std::filesystem::path& inputs,
         const std::filesystem::path& outputs) {
  int8::Interpreter interpreter(int8::read_tflite(read_file(file), file.string()));
  const std::vector<uint8_t> input = read_file(inputs);
  const auto input_bytes = static_cast<size_t>(interpreter.input_bytes());
  if (input.size() % input_bytes != 0)
    throw_usage("{}: {} bytes, not a multiple of the network's input of {}", inputs.string(), input.size(),
                input_bytes);
  std::vector<uint8_t> result(static_cast<size_t>(interpreter.output_bytes()));
  std::vector<uint8_t> all;
  for (size_t at = 0; at < input.size(); at += input_bytes) {
    interpreter.invoke(std::span(input).subspan(at, input_bytes), result);
    const auto& tensors = interpreter.graph().tensors;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto values = interpreter.tensor(static_cast<int>(i));
      if (!tensors[i].constant()) all.insert(all.end(), values.begin(), values.end());
    }
  }
  write_file_atomic(outputs, all);
}

void evaluate(const std::filesystem::path& file, const std::filesystem::path& images,
              const std::filesystem::path& outputs) {
  int8::Evaluator evaluator(int8::read_tflite(read_file(file), file.string()));
  const std::vector<uint8_t> bytes = read_file(images);
  const size_t count = bytes.size() / evaluator.image_bytes();
  std::vector<int8_t> values(count * evaluator.outputs());
  evaluator.run(bytes, count, values);
  write_file_atomic(outputs, std::vector<uint8_t>(values.begin(), values.end()));
}

// The network of one operator, whose inputs are the activations that it reads, each once, in its order.
int8::QuantGraph alone(const int8::QuantGraph& graph, const int8::Operator& op) {
  int8::QuantGraph made;
  std::vector<int> known(graph.tensors.size(), -1);
  const auto take = [&](int index) {
    if (index < 0) return index;
    int& found = known[static_cast<size_t>(index)];
    if (found >= 0) return found;
    found = static_cast<int>(made.tensors.size());
    made.tensors.push_back(graph.tensors[static_cast<size_t>(index)]);
    if (!made.tensors.back().constant()) made.inputs.push_back(found);
    return found;
  };
  int8::Operator copy = op;
  for (int& input : copy.inputs) input = take(input);
  const std::vector<int> inputs = made.inputs;
  for (int& output : copy.outputs) output = take(output);
  made.outputs = copy.outputs;
  made.inputs = inputs;
  made.operators = {std::move(copy)};
  return made;
}

void split(const std::filesystem::path& file, const std::filesystem::path& folder) {
  const int8::QuantGraph graph = int8::read_tflite(read_file(file), file.string());
  for (size_t i = 0; i < graph.operators.size(); ++i)
    write_file_atomic(folder / fmt::format("{:03}.tflite", i),
                      int8::write_tflite(alone(graph, graph.operators[i])));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 4 && arguments[0] == "generate") {
      generate(arguments[1], std::stoi(arguments[2]), std::stoull(arguments[3]));
      return EXIT_SUCCESS;
    }
    if (arguments.size() == 4 && arguments[0] == "run") {
      run(arguments[1], arguments[2], arguments[3]);
      return EXIT_SUCCESS;
    }
    if (arguments.size() == 4 && arguments[0] == "evaluate") {
      evaluate(arguments[1], arguments[2], arguments[3]);
      return EXIT_SUCCESS;
    }
    if (arguments.size() == 3 && arguments[0] == "split") {
      split(arguments[1], arguments[2]);
      return EXIT_SUCCESS;
    }
    fmt::print(stderr,
               "usage: conformance_int8 generate FOLDER COUNT SEED | run FILE INPUTS OUTPUTS | evaluate FILE "
               "IMAGES OUTPUTS | split FILE FOLDER\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  return EXIT_FAILURE;
}
