// retort boards: the microcontroller boards that a search can aim at.
#include "cost/boards.h"

#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/target.h"
#include "cli/terminal.h"

namespace retort::cli {
namespace {

struct BoardsCommand {
  std::string name;
  std::filesystem::path boards;
  OutputOptions output;
};

// As it is written on a command line: "832K", "1M".
std::string size_text(int64_t bytes) {
  constexpr int64_t kKilo = 1024;
  if (bytes % kKilo != 0) return fmt::format("{}", bytes);
  if (bytes % (kKilo * kKilo) != 0) return fmt::format("{}K", bytes / kKilo);
  return fmt::format("{}M", bytes / (kKilo * kKilo));
}

std::string clock_text(int64_t hertz) {
  return fmt::format("{:g} MHz", static_cast<double>(hertz) / 1e6);
}

std::string table(const std::vector<cost::Board>& boards) {
  const auto row = [](std::string_view name, std::string_view title, std::string_view core,
                      std::string_view clock, std::string_view flash, std::string_view ram,
                      std::string_view flash_left, std::string_view ram_left) {
    const std::string shown = fit_columns(title, 38, Charset::Utf8);
    return fmt::format("{:<14}{}{} {:<10}{:>8}{:>6}{:>6}{:>9}{:>6}\n", name, shown,
                       std::string(static_cast<size_t>(38 - display_columns(shown)), ' '), core, clock, flash,
                       ram, flash_left, ram_left);
  };
  std::string text = fmt::format("{:>{}}\n", "left to a model", 98);
  text += row("name", "board", "core", "clock", "flash", "RAM", "flash", "RAM");
  for (const cost::Board& board : boards)
    text += row(board.name, board.title, cost::traits(board.core).title, clock_text(board.clock_hz),
                size_text(board.flash_bytes), size_text(board.ram_bytes), size_text(board.flash_for_model()),
                size_text(board.ram_for_model()));
  return text + "\nretort boards NAME says what the rest is for; --boards FILE adds your own.\n";
}

std::string details(const cost::Board& board) {
  const cost::CoreTraits& core = cost::traits(board.core);
  std::string text = fmt::format("{}: {}\n", board.name, board.title);
  const auto line = [&text](std::string_view what, const std::string& value) {
    text += fmt::format("  {:<9}{}\n", what, value);
  };
  line("core", fmt::format("{} at {}, {}", core.title, clock_text(board.clock_hz),
                           core.kernels == cost::Kernels::Dsp ? "kernels with DSP instructions"
                                                              : "kernels in plain C"));
  const auto memory = [&](std::string_view what, int64_t all, int64_t left) {
    line(what, fmt::format("{} bytes, of which {} ({}) are left to a model", format_integer(all),
                           format_integer(left), format_bytes(left)));
  };
  memory("flash", board.flash_bytes, board.flash_for_model());
  memory("RAM", board.ram_bytes, board.ram_for_model());
  line("beside", board.firmware.empty() ? "nothing else" : board.firmware);
  line("time", fmt::format("{:g} cycles an instruction, ± {:.0f} %", board.cycles_per_instruction,
                           board.cycles_error * 100));
  if (!board.source.empty()) line("source", board.source);
  return text;
}

void run(const BoardsCommand& command) {
  Terminal terminal(command.output);
  const std::vector<cost::Board> boards = cost::load_boards(command.boards);
  if (command.name.empty()) {
    terminal.result_json(boards);
    terminal.result(table(boards));
    return;
  }
  const cost::Board& board = cost::find_board(boards, command.name);
  terminal.result_json(board);
  terminal.result(details(board));
}

}  // namespace

void add_boards_command(CLI::App& app) {
  CLI::App* sub =
      app.add_subcommand("boards", "The boards that a search can aim at, and what they leave to a model");
  const auto command = std::make_shared<BoardsCommand>();
  sub->add_option("name", command->name, "one board, with its details")->type_name("NAME");
  add_boards_file_option(*sub, command->boards);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort boards", "retort boards nano33ble", "retort boards --boards mine.toml --json"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
