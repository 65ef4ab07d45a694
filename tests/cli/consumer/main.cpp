// What a network costs: consumer CONFIG.
#include <cstdio>

#include "cost/cost.h"
#include "engine/backend.h"
#include "graph/notebook.h"
#include "search/search.h"

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  const auto graph =
      retort::graph::graph_from_config(argv[1], {.height = 32, .width = 32, .channels = 1}, 10);
  const auto cost = retort::cost::analyze(graph, {.ends = retort::int8::Ends::Float, .classes = {}});
  // The engine and the search bring oneDNN, OpenMP and SQLite along.
  const auto network = retort::engine::backend().compile(graph, {});
  std::printf("%lld parameters, %lld bytes of flash, %zu presets\n", static_cast<long long>(cost.parameters),
              static_cast<long long>(cost.flash_bytes), retort::search::preset_names().size());
  return network == nullptr ? 1 : 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
