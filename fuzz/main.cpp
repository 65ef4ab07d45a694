// libFuzzer's side of a target.
//
//   fuzz_NAME CORPUS… [-max_total_time=60]     as every libFuzzer program
//   RETORT_FUZZ_SEEDS=FOLDER fuzz_NAME         writes the target's seeds there and ends
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/error.h"
#include "target.h"

namespace retort::fuzz {
namespace {

namespace fs = std::filesystem;

// Plainly: what write_file_atomic does for a power cut takes longer than most targets.
void write(const fs::path& path, Bytes bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error(path.string() + ": cannot be written");
}

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "retort-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": cannot be made");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// A file that stays open from one input to the next: making it anew would take longer than most parsers. Where a target has
// removed or replaced it, it is made again.
class KeptFile {
 public:
  explicit KeptFile(fs::path path) : path_(std::move(path)) { fs::create_directories(path_.parent_path()); }
  ~KeptFile() { close(); }
  KeptFile(const KeptFile&) = delete;
  KeptFile& operator=(const KeptFile&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

  void write(Bytes bytes) {
    struct stat status{};
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0 || status.st_nlink == 0) {
      close();
      descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
      status = {};
    }
    const auto size = static_cast<off_t>(bytes.size());
    if (::pwrite(descriptor_, bytes.data(), bytes.size(), 0) != size ||
        (status.st_size > size && ::ftruncate(descriptor_, size) != 0))
      throw std::runtime_error(path_.string() + ": cannot be written");
  }

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  fs::path path_;
  int descriptor_ = -1;
};

}  // namespace

void require(bool holds, std::string_view what) {
  if (holds) return;
  fmt::print(stderr, "this does not hold: {}\n", what);
  std::abort();
}

const fs::path& folder() {
  static const Folder made;
  return made.path();
}

fs::path file(std::string_view name, Bytes bytes) {
  static std::map<std::string, KeptFile, std::less<>> kept;
  auto found = kept.find(name);
  if (found == kept.end()) found = kept.try_emplace(std::string(name), folder() / name).first;
  found->second.write(bytes);
  return found->second.path();
}

std::vector<Bytes> split(Bytes bytes, size_t count) {
  std::vector<Bytes> pieces(count);
  for (size_t i = 0; i + 1 < count && bytes.size() >= 2; ++i) {
    const size_t length = std::min<size_t>(bytes[0] | bytes[1] << 8U, bytes.size() - 2);
    pieces[i] = bytes.subspan(2, length);
    bytes = bytes.subspan(2 + length);
  }
  pieces.back() = bytes;
  return pieces;
}

Seed join(std::initializer_list<Bytes> pieces) {
  Seed all;
  for (const Bytes& piece : pieces) {
    if (&piece != pieces.end() - 1) {
      require(piece.size() <= UINT16_MAX, "pieces of seeds have at most 65,535 bytes");
      all.push_back(static_cast<uint8_t>(piece.size()));
      all.push_back(static_cast<uint8_t>(piece.size() >> 8U));
    }
    all.insert(all.end(), piece.begin(), piece.end());
  }
  return all;
}

}  // namespace retort::fuzz

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* folder = std::getenv("RETORT_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const retort::fuzz::Seed& seed : retort::fuzz::seeds())
    retort::fuzz::write(std::filesystem::path(folder) / fmt::format("seed-{:03}", number++), seed);
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    retort::fuzz::run({data, size});
  } catch (const retort::Error& error) {
    retort::fuzz::require(*error.what() != '\0', "an error has a sentence");
  }
  return 0;
}
