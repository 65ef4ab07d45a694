#include "base/temporary.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"

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

bool is_temporary(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".retort-") && name.ends_with(".tmp");
}

StagingFolder::StagingFolder(const std::filesystem::path& folder) {
  const std::filesystem::path home = folder.empty() ? "." : folder;
  remove_temporaries(home, kStaleAge);
  path_ = make_temporary(home, [&](const std::filesystem::path& name) {
    if (::mkdir(name.c_str(), 0700) == 0) return true;
    if (errno != EEXIST) throw_failure("{}: cannot be written: {}", home.string(), system_reason(errno));
    return false;
  });
}

StagingFolder::~StagingFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void StagingFolder::move_out(const std::filesystem::path& name, const std::filesystem::path& place) const {
  std::error_code error;
  std::filesystem::rename(path_ / name, place, error);
  if (error) throw_failure("{}: cannot be written: {}", place.string(), error.message());
}

}  // namespace retort
