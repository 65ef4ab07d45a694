// Known data sets from the network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "data/download.h"

namespace retort::data {

// A file as it lies unpacked. We know of no published hash of it; that of what it comes in is published.
struct Content {
  std::string name;
  int64_t bytes = 0;  // exactly
};

struct RemoteSet {
  std::string name;
  std::string format;              // as in a SPEC: format:DIR
  std::vector<std::string> bases;  // addresses of the folder that holds the files, tried in this order
  std::vector<RemoteFile> files;
  // What the files hold. Of a set that is one archive, all of it must lie in the folder in the end. Gzipped files stay
  // packed; what lies unpacked beside them, which readers prefer, must have its size.
  std::vector<Content> contents;
  int64_t archive_bytes = 0;  // that the archive unpacks to at most; 0: the files are no archive
};

// Each with a size and a SHA-256 that someone has published, cited in fetch.cpp. A set without is not offered.
const std::vector<RemoteSet>& remote_sets();
// Throws Error(Usage) that names the known ones.
const RemoteSet& remote_set(std::string_view name);

// Gets what `folder` lacks (it is made), unpacks archives and removes them then. Files that were put there by hand
// are checked and used; one that is not what is published stays and is an Error(Failure). Throws what download() and
// unpack() throw; where the network is missing the sentence says what to do by hand.
void fetch(const RemoteSet& set, const std::filesystem::path& folder, const DownloadOptions& options,
           ProgressSink& progress);

}  // namespace retort::data
