// Where words, progress and results go.
//
// Results (tables, JSON) go to standard output; progress goes to standard error. On a terminal progress is a
// few live lines, redrawn at most ten times a second; in a pipe it is plain lines, a few a task.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/progress.h"

namespace retort::cli {

enum class ResultFormat { Text, Json };
enum class Verbosity { Normal, Quiet };

struct OutputOptions {
  ResultFormat format = ResultFormat::Text;
  Verbosity verbosity = Verbosity::Normal;
};

// What is known of a running task, for its line.
struct TaskState {
  std::string name;
  double done = 0;
  double total = 0;  // not positive: unknown
  std::string note;
  double first_done = 0;       // when it was first seen (a resumed task does not begin at 0)
  double elapsed_seconds = 0;  // from then to the last update
  double silent_seconds = 0;   // since the last update
  int updates = 0;
};

enum class Charset { Ascii, Utf8 };
enum class Colours { Off, On };

// Look of the live lines. columns ≥ 1.
struct LineStyle {
  int columns = 80;
  int name_columns = 16;  // names are padded or cut to this, so that bars stand below each other
  Charset charset = Charset::Ascii;
  Colours colours = Colours::Off;
};

// Seconds that the task still needs at its speed so far; nothing when that can't be said yet.
std::optional<double> seconds_left(const TaskState& task);

// Whether a task was left before its end (a candidate that failed): it has been silent for long, and for many
// times what it is used to. One that speaks again comes back.
bool is_forgotten(const TaskState& task);

// When a plain line of a task was written last, and whether it is time for another.
struct PlainPace {
  double seconds_since_begin = 0;
  double seconds_since_line = 0;
  double share_since_line = 0;  // of the task's total
  int lines = 0;                // so far
};
bool plain_line_due(const PlainPace& pace);

// One line, never wider than style.columns: name, bar, percentage, amounts, time left, note; what does not
// fit is left out from the end. Control characters become spaces.
std::string progress_line(const TaskState& task, const LineStyle& style);

// Columns that a UTF-8 text takes on a terminal, and its beginning that fits into `columns`, with "…" ("~" in
// ASCII) at the end when something was cut off.
int display_columns(std::string_view text);
std::string fit_columns(std::string_view text, int columns, Charset charset);

// Safe to use from several threads.
class Terminal final : public ProgressSink {
 public:
  explicit Terminal(const OutputOptions& options);
  ~Terminal() override;  // takes the live lines away
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // A task ends when done reaches total; its line then goes.
  void update(std::string_view task, double done, double total, std::string_view note) override;
  // Ends a task that does not reach its total (early stopping). A name without a task is no error.
  void finish(std::string_view task);
  // A line (or several) above the live ones: on standard output for text, on standard error with --json.
  // Dropped with --quiet.
  void message(std::string_view text) override;

  // The line below the tasks, shown as given: "best 84.1%, 11.2 KB".
  void set_best(std::string_view text);
  // Shown counting down in that line.
  void set_seconds_left(double seconds);

  // The command's result in text form: standard output, with --quiet too, and nothing at all with --json. A
  // line feed is added when the text has none at its end.
  void result(std::string_view text);
  // The command's result in JSON form; only with --json.
  void result_json(const nlohmann::json& json);

  [[nodiscard]] ResultFormat format() const { return options_.format; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Task {
    TaskState state;
    Clock::time_point begun;
    Clock::time_point updated;
    Clock::time_point last_line;  // plain lines only
    double last_line_done = 0;
    int lines = 0;
  };
  enum class Mode { Silent, Plain, Live };

  void plain_line(Task& task, Clock::time_point now, std::string_view end);
  void end_task(std::string_view name, Clock::time_point now);
  void draw(Clock::time_point now);
  void erase();
  void redraw_until_stopped(const std::stop_token& stop);

  const OutputOptions options_;
  Mode mode_ = Mode::Silent;
  Charset charset_ = Charset::Ascii;
  Colours colours_ = Colours::Off;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::unique_ptr<Task>> tasks_;  // in the order in which they began
  std::set<std::string, std::less<>> ended_;  // a stage may tell its end twice
  std::string best_;
  std::optional<Clock::time_point> end_;
  bool drawn_ = false;  // live lines are on the screen, the cursor at the start of the first
  bool dirty_ = false;
  std::jthread painter_;  // last: it uses the rest
};

// Writes to standard output. Throws Error(Failure) when that is closed or full, so that no result is lost
// silently.
void write_standard_output(std::string_view text);

}  // namespace retort::cli
