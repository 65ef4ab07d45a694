#include "cli/restart.h"

#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace retort::cli {
namespace {

char** words = nullptr;
// By its own path and not /proc/self/exe: the process keeps the name that users look for.
const char* program = nullptr;

}  // namespace

void remember_program(char** argv) {
  words = argv;
  std::error_code failed;
  static const std::string path = std::filesystem::read_symlink("/proc/self/exe", failed).string();
  program = path.c_str();
}

void start_again() noexcept {
  if (program != nullptr) execv(program, words);
}

void start_again_after_crash() noexcept {
  // The cursor rests at the start of the live display's first line.
  constexpr std::string_view kClear = "\r\033[J";
  constexpr std::string_view kText = "a candidate ended this process, which begins anew and goes on\n";
  if (isatty(STDERR_FILENO) != 0) static_cast<void>(!write(STDERR_FILENO, kClear.data(), kClear.size()));
  static_cast<void>(!write(STDERR_FILENO, kText.data(), kText.size()));
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  start_again();
}

}  // namespace retort::cli
