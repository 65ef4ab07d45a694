#include "search/crash_mark.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "search/candidates.h"
#include "search/search.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "crashed";  // "<trial> <attempt> <worker>", a new line, "<signal>"
constexpr std::array kCrashes = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
thread_local const CrashMark* current = nullptr;
std::atomic_flag crashed;
void (*after_mark)() = nullptr;

sigset_t crash_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kCrashes) sigaddset(&signals, signal);
  return signals;
}

// A thread whose stack has run over has no room for the handler.
class SignalStack {
 public:
  SignalStack() : memory_(size_t{64} << 10) {
    const stack_t stack = {.ss_sp = memory_.data(), .ss_flags = 0, .ss_size = memory_.size()};
    sigaltstack(&stack, &before_);
  }
  ~SignalStack() { sigaltstack(&before_, nullptr); }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  std::vector<std::byte> memory_;
  stack_t before_{};
};

// One that another process sent says nothing of the trial.
extern "C" void on_crash(int signal, siginfo_t* info, void*) {
  const bool own = info->si_code > 0 || info->si_pid == getpid();
  if (own && current != nullptr) {
    // What crashes beside it waits for the end of the process.
    while (crashed.test_and_set()) pause();
    if (current->leave(signal) && after_mark != nullptr) after_mark();
  }
  // The default action follows as the handler returns.
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// A finalist's runs are in folders of its trial's.
std::vector<fs::path> marks(const fs::path& folder, Trials trials) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const fs::directory_entry& trial : fs::directory_iterator(folder / "trials", none)) {
    if (trials == Trials::Search) {
      files.push_back(trial.path() / kFile);
      continue;
    }
    for (const fs::directory_entry& run : fs::directory_iterator(trial.path(), none))
      files.push_back(run.path() / kFile);
  }
  std::erase_if(files, [](const fs::path& file) { return !fs::is_regular_file(file); });
  return files;
}

void count(study::Storage& storage, const study::Claim& claim, int signal, uint64_t seed,
           ProgressSink& progress) {
  const StoredProposal proposal = proposal_of(storage.trial(claim.trial));
  const CandidateRun run = candidate_run(proposal, claim.trial, seed, {});
  const TrialResult result =
      failed_result(proposal, run, fmt::format("it ended its process: {}", strsignal(signal)));
  try {
    const study::TrialState state = storage.crash(claim, to_ending(result), kMostCrashes);
    progress.message(
        fmt::format("{}: {}{}.", run.name, result.reason,
                    study::is_finished(state) ? ", again: it has failed" : "; it is tried once more"));
  } catch (const study::LostLease&) {  // somebody else has it
  }
}

}  // namespace

void leave_crash_marks(void (*then)()) {
  after_mark = then;
  struct sigaction action = {};
  action.sa_sigaction = on_crash;
  action.sa_mask = crash_signals();
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;  // NOLINT(*-signed-bitwise): the system's
  for (const int signal : kCrashes) sigaction(signal, &action, nullptr);
  // A program that was started by the handler has its mask.
  const sigset_t signals = crash_signals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

CrashMark::CrashMark(const fs::path& folder, const study::Claim& claim)
    : file_((folder / kFile).string()),
      text_(fmt::format("{} {} {}\n", claim.trial, claim.attempt, claim.worker)),
      outer_(current) {
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  thread_local const SignalStack stack;
  current = this;
}

CrashMark::~CrashMark() {
  current = outer_;
}

bool CrashMark::leave(int signal) const noexcept {
  const int file = open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const std::array<char, 2> digits = {static_cast<char>('0' + signal / 10),
                                      static_cast<char>('0' + signal % 10)};
  // Half a mark is none.
  const bool whole = write(file, text_.data(), text_.size()) == static_cast<ssize_t>(text_.size()) &&
                     write(file, digits.data(), digits.size()) == static_cast<ssize_t>(digits.size());
  close(file);
  return whole;
}

void release_earlier(study::Storage& storage, Trials trials, const fs::path& folder,
                     const std::string& worker, uint64_t seed, ProgressSink& progress) {
  const std::vector<fs::path> left = marks(folder, trials);
  for (const fs::path& file : left) {
    std::istringstream text(read_text(file));
    // The worker of then: since, the machine may have another name, or the folder another place.
    study::Claim claim;
    int signal = 0;
    if (text >> claim.trial >> claim.attempt >> std::ws && std::getline(text, claim.worker) && text >> signal)
      count(storage, claim, signal, seed, progress);
    fs::remove(file);
  }
  // The others that the process had were lost by that trial's doing.
  storage.release(worker, left.empty() ? study::Loss::Counts : study::Loss::OthersDoing);
}

}  // namespace retort::search
