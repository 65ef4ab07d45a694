// Ctrl-C and kill: the first signal asks the running work to stop, the second one ends the program at once.
#pragma once

#include <stop_token>

namespace retort::cli {

// Call once, before any thread is started: SIGINT, SIGTERM and SIGHUP are blocked in every later thread and
// waited for by one of our own. SIGPIPE is ignored, so that a closed pipe becomes an error of the write that
// meets it.
void install_interrupts();

// What long work is given. Stops at the first signal.
std::stop_token interrupt_token();

}  // namespace retort::cli
