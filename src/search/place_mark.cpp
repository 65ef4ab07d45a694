#include "search/place_mark.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeyDigits = 64;  // one block of SHA-256's

// Nothing where there is no folder for it.
std::optional<fs::path> key_file() {
  try {
    return cache_directory() / "storage-key";
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Nothing unless the file is this user's alone: a cache may be shared, and the key somebody else's.
std::optional<std::string> stored_key(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open()) return std::nullopt;
  struct stat status{};
  std::array<char, kKeyDigits> digits{};
  const bool is_good =
      ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid() &&
      (status.st_mode & 077U) == 0 &&
      ::read(file.get(), digits.data(), digits.size()) == static_cast<ssize_t>(digits.size());
  if (!is_good) return std::nullopt;
  return std::string(digits.data(), digits.size());
}

// Nothing where it cannot be kept: the search goes on, and its folder is not known again.
std::optional<std::string> make_key(const fs::path& path) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  std::string digits;
  while (digits.size() < kKeyDigits) digits += random_hex();
  const fs::path temporary = fmt::format("{}-{}", path.string(), random_hex());
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return std::nullopt;
  bool is_whole = true;
  try {
    write_fully(file.get(), {reinterpret_cast<const uint8_t*>(digits.data()), digits.size()});
  } catch (const std::system_error&) {
    is_whole = false;
  }
  is_whole = is_whole && ::fsync(file.get()) == 0 && file.close() == 0;
  if (!is_whole || ::rename(temporary.c_str(), path.c_str()) != 0) ::unlink(temporary.c_str());
  return stored_key(path);  // another process may have made one at the same time
}

// HMAC-SHA-256 (RFC 2104), in hexadecimal.
std::string digest(std::string_view key, std::string_view text) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const uint8_t*>(text.data()), text.size(), bytes.data(), &size) == nullptr)
    throw_failure("OpenSSL makes no HMAC");
  std::string hex;
  for (const uint8_t byte : std::span(bytes).first(size)) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace

std::string mark_of(std::string_view text) {
  const auto path = key_file();
  if (!path) return "";
  std::optional<std::string> key = stored_key(*path);
  if (!key) key = make_key(*path);
  return key ? digest(*key, text) : "";
}

bool has_mark(std::string_view text, std::string_view mark) {
  const auto path = key_file();
  if (!path) return false;
  const std::optional<std::string> key = stored_key(*path);
  return key && digest(*key, text) == mark;
}

}  // namespace retort::search
