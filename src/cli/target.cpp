#include "cli/target.h"

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/options.h"

namespace retort::cli {

void add_boards_file_option(CLI::App& app, std::filesystem::path& file) {
  app.add_option("--boards", file, "boards of your own, a TOML file as docs/boards.md says")
      ->type_name("FILE");
}

void add_target_options(CLI::App& app, TargetOptions& options) {
  app.add_option("--board", options.board, "a board of `retort boards`, such as nano33ble")
      ->type_name("NAME");
  add_boards_file_option(app, options.boards);
  add_parsed(app, "--runtime", "NAME", "what runs the model: c (generated C) or tflm (TensorFlow Lite Micro)",
             std::string(cost::to_string(options.runtime)),
             [&options](const std::string& text) { options.runtime = cost::parse_runtime(text); });
}

cost::Target resolve_target(const TargetOptions& options) {
  cost::Target target{.runtime = options.runtime};
  if (options.board.empty()) {
    if (!options.boards.empty())
      throw_usage("--boards is without effect: give --board with the name of one of its boards");
    return target;
  }
  const std::vector<cost::Board> boards = cost::load_boards(options.boards);
  try {
    target.board = cost::find_board(boards, options.board);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("--board: {}", error.what()));
  }
  return target;
}

std::string fit_text(const cost::Cost& cost, const cost::Target& target) {
  const cost::Footprint& footprint = cost.footprint;
  std::string text = fmt::format("as {}\n", cost::title(target.runtime));
  const auto line = [&](std::string_view what, int64_t bytes, const std::string& parts, int64_t room) {
    text += fmt::format("  {:<5} {:>11} bytes = {}", what, format_integer(bytes), parts);
    if (target.board)
      text += bytes <= room ? fmt::format(": fits, {} left", format_bytes(room - bytes))
                            : fmt::format(": {} too many", format_bytes(bytes - room));
    text += '\n';
  };
  line("flash", footprint.flash_bytes(), cost::flash_parts(footprint),
       target.board ? target.board->flash_for_model() : 0);
  line("RAM", footprint.ram_bytes(), cost::ram_parts(footprint),
       target.board ? target.board->ram_for_model() : 0);
  if (cost.latency)
    text += fmt::format("  time  {:>11} instructions, about {}\n", format_integer(cost.latency->instructions),
                        cost::latency_text(*cost.latency));
  if (target.board) {
    const cost::Board& board = *target.board;
    const bool fits =
        footprint.flash_bytes() <= board.flash_for_model() && footprint.ram_bytes() <= board.ram_for_model();
    text += fmt::format("{} {} ({}), which leaves {} of flash and {} of RAM{}\n",
                        fits ? "Fits" : "Does not fit", board.name, board.title,
                        format_bytes(board.flash_for_model()), format_bytes(board.ram_for_model()),
                        board.firmware.empty() ? "." : fmt::format(" beside:\n  {}", board.firmware));
  }
  return text;
}

Json fit_json(const cost::Cost& cost, const cost::Target& target) {
  Json json = {{"runtime", cost::to_string(target.runtime)}, {"footprint", cost.footprint}};
  if (!target.board) return json;
  const int64_t flash_left = target.board->flash_for_model() - cost.footprint.flash_bytes();
  const int64_t ram_left = target.board->ram_for_model() - cost.footprint.ram_bytes();
  json["board"] = target.board->name;
  json["fits"] = flash_left >= 0 && ram_left >= 0;
  json["flash_left"] = flash_left;
  json["ram_left"] = ram_left;
  json["latency"] = *cost.latency;
  return json;
}

}  // namespace retort::cli
