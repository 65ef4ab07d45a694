// One file a subcommand. Each adds itself to the program; main.cpp lists them all.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace retort::cli {

void add_search_command(CLI::App& app, const std::string& command_line);
void add_teacher_command(CLI::App& app);
void add_distill_command(CLI::App& app);
void add_prune_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_export_command(CLI::App& app, const std::string& shell_command);
void add_eval_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_boards_command(CLI::App& app);
void add_pick_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_study_command(CLI::App& app);
void add_worker_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_reference_command(CLI::App& app);

}  // namespace retort::cli
