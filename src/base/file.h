// Files read within bounds, and written whole or not at all.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"

namespace retort {

// A file that is read from its beginning, piece by piece: whoever does not trust it judges its header and its size before
// memory is taken for the rest. Each throws Error(Usage) naming the path.
class InputFile {
 public:
  // Refuses what is no regular file.
  explicit InputFile(const std::filesystem::path& path);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }  // of the whole file, when it was opened
  // Fills `out`, or as much of it as the file still has; returns how much that was.
  size_t read(std::span<uint8_t> out);

 private:
  std::string name_;
  Descriptor file_;
  uint64_t bytes_ = 0;
};

// Reads a whole file of at most `most_bytes`, which whoever reads what others wrote states. Throws Error(Usage) naming the
// path when it can't, when the file is larger, or when memory for it is not left: before anything is read.
inline constexpr uint64_t kAnyBytes = UINT64_MAX;
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t most_bytes = kAnyBytes);
std::string read_text(const std::filesystem::path& path, uint64_t most_bytes = kAnyBytes);

// Writes beside the target, syncs, then renames over it: a reader sees the old file or the new one, never a
// part. Creates parent folders. A link by that name is replaced, not followed: in a folder from elsewhere it may lead anywhere.
// Throws Error(Failure) naming the path (full disk, read-only folder); the temporary file is removed.
void write_file_atomic(const std::filesystem::path& path, std::span<const uint8_t> bytes);
void write_text_atomic(const std::filesystem::path& path, std::string_view text);
// The same for one file made of several pieces in memory.
void write_pieces_atomic(const std::filesystem::path& path, std::span<const std::span<const uint8_t>> pieces);

// What processes that died in the middle of the above, or with a folder of make_temporary, left in this one. `age`: what
// was written since then stays, where others may be writing.
void remove_temporaries(const std::filesystem::path& folder,
                        std::chrono::seconds age = std::chrono::seconds(0));
// Longer than any writing takes.
inline constexpr std::chrono::seconds kStaleAge = std::chrono::hours(1);

// Sixteen hexadecimal digits from the system's randomness: a name that nobody else has or can guess.
std::string random_hex();

// The file that a link of this name leads to; the path itself where there is none. For what a user says where to write.
std::filesystem::path through_link(const std::filesystem::path& path);

// Throws Error(Usage) when `path` is a link: what is written or read there would lie elsewhere.
void refuse_link(const std::filesystem::path& path);
// home / below, where no part of `below` is a link; throws the same.
std::filesystem::path without_links(const std::filesystem::path& home, const std::filesystem::path& below);

// Holds an exclusive lock on a file while it lives (flock), so that two searches do not share a folder.
class FileLock {
 public:
  // Throws Error(Failure) saying that `path` is in use when another process holds it.
  explicit FileLock(const std::filesystem::path& path);

 private:
  Descriptor file_;
};

// Folder for caches: $RETORT_CACHE, else $XDG_CACHE_HOME/retort, else ~/.cache/retort.
std::filesystem::path cache_directory();

// Lower-case hexadecimal SHA-256.
std::string sha256_hex(std::span<const uint8_t> bytes);

// SHA-256 of data that arrives in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const uint8_t> bytes);
  void update(std::string_view text);
  std::string hex();  // finishes; call once

 private:
  void* context_;
};

}  // namespace retort
