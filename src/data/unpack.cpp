#include "data/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"
#include "base/temporary.h"
#include "base/units.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

struct ArchiveCleanup {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

class Unpacker {
 public:
  Unpacker(const fs::path& path, const UnpackLimits& limits, ProgressSink& progress)
      : name_(path.string()), limits_(limits), progress_(progress), reader_(archive_read_new()) {
    if (!reader_) throw_failure("libarchive cannot be started");
    archive_read_support_filter_gzip(reader_.get());
    archive_read_support_format_tar(reader_.get());
    archive_read_support_format_zip(reader_.get());
    constexpr size_t kBlockBytes = 1 << 16;
    if (archive_read_open_filename(reader_.get(), name_.c_str(), kBlockBytes) != ARCHIVE_OK) broken();
    next();
    if (entry_ == nullptr) throw_usage("{}: is empty", name_);
  }

  void into(const fs::path& folder) {
    for (; entry_ != nullptr; next()) {
      if (++entries_ > limits_.entries) throw_usage("{}: has more than {} entries", name_, limits_.entries);
      const fs::path place = folder / safe_name();
      if (archive_entry_filetype(entry_) == AE_IFDIR)
        make_folder(place);
      else
        write(place);
    }
  }

 private:
  [[noreturn]] void broken() const {
    const char* why = archive_error_string(reader_.get());
    throw_usage("{}: is a broken archive: {}", name_, why != nullptr ? why : "it cannot be read");
  }

  // To the next entry; none where the archive ends.
  void next() {
    const int result = archive_read_next_header(reader_.get(), &entry_);
    if (result == ARCHIVE_EOF)
      entry_ = nullptr;
    else if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
      broken();
  }

  // The entry's name, when it is a file or a folder below where it is unpacked.
  [[nodiscard]] fs::path safe_name() const {
    const char* text = archive_entry_pathname(entry_);
    if (text == nullptr) text = archive_entry_pathname_utf8(entry_);
    const fs::path path = text != nullptr ? text : "";
    if (path.empty() || path.is_absolute())
      throw_usage("{}: holds \"{}\", which is no name below a folder; nothing is unpacked", name_,
                  path.string());
    for (const fs::path& part : path)
      if (part == "..")
        throw_usage("{}: holds \"{}\", which leads out of the folder; nothing is unpacked", name_,
                    path.string());
    const auto type = archive_entry_filetype(entry_);
    if (archive_entry_hardlink(entry_) != nullptr || archive_entry_symlink(entry_) != nullptr ||
        (type != AE_IFREG && type != AE_IFDIR))
      throw_usage("{}: holds \"{}\", which is neither a file nor a folder; nothing is unpacked", name_,
                  path.string());
    return path;
  }

  void make_folder(const fs::path& place) const {
    std::error_code error;
    fs::create_directories(place, error);
    // A file is in its place, or no name may be so long.
    if (error == std::errc::not_a_directory || error == std::errc::file_exists ||
        error == std::errc::filename_too_long)
      throw_usage("{}: holds \"{}\", for which no folder can be made: {}; nothing is unpacked", name_,
                  safe_name().string(), error.message());
    if (error) throw_failure("{}: cannot be made: {}", place.string(), error.message());
  }

  void write(const fs::path& place) {
    make_folder(place.parent_path());
    const Descriptor file(::open(place.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file.is_open() && errno == EEXIST)
      throw_usage("{}: holds {} twice", name_, place.filename().string());
    if (!file.is_open()) throw_failure("{}: cannot be written: {}", place.string(), system_reason(errno));
    piece_.resize(size_t{1} << 16);
    for (;;) {
      const la_ssize_t got = archive_read_data(reader_.get(), piece_.data(), piece_.size());
      if (got < 0) broken();
      if (got == 0) break;
      written_ += got;
      if (written_ > limits_.bytes)
        throw_usage("{}: holds more than the {} that are expected; nothing is unpacked", name_,
                    format_bytes(limits_.bytes));
      try {
        write_fully(file.get(), std::span(piece_).first(static_cast<size_t>(got)));
      } catch (const std::system_error& error) {
        throw_failure("{}: cannot be written: {}", place.string(), system_reason(error.code().value()));
      }
      progress_.update("unpacking", static_cast<double>(written_), static_cast<double>(limits_.bytes), "");
    }
    if (::fsync(file.get()) != 0)
      throw_failure("{}: cannot be written: {}", place.string(), system_reason(errno));
  }

  std::string name_;
  UnpackLimits limits_;
  ProgressSink& progress_;
  std::unique_ptr<archive, ArchiveCleanup> reader_;
  archive_entry* entry_ = nullptr;  // the reader's
  int64_t entries_ = 0;
  int64_t written_ = 0;
  std::vector<uint8_t> piece_;  // of an entry, on its way to its file
};

// Each file to its place below `folder`: all of them, or none where one could not lie there.
void move_in(const StagingFolder& staging, const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(staging.path())) {
    const fs::path below = entry.path().lexically_relative(staging.path());
    if (entry.is_directory()) {
      const fs::path place = without_links(folder, below);
      std::error_code error;
      fs::create_directory(place, error);
      if (error) throw_failure("{}: cannot be made: {}", place.string(), error.message());
    } else if (fs::is_directory(fs::symlink_status(folder / below))) {
      throw_failure("{}: is a folder in a file's place: remove it, or name another folder",
                    (folder / below).string());
    } else {
      files.push_back(below);
    }
  }
  for (const fs::path& file : files) staging.move_out(file, folder / file);
}

}  // namespace

void unpack(const fs::path& archive, const fs::path& folder, const UnpackLimits& limits,
            ProgressSink& progress) {
  Unpacker unpacker(archive, limits, progress);
  const StagingFolder staging(folder);
  unpacker.into(staging.path());
  move_in(staging, folder);
}

}  // namespace retort::data
