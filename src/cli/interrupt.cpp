#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>
#include <thread>

namespace retort::cli {
namespace {

// Never destroyed: the waiting thread may outlive main's statics.
std::stop_source& source() {
  static auto* stop = new std::stop_source;
  return *stop;
}

void say(std::string_view text) {
  // Nothing can be done where standard error itself is gone.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

void wait_for_signals(sigset_t signals) {
  int received = 0;
  while (sigwait(&signals, &received) != 0) {
  }
  source().request_stop();
  while (sigwait(&signals, &received) != 0) {
  }
  // Clears the live display, below whose first line the cursor never is.
  if (isatty(STDERR_FILENO) != 0) say("\r\033[J");
  _exit(128 + received);
}

}  // namespace

void install_interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  std::thread(wait_for_signals, signals).detach();
}

std::stop_token interrupt_token() {
  return source().get_token();
}

}  // namespace retort::cli
