#include "data/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) {
  return std::generic_category().message(error);
}

struct ArchiveCleanup {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

// A folder that goes away with what is still in it.
class Staging {
 public:
  explicit Staging(const fs::path& beside) {
    std::string name = (beside / ".retort-unpack-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw_failure("{}: cannot be written: {}", beside.string(), reason(errno));
    path_ = name;
  }
  ~Staging() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
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
  }

  void into(const fs::path& folder) {
    archive_entry* entry = nullptr;
    int64_t entries = 0;
    for (;;) {
      const int result = archive_read_next_header(reader_.get(), &entry);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN) broken();
      if (++entries > limits_.entries) throw_usage("{}: has more than {} entries", name_, limits_.entries);
      const fs::path place = folder / safe_name(*entry);
      if (archive_entry_filetype(entry) == AE_IFDIR)
        fs::create_directories(place);
      else
        write(place);
    }
    if (entries == 0) throw_usage("{}: is empty", name_);
  }

 private:
  [[noreturn]] void broken() const {
    const char* why = archive_error_string(reader_.get());
    throw_usage("{}: is a broken archive: {}", name_, why != nullptr ? why : "it cannot be read");
  }

  // The entry's name, when it is a file or a folder below where it is unpacked.
  [[nodiscard]] fs::path safe_name(archive_entry& entry) const {
    const char* text = archive_entry_pathname(&entry);
    if (text == nullptr) text = archive_entry_pathname_utf8(&entry);
    const fs::path path = text != nullptr ? text : "";
    if (path.empty() || path.is_absolute())
      throw_usage("{}: holds \"{}\", which is no name below a folder; nothing is unpacked", name_,
                  path.string());
    for (const fs::path& part : path)
      if (part == "..")
        throw_usage("{}: holds \"{}\", which leads out of the folder; nothing is unpacked", name_,
                    path.string());
    const auto type = archive_entry_filetype(&entry);
    if (archive_entry_hardlink(&entry) != nullptr || archive_entry_symlink(&entry) != nullptr ||
        (type != AE_IFREG && type != AE_IFDIR))
      throw_usage("{}: holds \"{}\", which is neither a file nor a folder; nothing is unpacked", name_,
                  path.string());
    return path;
  }

  void write(const fs::path& place) {
    fs::create_directories(place.parent_path());
    const int descriptor = ::open(place.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (descriptor < 0 && errno == EEXIST)
      throw_usage("{}: holds {} twice", name_, place.filename().string());
    if (descriptor < 0) throw_failure("{}: cannot be written: {}", place.string(), reason(errno));
    const std::unique_ptr<const int, void (*)(const int*)> closing(&descriptor,
                                                                   [](const int* d) { ::close(*d); });
    std::vector<char> piece(size_t{1} << 18);
    for (;;) {
      const la_ssize_t got = archive_read_data(reader_.get(), piece.data(), piece.size());
      if (got < 0) broken();
      if (got == 0) break;
      written_ += got;
      if (written_ > limits_.bytes)
        throw_usage("{}: holds more than the {} that are expected; nothing is unpacked", name_,
                    format_bytes(limits_.bytes));
      for (la_ssize_t done = 0; done < got;) {
        const ssize_t count = ::write(descriptor, piece.data() + done, static_cast<size_t>(got - done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw_failure("{}: cannot be written: {}", place.string(), reason(errno));
        done += count;
      }
      progress_.update("unpacking", static_cast<double>(written_), static_cast<double>(limits_.bytes), "");
    }
    if (::fsync(descriptor) != 0) throw_failure("{}: cannot be written: {}", place.string(), reason(errno));
  }

  std::string name_;
  UnpackLimits limits_;
  ProgressSink& progress_;
  std::unique_ptr<archive, ArchiveCleanup> reader_;
  int64_t written_ = 0;
};

}  // namespace

void unpack(const fs::path& archive, const fs::path& folder, const UnpackLimits& limits,
            ProgressSink& progress) {
  const Staging staging(folder);
  Unpacker(archive, limits, progress).into(staging.path());
  for (const fs::directory_entry& entry : fs::directory_iterator(staging.path())) {
    const fs::path place = folder / entry.path().filename();
    fs::remove_all(place);
    fs::rename(entry.path(), place);
  }
}

}  // namespace retort::data
