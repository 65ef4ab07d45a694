// Parts of `retort bench` that are files of their own.
#pragma once

#include <CLI/CLI.hpp>

namespace retort::cli {

void add_bench_int8_command(CLI::App& bench);     // `retort bench int8`
void add_bench_study_command(CLI::App& bench);    // `retort bench study`
void add_bench_proxies_command(CLI::App& bench);  // `retort bench proxies`

}  // namespace retort::cli
