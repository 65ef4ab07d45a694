#include "data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <span>
#include <system_error>
#include <thread>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/units.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

// NAME.part, open for appending.
class Part {
 public:
  explicit Part(fs::path path)
      : path_(std::move(path)),
        // No link: what lies there by that name is to be ours.
        file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644)) {
    if (!file_.is_open()) throw_failure("{}: cannot be written: {}", path_.string(), system_reason(errno));
    struct stat status{};
    if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode))
      throw_failure("{}: is not a regular file, so it is not written over", path_.string());
    bytes_ = status.st_size;
  }

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] int64_t bytes() const { return bytes_; }

  void append(std::span<const uint8_t> bytes) {
    try {
      write_fully(file_.get(), bytes);
    } catch (const std::system_error& error) {
      throw_failure(
          "{}: cannot be written: {}; what has come is kept, and the same command goes on from there",
          path_.string(), system_reason(error.code().value()));
    }
    bytes_ += static_cast<int64_t>(bytes.size());
  }
  void clear() {
    if (::ftruncate(file_.get(), 0) != 0)
      throw_failure("{}: cannot be emptied: {}", path_.string(), system_reason(errno));
    bytes_ = 0;
  }
  void sync() {
    if (::fsync(file_.get()) != 0)
      throw_failure("{}: cannot be written: {}", path_.string(), system_reason(errno));
  }

 private:
  fs::path path_;
  Descriptor file_;
  int64_t bytes_ = 0;
};

// One transfer. libcurl's callbacks are C: exceptions wait here until it has returned.
struct Transfer {
  CURL* curl = nullptr;
  Part& part;
  const RemoteFile& file;
  ProgressSink& progress;
  std::exception_ptr stopped;

  void report() const {
    progress.update(file.name, static_cast<double>(part.bytes()), static_cast<double>(file.bytes),
                    fmt::format("{} of {}", format_bytes(part.bytes()), format_bytes(file.bytes)));
  }

  static size_t on_data(char* data, size_t, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      if (transfer.part.bytes() + static_cast<int64_t>(count) > transfer.file.bytes) {
        transfer.part.clear();
        throw_failure("{}: the server sends more than the {} bytes that are published, so it is another file",
                      transfer.file.name, transfer.file.bytes);
      }
      transfer.part.append({reinterpret_cast<const uint8_t*>(data), count});
      transfer.report();
      return count;
    } catch (...) {
      transfer.stopped = std::current_exception();
      return CURL_WRITEFUNC_ERROR;
    }
  }
  // Also called while nothing comes, so that Ctrl-C is seen.
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      transfer.report();
      return 0;
    } catch (...) {
      transfer.stopped = std::current_exception();
      return 1;
    }
  }
};

struct CurlCleanup {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

void set_up_curl() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw_failure("libcurl cannot be started: {}", curl_easy_strerror(done));
}

enum class Attempt { Whole, Cut, StartAnew };

// The sentence of an attempt that did not end well stays in `why`.
Attempt attempt(const std::string& url, const RemoteFile& file, Part& part, const DownloadOptions& options,
                ProgressSink& progress, std::string& why) {
  const std::unique_ptr<CURL, CurlCleanup> curl(curl_easy_init());
  if (!curl) throw_failure("libcurl cannot be started");
  Transfer transfer{curl.get(), part, file, progress, nullptr};
  std::array<char, CURL_ERROR_SIZE> detail{};
  const auto set = [&](CURLoption option, auto value) {
    if (const CURLcode code = curl_easy_setopt(curl.get(), option, value); code != CURLE_OK)
      throw_failure("libcurl lacks something that Retort needs: {}", curl_easy_strerror(code));
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_ERRORBUFFER, detail.data());
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 5L);
  set(CURLOPT_FAILONERROR, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "retort");
  set(CURLOPT_CONNECTTIMEOUT, 20L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second, for so many seconds: the connection is dead
  set(CURLOPT_LOW_SPEED_TIME, 30L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_data);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(part.bytes()));
  const CURLcode code = curl_easy_perform(curl.get());
  if (transfer.stopped) std::rethrow_exception(transfer.stopped);
  if (code == CURLE_OK && part.bytes() == file.bytes) return Attempt::Whole;
  why = code == CURLE_OK ? fmt::format("the server ended after {} of {} bytes", part.bytes(), file.bytes)
        : detail[0] != 0 ? std::string(detail.data())
                         : std::string(curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  // The server knows no ranges, or has fewer bytes than have come.
  if (code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && status == 416))
    return Attempt::StartAnew;
  switch (code) {
    case CURLE_OK:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return Attempt::Cut;
    case CURLE_HTTP_RETURNED_ERROR:
      if (status >= 500 || status == 429) return Attempt::Cut;
      break;
    default:
      break;
  }
  throw Unreachable(fmt::format("{}: {}", url, why));
}

