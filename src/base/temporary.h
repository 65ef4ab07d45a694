// Names for what is only on its way: nobody can know them before, and nothing has them already.
#pragma once

#include <filesystem>
#include <functional>

namespace retort {

// Calls make(path) with ".retort-<128 random bits>.tmp" in `folder` until it returns true, and returns that path.
// `make` creates the file or folder exclusively (O_EXCL, mkdir) and returns false only because the name is taken
// (EEXIST); what else fails it throws. Throws Error(Failure) when no name is free.
std::filesystem::path make_temporary(const std::filesystem::path& folder,
                                     const std::function<bool(const std::filesystem::path&)>& make);

// Whether it has a name of these.
bool is_temporary(const std::filesystem::path& path);

// A folder of such a name, for this user alone, in which something is made before it is moved to its place. It goes away with
// what is still in it.
class StagingFolder {
 public:
  // In `folder`, which must be there ("" is the current one) and from which what processes that died left goes first. Throws
  // Error(Failure).
  explicit StagingFolder(const std::filesystem::path& folder);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Renames what is called `name` in it to `place`. Throws Error(Failure) naming the place.
  void move_out(const std::filesystem::path& name, const std::filesystem::path& place) const;

 private:
  std::filesystem::path path_;
};

}  // namespace retort
