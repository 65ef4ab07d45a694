// Files from the network, over TLS alone, believed only by their published hash.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/progress.h"

namespace retort::data {

struct RemoteFile {
  std::string name;    // behind the base address, and in the folder
  int64_t bytes = 0;   // exactly
  std::string sha256;  // lower-case hexadecimal
};

struct DownloadOptions {
  std::filesystem::path ca_file;   // certificates of authorities to believe; empty: the system's
  int attempts = 5;                // that bring nothing new, one after the other
  double first_pause_seconds = 1;  // before the second attempt; doubles
};

// Why a file did not come, where trying another address or another day may help: no network, no such server, a
// certificate that is not believed, 404.
class Unreachable : public Error {
 public:
  explicit Unreachable(const std::string& message) : Error(ErrorCode::Failure, message) {}
};

// Gets `base`/`file.name` into `folder`, which must be there. Does nothing when a file with the right hash is
// there already. What has come of a file lies in NAME.part until it is whole: a cut connection, an interrupt or a
// full disk lose nothing, and the next call goes on from there. Throws Unreachable; Error(Failure) when the disk
// is full, when the server sends more than file.bytes or the hash is another one (NAME.part is removed then), or
// when a file NAME is there that is another one; Error(Usage) unless `base` begins with https://.
void download(const std::string& base, const RemoteFile& file, const std::filesystem::path& folder,
              const DownloadOptions& options, ProgressSink& progress);

// Whether `path` is a whole file with this size and hash.
bool holds(const std::filesystem::path& path, const RemoteFile& file);

}  // namespace retort::data
