// Writes random int8 networks and the arena that cost analysis says each needs on a 64-bit host, for arena.py
// to compare with TensorFlow Lite Micro.
//
//   conformance_arena FOLDER COUNT SEED     one line a file: name, head, tail, smallest arena
//   conformance_arena FILE.tflite …         the same lines for files that exist
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "base/file.h"
#include "cost/arena.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"
#include "int8/lower.h"
#include "int8/tflite.h"

namespace {

using namespace retort;

void print_arena(const std::string& name, const int8::QuantGraph& graph) {
  const cost::Arena arena = cost::plan_arena(graph, cost::Abi::Host);
  std::cout << name << ' ' << arena.head_bytes << ' ' << arena.tail_bytes << ' ' << arena.smallest_bytes
            << '\n';
}

void write_network(const std::filesystem::path& path, const graph::Graph& graph, int8::Ends ends) {
  const int8::QuantGraph lowered = int8::lower_structure(graph, {ends, {}});
  write_file_atomic(path, int8::write_tflite(lowered));
  print_arena(path.string(), lowered);
}

void write_random(const std::filesystem::path& folder, int count, uint64_t seed) {
  Rng rng(seed);
  for (int i = 0; i < count; ++i) {
    graph::RandomGraphOptions options;
    options.maximum_stages = 1 + i % 10;
    const graph::Graph graph = graph::random_graph(rng, options);
    write_network(folder / (std::to_string(i) + ".tflite"), graph,
                  i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float);
  }
  for (const std::string& name : graph::reference_network_names())
    write_network(folder / (name + ".tflite"), graph::reference_network(name), int8::Ends::Int8);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string first = argc > 1 ? argv[1] : "";
    if (argc == 4 && !first.ends_with(".tflite")) {
      write_random(first, std::atoi(argv[2]), std::strtoull(argv[3], nullptr, 10));
      return 0;
    }
    for (int i = 1; i < argc; ++i) print_arena(argv[i], int8::read_tflite(read_file(argv[i]), argv[i]));
    return argc > 1 ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
