// The program anew in the same process: the number, the terminal, the parent and its signals stay.
#pragma once

namespace retort::cli {

// First of all in main.
void remember_program(char** argv);

// By the program's own path, with its words and the environment of now. Returns when that fails.
void start_again() noexcept;

// In a signal's handler, after a crash: nothing that was open stays open. Returns when it fails.
void start_again_after_crash() noexcept;

}  // namespace retort::cli
