// What the live page shows, kept fresh for as long as somebody looks: one thread reads the study for all readers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "report/live/sections.h"
#include "search/live.h"
#include "study/storage.h"

namespace retort::report {

struct LiveSection {
  std::string html;
  std::string version;  // a hash of it
};

// As it was at one moment; never changed.
struct LiveView {
  LiveFacts facts;
  std::map<std::string, LiveSection> sections;  // by name: "status", "now", …
  std::string trials_version;                   // of what the table of trials is made from
  std::string version;                          // of all of them
};

// Safe to use from several threads.
class LiveFeed {
 public:
  // `notice` is asked for facts.notice at every look.
  LiveFeed(std::filesystem::path folder, study::Place place, Control control,
           std::function<std::string()> notice);
  ~LiveFeed();
  LiveFeed(const LiveFeed&) = delete;
  LiveFeed& operator=(const LiveFeed&) = delete;

  // No older than a few seconds, unless the study takes longer to read.
  std::shared_ptr<const LiveView> latest();
  // One of another version, or null when there is none for `patience`.
  std::shared_ptr<const LiveView> wait_for_other(const std::string& version,
                                                 std::chrono::milliseconds patience);
  // For those who have just changed something.
  void look_soon();
  // Returns when there is a view of what is stored now, or after `patience`.
  void look_now(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;
  void run(const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<const LiveView> make_view(
      const std::map<std::string, LiveSection>& drawn) const;

  search::StudyWatch watch_;
  std::filesystem::path folder_;
  Control control_;
  std::function<std::string()> notice_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<const LiveView> view_;
  Clock::time_point asked_;   // when somebody last wanted a view
  Clock::time_point looked_;  // when the view was last known to be right
  bool hurry_ = false;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace retort::report
