#pragma once

#include <atomic>
#include <climits>
#include <stop_token>
#include <string_view>

#include "base/progress.h"

namespace retort::search {

// Asks to stop at the so manieth word of progress, which come at every few steps of training.
class StopsAt final : public ProgressSink {
 public:
  explicit StopsAt(int word = INT_MAX) : word_(word) {}
  void update(std::string_view, double, double, std::string_view) override {
    if (++words == word_) stop.request_stop();
  }
  void message(std::string_view) override {}
  std::stop_source stop;
  std::atomic<int> words = 0;

 private:
  int word_;
};

}  // namespace retort::search
