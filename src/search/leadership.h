// A search's lead of its study while it runs: of all searches that name the same study in a shared storage one adds trials
// and writes. Private to this room.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/progress.h"
#include "study/storage.h"

namespace retort::search {

class Leadership {
 public:
  // Where another search has the lead it waits until that is heard of again, and throws Error(Failure), or has been
  // silent for its lease, and takes over. Throws Error(Interrupted) when stopped. `storage` must outlive it; it
  // refuses to write once another has taken over (study::LostLead).
  Leadership(study::Storage& storage, const std::string& name, double lease_seconds, ProgressSink& progress,
             const std::stop_token& stop);
  ~Leadership();  // resigns
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

 private:
  void renew(const std::stop_token& stop);

  study::Storage& storage_;
  double lease_seconds_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace retort::search