std::string file_hash(const fs::path& path) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  InputFile file(path);
  std::vector<uint8_t> piece(kPieceBytes);
  Sha256 hash;
  for (;;) {
    const size_t got = file.read(piece);
    if (got == 0) return hash.hex();
    hash.update(std::span(piece).first(got));
  }
}

void require_room(const fs::path& folder, int64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < static_cast<uintmax_t>(bytes))
    throw_failure("{}: has {} free where {} are needed: make room or name another folder", folder.string(),
                  format_bytes(static_cast<int64_t>(space.available)), format_bytes(bytes));
}

void pause(double seconds, const Transfer& transfer) {
  constexpr double kStep = 0.1;
  for (double left = seconds; left > 0; left -= kStep) {
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, kStep)));
    transfer.report();  // throws when the user has stopped it
  }
}

// Fills the part up.
void transfer_all(const std::string& url, const RemoteFile& file, Part& part, const DownloadOptions& options,
                  ProgressSink& progress) {
  const Transfer reporter{nullptr, part, file, progress, nullptr};
  int64_t furthest = part.bytes();
  double seconds = options.first_pause_seconds;
  std::string why;
  for (int tries = 1; part.bytes() < file.bytes; ++tries) {
    const Attempt result = attempt(url, file, part, options, progress, why);
    if (result == Attempt::Whole) return;
    if (part.bytes() > furthest) {
      furthest = part.bytes();
      tries = 0;
      seconds = options.first_pause_seconds;
    } else if (tries >= options.attempts) {
      throw Unreachable(fmt::format("{}: {}", url, why));
    }
    if (result == Attempt::StartAnew) part.clear();
    pause(seconds, reporter);
    seconds *= 2;
  }
}

}  // namespace

bool holds(const fs::path& path, const RemoteFile& file) {
  std::error_code error;
  return fs::is_regular_file(path, error) && static_cast<int64_t>(fs::file_size(path, error)) == file.bytes &&
         file_hash(path) == file.sha256;
}

void download(const std::string& base, const RemoteFile& file, const fs::path& folder,
              const DownloadOptions& options, ProgressSink& progress) {
  if (!base.starts_with("https://")) throw_usage("\"{}\" is not an address that begins with https://", base);
  const fs::path whole = folder / file.name;
  if (fs::exists(whole)) {
    if (holds(whole, file)) return;
    throw_failure(
        "{}: is there, but it is not the published file ({} bytes, SHA-256 {}): remove it, or name another "
        "folder",
        whole.string(), file.bytes, file.sha256);
  }
  set_up_curl();
  Part part(whole.string() + ".part");
  if (part.bytes() > file.bytes) part.clear();
  require_room(folder, file.bytes - part.bytes());
  bool resumed = part.bytes() > 0;
  for (;; resumed = false) {
    transfer_all(base + (base.ends_with('/') ? "" : "/") + file.name, file, part, options, progress);
    const std::string hash = file_hash(part.path());
    if (hash == file.sha256) break;
    part.clear();
    if (resumed) continue;  // perhaps only the old part was damaged
    fs::remove(part.path());
    throw_failure("{}: what {} sends has SHA-256 {} where {} is published: it is not kept", file.name, base,
                  hash, file.sha256);
  }
  part.sync();
  fs::rename(part.path(), whole);
}

}  // namespace retort::data
