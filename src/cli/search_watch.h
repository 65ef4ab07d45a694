// What is to be told of a running search: its phase, what was tried, the best so far, the front, the speed of all cores,
// the time left. Collected from its words of progress; shown by search_display.h and by the Python module.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/front_plot.h"
#include "search/results.h"
#include "search/settings.h"

namespace retort::cli {

// In the order in which a search goes through them. The tasks of ProgressSink that tell how far a phase is have these
// names in lower case.
enum class SearchPhase { Teacher, Exploring, Heats, Recipes, Candidates, Finalists };

struct PhaseStatus {
  SearchPhase phase = SearchPhase::Teacher;
  std::string name;     // "exploring"
  std::string figures;  // "42", "3 of 8", "91.20%"; may be empty
};

struct BestSoFar {
  double accuracy = 0;  // int8, validation
  int64_t flash_bytes = 0;
  int64_t ram_bytes = 0;
  std::string config;
};

struct SearchStatus {
  std::vector<PhaseStatus> phases;  // those that this search has
  SearchPhase now = SearchPhase::Teacher;
  int64_t complete = 0;
  int64_t skipped = 0;
  int64_t infeasible = 0;
  int64_t failed = 0;
  int64_t left_out = 0;
  std::optional<BestSoFar> best;
  search::Limits limits;
  std::vector<PlotPoint> models;  // every complete one
  double images_per_second = 0;   // of all cores; 0: unknown
  std::optional<double> seconds_left;
};

// Images a second over the last seconds. Times in seconds, ascending.
class SpeedMeter {
 public:
  void add(double now, int64_t images);
  // 0 while there is nothing to tell: at the start, and when the last images are long gone.
  [[nodiscard]] double images_per_second(double now) const;

 private:
  struct Sample {
    double time;
    int64_t images;  // so far
  };
  std::deque<Sample> samples_;
  int64_t images_ = 0;
};

// Safe to use from several threads.
class SearchWatch {
 public:
  explicit SearchWatch(const search::SearchSettings& settings);

  // Of ProgressSink::update. Whether it was the task of a phase whose figures are in the status now.
  bool update(std::string_view task, double done, double total);
  void trained(int64_t images);
  void changed(const search::StudyResult& study);
  void set_seconds_left(double seconds);

  [[nodiscard]] SearchStatus status() const;

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] double now() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  std::string* figures_of(SearchPhase phase);

  const Clock::time_point begun_ = Clock::now();
  mutable std::mutex mutex_;
  SearchStatus status_;
  SpeedMeter speed_;
  std::optional<double> end_;  // on the clock of now()
};

}  // namespace retort::cli
