// Parts of `retort bench` that are files of their own.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>

namespace retort::cli {

void add_bench_int8_command(CLI::App& bench);     // `retort bench int8`
void add_bench_study_command(CLI::App& bench);    // `retort bench study`
void add_bench_proxies_command(CLI::App& bench);  // `retort bench proxies`

// Different images of so many bytes each that `retort bench int8` shows a network: 4 MB of them, at most 4,096, at least one.
size_t measured_images(size_t image_bytes);

}  // namespace retort::cli
