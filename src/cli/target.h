// --board, --boards and --runtime, which several commands have, and how a network fits what they name.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "base/json_fwd.h"
#include "cost/cost.h"
#include "cost/target.h"

namespace retort::cli {

struct TargetOptions {
  std::string board;  // empty: none
  std::filesystem::path boards;
  cost::Runtime runtime = cost::Runtime::C;
};
void add_boards_file_option(CLI::App& app, std::filesystem::path& file);
void add_target_options(CLI::App& app, TargetOptions& options);
// Error(Usage) for an unknown board or a wrong file.
cost::Target resolve_target(const TargetOptions& options);

// The parts of what the network takes with the target's runtime; with a board, whether it fits, by how much,
// and how long it runs. In lines, or as {"runtime":…,"footprint":…,"board":…,"fits":…,"flash_left":…,…}.
std::string fit_text(const cost::Cost& cost, const cost::Target& target);
Json fit_json(const cost::Cost& cost, const cost::Target& target);

}  // namespace retort::cli
