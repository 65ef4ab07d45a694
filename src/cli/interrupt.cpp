#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string_view>
#include <thread>
#include <utility>

#include "base/error.h"

namespace retort::cli {
namespace {

// Never destroyed: the waiting thread may outlive main's statics.
std::stop_source& source() {
  static auto* stop = new std::stop_source;
  return *stop;
}

std::atomic<bool> is_followed = false;  // somebody looks at the token

std::atomic<const char*> sentence = "stopping; what is finished is kept (again to end at once)\n";

void say(std::string_view text) {
  // Nothing can be done where standard error itself is gone.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

// The cursor rests at the start of the live display's first line.
void clear_live_lines() {
  if (isatty(STDERR_FILENO) != 0) say("\r\033[J");
}

void wait_for_signals(sigset_t signals) {
  int received = 0;
  while (sigwait(&signals, &received) != 0) {
  }
  clear_live_lines();
  if (!is_followed) _exit(128 + received);
  say(sentence.load());
  source().request_stop();
  while (sigwait(&signals, &received) != 0) {
  }
  clear_live_lines();
  _exit(128 + received);
}

}  // namespace

void install_interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  // Under nohup a hang-up is ignored, and stays so: waiting for a signal would take it out of that.
  struct sigaction hangup = {};
  if (sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  sigaction(SIGXFSZ, &ignore, nullptr);  // of ulimit -f: writing fails with a sentence instead
  std::thread(wait_for_signals, signals).detach();
}

void say_on_interrupt(const char* line) {
  sentence = line;
}

std::stop_token interrupt_token() {
  is_followed = true;
  return source().get_token();
}

StoppingProgress::StoppingProgress(ProgressSink& sink, std::stop_token stop)
    : sink_(sink), stop_(std::move(stop)) {}

void StoppingProgress::update(std::string_view task, double done, double total, std::string_view note) {
  if (stop_.stop_requested()) throw Error(ErrorCode::Interrupted, fmt::format("{} was interrupted", task));
  sink_.update(task, done, total, note);
}

void StoppingProgress::message(std::string_view text) {
  sink_.message(text);
}

void StoppingProgress::trained(int64_t images) {
  sink_.trained(images);
}

}  // namespace retort::cli
