#include "search/crash_mark.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "search/candidates.h"
#include "search/search.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "crashed";  // "<attempt> <signal>"
thread_local const CrashMark* current = nullptr;

// Installed for one signal: the default action follows.
// One that another process sent says nothing of the trial.
extern "C" void on_crash(int signal, siginfo_t* info, void*) {
  const bool own = info->si_code > 0 || info->si_pid == getpid();
  if (own && current != nullptr) current->leave(signal);
  std::raise(signal);
}

}  // namespace

void leave_crash_marks() {
  struct sigaction action = {};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER;  // NOLINT(*-signed-bitwise): the system's
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
}

CrashMark::CrashMark(const fs::path& folder, int attempt)
    : file_((folder / kFile).string()), attempt_(fmt::format("{} ", attempt)), outer_(current) {
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  current = this;
}

CrashMark::~CrashMark() {
  current = outer_;
}

void CrashMark::leave(int signal) const noexcept {
  const int file = open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  const std::array<char, 2> digits = {static_cast<char>('0' + signal / 10),
                                      static_cast<char>('0' + signal % 10)};
  // Half a mark is none.
  if (write(file, attempt_.data(), attempt_.size()) == static_cast<ssize_t>(attempt_.size()))
    static_cast<void>(!write(file, digits.data(), digits.size()));
  close(file);
}

void count_crash_marks(study::Storage& storage, const fs::path& folder, const std::string& worker,
                       uint64_t seed) {
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "trials", none)) {
    const fs::path file = entry.path() / kFile;
    if (!fs::exists(file)) continue;
    std::istringstream text(read_text(file));
    const std::string name = entry.path().filename().string();
    study::Claim claim{.trial = -1, .worker = worker};
    std::from_chars(name.data(), name.data() + name.size(), claim.trial);
    int signal = 0;
    if (claim.trial >= 0 && text >> claim.attempt >> signal) {
      const TrialResult result =
          failed_result(from_stored(nlohmann::json::parse(storage.trial(claim.trial).proposal)), claim.trial,
                        seed, fmt::format("it ended its process: {}", strsignal(signal)));
      try {
        storage.crash(claim, to_ending(result).result, kMostCrashes);
      } catch (const study::LostLease&) {  // somebody else has it
      }
    }
    fs::remove(file);
  }
}

}  // namespace retort::search
