// Preloaded into the real program by crash_check.sh: a crash where a file of this name ($RETORT_TEST_CRASH_AT, the end of
// its path) is put in its place. $RETORT_TEST_CRASH says which; with $RETORT_TEST_CRASH_ONCE, a file that is made then, it
// happens once only.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

namespace {

int overflow(volatile char* below);
int (*volatile deeper)(volatile char*) = overflow;  // behind the compiler's back
int overflow(volatile char* below) {
  volatile char frame[4096];
  frame[0] = *below;
  return deeper(frame) + frame[0];
}

void crash(std::string_view how) {
  if (how == "abort") std::abort();
  if (how == "overflow") {
    volatile char begin = 0;
    overflow(&begin);
  }
  if (how == "segfault") {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  }
  if (how == "kill") raise(SIGKILL);
}

}  // namespace

extern "C" int rename(const char* from, const char* to) noexcept {
  const char* at = std::getenv("RETORT_TEST_CRASH_AT");
  const char* how = std::getenv("RETORT_TEST_CRASH");
  if (at != nullptr && how != nullptr && std::string_view(to).ends_with(at)) {
    const char* once = std::getenv("RETORT_TEST_CRASH_ONCE");
    if (once == nullptr || open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644) >= 0) crash(how);
  }
  static const auto real = reinterpret_cast<int (*)(const char*, const char*)>(dlsym(RTLD_NEXT, "rename"));
  return real(from, to);
}
