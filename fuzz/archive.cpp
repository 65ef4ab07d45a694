// Archives as `retort data fetch` unpacks them: whatever they hold, nothing lands beside the folder, and all or nothing in it.
#include <archive.h>
#include <archive_entry.h>

#include "base/error.h"
#include "data/unpack.h"
#include "target.h"

namespace retort::fuzz {
namespace {

namespace fs = std::filesystem;

size_t entries(const fs::path& place) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(place), fs::directory_iterator()));
}

using Format = int (*)(archive*);

Seed packed(Format format, bool gzip, std::initializer_list<std::pair<const char*, std::string_view>> files) {
  Seed bytes(1 << 16);
  size_t used = 0;
  archive* writer = archive_write_new();
  format(writer);
  if (gzip) archive_write_add_filter_gzip(writer);
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open_memory(writer, bytes.data(), bytes.size(), &used);
  for (const auto& [name, text] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(writer, entry);
    archive_write_data(writer, text.data(), text.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  bytes.resize(used);
  return bytes;
}

}  // namespace

void run(Bytes bytes) {
  const fs::path archive = file("archive", bytes);
  static const fs::path place = folder() / "place";
  static const size_t beside = [] {
    fs::create_directories(place);
    return entries(folder());
  }();
  bool refused = false;
  try {
    data::unpack(archive, place, {.bytes = 1 << 16, .entries = 20}, silent_progress());
  } catch (const Error&) {
    refused = true;
  }
  require(entries(folder()) == beside, "nothing lies beside the folder");
  if (refused) {
    require(fs::is_empty(place), "what is refused leaves nothing");
    return;
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(place))
    require(entry.symlink_status().type() == fs::file_type::regular || entry.is_directory(),
            "files and folders alone");
  for (const fs::directory_entry& entry : fs::directory_iterator(place)) fs::remove_all(entry);
}

std::vector<Seed> seeds() {
  return {
      packed(archive_write_set_format_ustar, false, {{"a/b.txt", "hello"}, {"c", ""}}),
      packed(archive_write_set_format_pax_restricted, true, {{"a/b.txt", "hello"}, {"\xc3\xa4/x", "y"}}),
      packed(archive_write_set_format_gnutar, false, {{"../x", "out"}}),
      packed(archive_write_set_format_zip, false, {{"a/b.txt", "hello hello hello hello"}, {"/etc/x", "y"}}),
      packed(archive_write_set_format_zip, false, {{"a", "1"}, {"a", "2"}})};
}

}  // namespace retort::fuzz
