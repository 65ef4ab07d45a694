// Decoded data sets kept on disk, so that the second start need not decode again.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "data/dataset.h"

namespace retort::data {

// The data set in `path` if it was stored under `key`, its sizes are right and the file has the checksum it
// was stored with; nothing otherwise (missing, older, damaged). The checksum is a CRC-32, checked on
// `threads` threads (0: all cores): it notices damage at the speed of reading, which content_hash would not.
std::optional<Dataset> read_cache(const std::filesystem::path& path, std::string_view key, int threads);

// Stores everything but Dataset::spec. Dataset::content_hash must be set. Removes what killed processes left
// in the folder. Throws Error(Failure) when it can't.
void write_cache(const std::filesystem::path& path, std::string_view key, const Dataset& dataset);

}  // namespace retort::data
