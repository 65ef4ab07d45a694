// --board, --boards and --runtime, which several commands have, and how a network fits what they name.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

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

// "generated C", "TensorFlow Lite Micro"
std::string runtime_title(cost::Runtime runtime);
// "model 1,234 + code 2,345 bytes", "arena 1 + static 2 + stack 3 bytes"
std::string flash_parts(const cost::Footprint& footprint);
std::string ram_parts(const cost::Footprint& footprint);
// "41.2 ms ± 20 %"
std::string latency_text(const cost::Latency& latency);

// The parts of what the network takes with the target's runtime; with a board, whether it fits, by how much,
// and how long it runs. In lines, or as {"runtime":…,"footprint":…,"board":…,"fits":…,"flash_left":…,…}.
std::string fit_text(const cost::Cost& cost, const cost::Target& target);
nlohmann::json fit_json(const cost::Cost& cost, const cost::Target& target);

}  // namespace retort::cli
