// Microcontroller boards: what a network must fit, and how quick they are. A table of known ones is built in;
// users add theirs, or put others in place of these, in a TOML file of the same form (docs/boards.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace retort::cost {

enum class Core {
  CortexM0Plus,
  CortexM3,
  CortexM4,
  CortexM7,
  CortexM33,
  CortexM55,
  XtensaLx6,
  XtensaLx7,
  RiscV
};

// Which kernels a core runs: those with Arm's DSP instructions (two multiply-accumulates each), or plain C.
enum class Kernels { Plain, Dsp };

struct CoreTraits {
  Core core;
  std::string_view name;   // as in TOML and JSON: "cortex-m4"
  std::string_view title;  // "Cortex-M4"
  Kernels kernels;
  // Cycles that a core takes for each instruction which a Cortex-M4 would run, and how far a board may be
  // from it, as a share: flash, caches and clocks differ between boards with the same core.
  double cycles_per_instruction;
  double cycles_error;
};
const CoreTraits& traits(Core core);

struct Board {
  std::string name;   // for scripts: "nano33ble"
  std::string title;  // for people
  Core core = Core::CortexM4;
  int64_t clock_hz = 0;
  int64_t flash_bytes = 0;
  int64_t ram_bytes = 0;  // in one piece
  std::string firmware;   // what is assumed beside the model
  int64_t firmware_flash_bytes = 0;
  int64_t firmware_ram_bytes = 0;
  double cycles_per_instruction = 0;  // the core's unless this board was measured
  double cycles_error = 0;
  std::string source;

  // Left to a model with its runtime.
  [[nodiscard]] int64_t flash_for_model() const { return flash_bytes - firmware_flash_bytes; }
  [[nodiscard]] int64_t ram_for_model() const { return ram_bytes - firmware_ram_bytes; }
  bool operator==(const Board&) const = default;
};

// In the order of the table.
const std::vector<Board>& builtin_boards();

// The boards of a TOML text. Throws Error(Usage) with `file`, the line and what would be right.
std::vector<Board> parse_boards(std::string_view toml, const std::string& file);

// The built-in boards and those of `file` (none when empty); one with a built-in name takes its place.
std::vector<Board> load_boards(const std::filesystem::path& file);

// Error(Usage) with the nearest name, or all of them, when there is none of that name.
const Board& find_board(const std::vector<Board>& boards, std::string_view name);

// Every field, sizes in bytes, and what is left to a model.
void to_json(Json& json, const Board& board);
void from_json(const Json& json, Board& board);

}  // namespace retort::cost
