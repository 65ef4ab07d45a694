// What conformance/c_code.py drives: C code for networks, with inputs and what int8::Interpreter answers.
//
//   conformance_c_code random FOLDER COUNT SEED INPUTS   random networks m0000, m0001, …
//   conformance_c_code foreign FOLDER COUNT SEED INPUTS  with what other people's files hold: f0000, …
//   conformance_c_code named FOLDER SEED INPUTS NAME…    reference networks with random weights
//   conformance_c_code file FOLDER SEED INPUTS FILE…     .tflite files file0000, …
//
// Writes NAME.tflite, NAME.h, NAME.c, NAME_weights.h, NAME.inputs, NAME.outputs (raw bytes, one after the
// other), and a line of JSON about each network on standard output.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cost/c_work.h"
#include "cost/cost.h"
#include "deploy/c_code.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"
#include "int8/random_quant_graph.h"
#include "int8/reference.h"
#include "int8/tflite.h"
#include "random_form.h"

namespace {

using namespace retort;  // NOLINT(google-build-using-namespace): one small program

void write(const std::filesystem::path& folder, const std::string& name, const int8::QuantGraph& graph,
           Rng rng, int inputs) {
  const auto save = [&](const std::string& ending, std::span<const uint8_t> bytes) {
    write_file_atomic(folder / (name + ending), bytes);
  };
  const auto save_text = [&](const std::string& ending, const std::string& text) {
    save(ending, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  save(".tflite", file);
  const deploy::CCode code = deploy::generate_c(graph, {.name = name});
  save_text(".h", code.header);
  save_text(".c", code.source);
  save_text("_weights.h", code.weights);

  int8::Interpreter interpreter(graph);
  std::vector<uint8_t> all_inputs;
  std::vector<uint8_t> all_outputs;
  std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
  const bool is_float = graph.tensors[static_cast<size_t>(graph.inputs[0])].type == int8::Type::Float32;
  for (int i = 0; i < inputs; ++i) {
    std::vector<uint8_t> input(static_cast<size_t>(interpreter.input_bytes()));
    if (is_float) {
      for (size_t at = 0; at < input.size(); at += sizeof(float)) {
        // Every other one halfway between two steps of the input's grid.
        const float step = std::floor(rng.uniform(-60.0F, 320.0F)) + 0.5F;
        const float value = at % 8 == 0 ? rng.uniform(-0.2F, 1.2F) : step / 255.0F;
        std::memcpy(input.data() + at, &value, sizeof(float));
      }
    } else {
      // The extremes first.
      for (uint8_t& byte : input) byte = i == 0 ? 0x80 : i == 1 ? 0x7f : static_cast<uint8_t>(rng.next_u32());
    }
    interpreter.invoke(input, output);
    all_inputs.insert(all_inputs.end(), input.begin(), input.end());
    all_outputs.insert(all_outputs.end(), output.begin(), output.end());
  }
  save(".inputs", all_inputs);
  save(".outputs", all_outputs);
  const cost::Cost cost = cost::analyze(graph);
  const cost::CPlan plan = cost::plan_c(graph);
  Json work = Json::array();
  const std::vector<cost::CWork> all = cost::c_work(graph, plan);
  for (size_t k = 0; k < all.size(); ++k)
    if (all[k].kernel != cost::CKernel::Reshape) work.push_back({to_string(all[k].kernel), all[k].counts, k});
  fmt::print("{}\n", Json({{"name", name},
                           {"macs", cost.macs},
                           {"input_bytes", interpreter.input_bytes()},
                           {"output_bytes", interpreter.output_bytes()},
                           {"file_bytes", file.size()},
                           {"weight_bytes", code.weight_bytes},
                           {"c_arena_bytes", code.arena_bytes},
                           {"tflm_arena_bytes", cost.cortex_m4.used_bytes()},
                           {"float_ends", is_float},
                           {"footprint", cost.footprint},
                           {"instructions", cost::c_instructions(all, cost::CVariant::Dsp)},
                           {"work", work}})
                         .dump());
}

int run(const std::vector<std::string>& words) {
  const std::string& what = words.at(0);
  const std::filesystem::path folder = words.at(1);
  std::filesystem::create_directories(folder);
  if (what == "random") {
    const Rng root(std::stoull(words.at(3)));
    for (int i = 0; i < std::stoi(words.at(2)); ++i) {
      Rng rng = root.fork("c conformance", static_cast<uint64_t>(i));
      graph::RandomGraphOptions options;
      options.maximum_side = 16;
      options.maximum_channels = 20;
      const graph::QuantizedForm form = random_form(graph::random_graph(rng, options), rng);
      const auto ends = i % 4 == 3 ? int8::Ends::Float : int8::Ends::Int8;
      write(folder, fmt::format("m{:04}", i),
            int8::lower(form.graph, form.parameters, {ends, {"first", "second"}}), rng,
            std::stoi(words.at(4)));
    }
    return 0;
  }
  if (what == "foreign") {
    const Rng root(std::stoull(words.at(3)));
    for (int i = 0; i < std::stoi(words.at(2)); ++i) {
      Rng rng = root.fork("foreign", static_cast<uint64_t>(i));
      const int8::QuantGraph graph = int8::random_quant_graph(rng);
      write(folder, fmt::format("f{:04}", i), graph, rng, std::stoi(words.at(4)));
    }
    return 0;
  }
  const Rng root(std::stoull(words.at(2)));
  const int inputs = std::stoi(words.at(3));
  for (size_t i = 4; i < words.size(); ++i) {
    Rng rng = root.fork("c conformance", i);
    if (what == "named") {
      const graph::QuantizedForm form = random_form(graph::reference_network(words[i]), rng);
      write(folder, words[i], int8::lower(form.graph, form.parameters, {int8::Ends::Int8, {}}), rng, inputs);
    } else if (what == "file") {
      write(folder, fmt::format("file{:04}", i - 4), int8::read_tflite(read_file(words[i]), words[i]), rng,
            inputs);
    } else {
      throw_usage("unknown command {}", what);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
}
