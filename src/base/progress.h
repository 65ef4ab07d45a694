// How long-running library code tells its caller where it is. The library never prints; the program's sinks
// do.
#pragma once

#include <cstdint>
#include <string_view>

namespace retort {

// Implementations must be safe to call from several threads.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // A task, by a short name ("loading images", "teacher"), has done `done` of `total` units of work.
  // `note` is a few words on its present state ("loss 0.412, validation 77.1%"); it may be empty.
  virtual void update(std::string_view task, double done, double total, std::string_view note) = 0;
  // A line worth keeping, such as a candidate's printed block.
  virtual void message(std::string_view text) = 0;
  // So many more images have gone through a training step, whichever task's: the speed of all cores together.
  virtual void trained(int64_t /*images*/) {}
};

// A sink that drops everything.
ProgressSink& silent_progress();

}  // namespace retort
