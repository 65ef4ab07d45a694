// A trial that ends its whole process by a signal of its own making (a wrong address, a failed assertion) cannot tell
// the study. So that it counts as the trial's crash and not as a worker that was lost, the signal's handler leaves a
// mark in the trial's folder, which the next process in that folder finds. Private to this room, but for
// leave_crash_marks().
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/progress.h"
#include "search/study_folder.h"
#include "study/storage.h"

namespace retort::search {

// While it lives its thread runs this attempt at a trial whose files are in `folder`.
class CrashMark {
 public:
  CrashMark(const std::filesystem::path& folder, const study::Claim& claim);
  ~CrashMark();
  CrashMark(const CrashMark&) = delete;
  CrashMark& operator=(const CrashMark&) = delete;
  // Only what a signal's handler may do. False when it could not be written.
  [[nodiscard]] bool leave(int signal) const noexcept;

 private:
  std::string file_;
  std::string text_;
  const CrashMark* outer_;
};

// Gives up what an earlier process held that worked in `folder` under the same name and is gone: trials that left a mark
// have crashed, the others wait again.
void release_earlier(study::Storage& storage, Trials trials, const std::filesystem::path& folder,
                     const std::string& worker, uint64_t seed, ProgressSink& progress);

}  // namespace retort::search
