// Archives from others, unpacked without trust.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/progress.h"

namespace retort::data {

struct UnpackLimits {
  int64_t bytes = 0;  // of all files together
  int64_t entries = 10'000;
};

// Unpacks a tar (gzipped, or plain) or zip archive into `folder`, which must be there. All or nothing: files come
// into a folder of their own first, then each is moved to its place, where it replaces a file of that name; what else lies
// there stays. Throws Error(Usage) when the archive is broken, has a link or a device, a name that is absolute or has a "..",
// two files of one name, or more than the limits allow, and where a link is in a folder's place; Error(Failure) when the disk
// is full, and where a file is in a folder's place or a folder in a file's. No file is left behind then.
void unpack(const std::filesystem::path& archive, const std::filesystem::path& folder,
            const UnpackLimits& limits, ProgressSink& progress);

}  // namespace retort::data
