// Which of a grid of networks fits a board, and how quick would it be: what_fits BOARD DATA.
// Nothing is trained; Retort computes flash, RAM and time from the structure alone.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "base/units.h"
#include "cost/cost.h"
#include "data/reader.h"
#include "graph/notebook.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: what_fits nano33ble 'images:photos?size=32x32&gray=1'\n");
    return 2;
  }
  const auto& board = retort::cost::find_board(retort::cost::builtin_boards(), argv[1]);
  const auto data = retort::data::load_dataset(argv[2], {}, retort::silent_progress());
  const auto [height, width, channels] = data->train.shape;
  std::printf("%s leaves %lld bytes of flash and %lld of RAM to a model\n", board.title.c_str(),
              static_cast<long long>(board.flash_for_model()), static_cast<long long>(board.ram_for_model()));

  for (int blocks = 1; blocks <= 3; ++blocks)
    for (const int filters : {8, 16, 32}) {
      const std::string structure =
          fmt::format("{}, 1 layer, {} filters", retort::format_counted(blocks, "block"), filters);
      const auto graph = retort::graph::graph_from_config(
          structure, {.height = height, .width = width, .channels = channels},
          static_cast<int>(data->classes.size()));
      const auto cost = retort::cost::analyze(graph, {.classes = data->classes, .target = {.board = board}});
      const bool fits = cost.footprint.flash_bytes() <= board.flash_for_model() &&
                        cost.footprint.ram_bytes() <= board.ram_for_model();
      std::printf("%-32s %9lld bytes of flash %8lld of RAM, %-16s %s\n", structure.c_str(),
                  static_cast<long long>(cost.footprint.flash_bytes()),
                  static_cast<long long>(cost.footprint.ram_bytes()),
                  cost.latency ? retort::cost::latency_text(*cost.latency).c_str() : "",
                  fits ? "fits" : "too large");
    }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());  // one sentence: what is wrong, and what would be right
  return 1;
}
