#include "base/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/sizes.h"
#include "base/temporary.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

template <typename Container>
Container read_whole(const fs::path& path, uint64_t most_bytes) {
  InputFile file(path);
  if (file.bytes() > most_bytes)
    throw_usage("{}: has {} bytes; at most {} are read", file.name(), file.bytes(), most_bytes);
  require_memory(file.bytes(), file.name() + ": its bytes");
  Container content;
  content.resize(static_cast<size_t>(file.bytes()));
  content.resize(file.read({reinterpret_cast<uint8_t*>(content.data()), content.size()}));
  return content;
}

void create_parent(const fs::path& path) {
  if (!path.has_parent_path()) return;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw_failure("{}: its folder cannot be created: {}", path.string(), error.message());
}

// Made for this user alone, in a folder where all may write: one that somebody else has put there is not used.
fs::path private_folder(const fs::path& path) {
  struct stat status{};
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    throw_failure("{}: cannot be made: {}", path.string(), system_reason(errno));
  if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() ||
      (status.st_mode & 022U) != 0)
    throw_failure(
        "{}: is not a folder of this user's that nobody else may write to: name another one by RETORT_CACHE",
        path.string());
  return path;
}

int open_lock(const fs::path& path) {
  create_parent(path);
  return ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
}

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

InputFile::InputFile(const fs::path& path)
    // O_NONBLOCK: opening a pipe without a writer must not hang before we can say that it is no file.
    : name_(path.string()), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (!file_.is_open()) throw_usage("{}: cannot be read: {}", name_, system_reason(errno));
  struct stat status{};
  if (::fstat(file_.get(), &status) != 0) throw_usage("{}: cannot be read: {}", name_, system_reason(errno));
  if (S_ISDIR(status.st_mode)) throw_usage("{}: is a folder where a file is expected", name_);
  if (!S_ISREG(status.st_mode)) throw_usage("{}: is not a regular file", name_);
  bytes_ = static_cast<uint64_t>(status.st_size);
}

size_t InputFile::read(std::span<uint8_t> out) {
  size_t have = 0;
  while (have < out.size()) {
    const ssize_t got = ::read(file_.get(), out.data() + have, out.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_usage("{}: cannot be read: {}", name_, system_reason(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  return have;
}

std::string random_hex() {
  std::array<uint8_t, 8> bytes{};
  // Of so few the system never gives a part.
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw_failure("the system gives no random numbers: {}", system_reason(errno));
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

void remove_temporaries(const fs::path& folder, std::chrono::seconds age) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!is_temporary(it->path())) continue;
    std::error_code ignored;
    const auto written = age.count() > 0 ? fs::last_write_time(it->path(), ignored) : now - age;
    if (!ignored && now - written >= age) fs::remove_all(it->path(), ignored);
  }
}

std::vector<uint8_t> read_file(const fs::path& path, uint64_t most_bytes) {
  return read_whole<std::vector<uint8_t>>(path, most_bytes);
}

std::string read_text(const fs::path& path, uint64_t most_bytes) {
  return read_whole<std::string>(path, most_bytes);
}

void write_pieces_atomic(const fs::path& path, std::span<const std::span<const uint8_t>> pieces) {
  create_parent(path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  fs::path temporary;
  try {
    int opened = -1;
    temporary = make_temporary(folder, [&opened](const fs::path& name) {
      opened = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
      if (opened < 0 && errno != EEXIST) throw std::system_error(errno, std::generic_category());
      return opened >= 0;
    });
    Descriptor file(opened);
    for (const std::span<const uint8_t> piece : pieces) write_fully(file.get(), piece);
    if (::fsync(file.get()) != 0) throw std::system_error(errno, std::generic_category());
    if (file.close() != 0) throw std::system_error(errno, std::generic_category());
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      throw std::system_error(errno, std::generic_category());
  } catch (const std::system_error& error) {
    if (!temporary.empty()) ::unlink(temporary.c_str());
    throw_failure("{}: cannot be written: {}", path.string(), system_reason(error.code().value()));
  }
  // The rename itself lasts through a power cut only when the folder is synced; some file systems refuse,
  // which costs nothing but that.
  const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.is_open()) ::fsync(parent.get());
}

void write_file_atomic(const fs::path& path, std::span<const uint8_t> bytes) {
  write_pieces_atomic(path, std::span(&bytes, 1));
}

void write_text_atomic(const fs::path& path, std::string_view text) {
  write_file_atomic(path, as_bytes(text));
}

fs::path through_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(path, ignored) ? fs::weakly_canonical(path, ignored) : path;
}

void refuse_link(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_symlink(path, ignored))
    throw_usage("{}: is a link, which may lead anywhere: put what it stands for in its place", path.string());
}

fs::path without_links(const fs::path& home, const fs::path& below) {
  fs::path path = home;
  for (const fs::path& part : below) refuse_link(path /= part);
  return path;
}

FileLock::FileLock(const fs::path& path) : file_(open_lock(path)) {
  if (!file_.is_open())
    throw_failure("{}: cannot be opened for locking: {}", path.string(), system_reason(errno));
  int result = 0;
  do {
    result = ::flock(file_.get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) throw_failure("{}: is in use by another process", path.string());
  if (result != 0) throw_failure("{}: cannot be locked: {}", path.string(), system_reason(errno));
}

fs::path cache_directory() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  if (const fs::path own = variable("RETORT_CACHE"); !own.empty()) return own;
  // The XDG specification: a relative path is invalid and to be ignored.
  if (const fs::path shared = variable("XDG_CACHE_HOME"); shared.is_absolute()) return shared / "retort";
  if (const fs::path home = variable("HOME"); !home.empty()) return home / ".cache" / "retort";
  return private_folder(fs::temp_directory_path() / fmt::format("retort-{}", ::getuid()));
}

std::string sha256_hex(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr ||
      EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr) != 1) {
    EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
    throw_failure("SHA-256 is not available from OpenSSL");
  }
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}

void Sha256::update(std::span<const uint8_t> bytes) {
  if (EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) != 1)
    throw_failure("SHA-256 failed in OpenSSL");
}

void Sha256::update(std::string_view text) {
  update(as_bytes(text));
}

std::string Sha256::hex() {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.data(), &length) != 1)
    throw_failure("SHA-256 failed in OpenSSL");
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace retort
