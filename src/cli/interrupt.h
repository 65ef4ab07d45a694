// Ctrl-C and kill: the first signal asks the running work to stop, the second one ends the program at once. Work that
// does not ask for the token ends with the first.
#pragma once

#include <stop_token>
#include <string_view>

#include "base/progress.h"

namespace retort::cli {

// Call once, before any thread is started: SIGINT, SIGTERM and SIGHUP (unless it is ignored, as nohup does)
// are blocked in every later thread and waited for by one of our own. SIGPIPE is ignored, so that a closed
// pipe becomes an error of the write that meets it.
void install_interrupts();

// What the first signal says in place of "stopping; what is finished is kept": a literal with its newline.
void say_on_interrupt(const char* line);

// What long work is given. Stops at the first signal.
std::stop_token interrupt_token();

// For work that takes no stop token (reading images): once stopped, its next word of progress throws
// Error(Interrupted).
class StoppingProgress final : public ProgressSink {
 public:
  StoppingProgress(ProgressSink& sink, std::stop_token stop);
  void update(std::string_view task, double done, double total, std::string_view note) override;
  void message(std::string_view text) override;
  void trained(int64_t images) override;

 private:
  ProgressSink& sink_;
  std::stop_token stop_;
};

}  // namespace retort::cli
