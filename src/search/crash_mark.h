// A trial that ends its whole process by a signal of its own making (a wrong address, a failed assertion) cannot tell
// the study. So that it counts as the trial's crash and not as a worker that was lost, the signal's handler leaves a
// mark in the trial's folder, which the next process in that folder finds. Private to this room, but for
// leave_crash_marks().
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "study/storage.h"

namespace retort::search {

// While it lives its thread runs this attempt at a trial whose files are in `folder`.
class CrashMark {
 public:
  CrashMark(const std::filesystem::path& folder, int attempt);
  ~CrashMark();
  CrashMark(const CrashMark&) = delete;
  CrashMark& operator=(const CrashMark&) = delete;
  // Only what a signal's handler may do.
  void leave(int signal) const noexcept;

 private:
  std::string file_;
  std::string attempt_;
  const CrashMark* outer_;
};

// Tells the storage of the marks below `folder`, whose worker's name was and is `worker`, and takes them away. To be
// called before the worker's other trials are released.
void count_crash_marks(study::Storage& storage, const std::filesystem::path& folder,
                       const std::string& worker, uint64_t seed);

}  // namespace retort::search
