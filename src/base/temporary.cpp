#include "base/temporary.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/error.h"

namespace retort {
namespace {

// A name must not be guessed: others may write where a file is made.
std::array<uint64_t, 2> random_bits() {
  std::array<uint64_t, 2> bits{};
  ssize_t got = 0;
  do {
    got = ::getrandom(bits.data(), sizeof bits, 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof bits)) throw_failure("the system gives no random numbers");
  return bits;
}

}  // namespace

std::filesystem::path make_temporary(const std::filesystem::path& folder,
                                     const std::function<bool(const std::filesystem::path&)>& make) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    const auto [high, low] = random_bits();
    std::filesystem::path path = folder / fmt::format(".retort-{:016x}{:016x}.tmp", high, low);
    if (make(path)) return path;
  }
  throw_failure("{}: no name for a temporary file is free", folder.string());
}

}  // namespace retort
