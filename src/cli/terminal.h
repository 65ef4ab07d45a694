// Where words, progress and results go.
//
// Results (tables, JSON) go to standard output; progress goes to standard error. On a terminal progress is a
// few live lines, redrawn at most ten times a second and at once when the window's size changes; in a pipe it is
// plain lines, a few a task.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/json_fwd.h"
#include "base/progress.h"
#include "cli/progress_line.h"

namespace retort::cli {

enum class ResultFormat { Text, Json };
enum class Verbosity { Normal, Quiet };

struct OutputOptions {
  ResultFormat format = ResultFormat::Text;
  Verbosity verbosity = Verbosity::Normal;
};

// What a command shows above its tasks: at most `rows` lines of at most style.columns. Called from the terminal's own
// thread, with each frame.
using Panel = std::function<std::vector<std::string>(const LineStyle& style, int rows)>;

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

  // Shown above the tasks of a live display; an empty one takes it away.
  void set_panel(Panel panel);
  // Draw soon: what the panel shows has changed.
  void refresh();
  // On a terminal, with live lines.
  [[nodiscard]] bool is_live() const { return mode_ == Mode::Live; }

  // The command's result in text form: standard output, with --quiet too, and nothing at all with --json. A
  // line feed is added when the text has none at its end.
  void result(std::string_view text);
  // The command's result in JSON form; only with --json.
  void result_json(const Json& json);

  // Whether message() drops everything.
  [[nodiscard]] bool is_quiet() const { return options_.verbosity == Verbosity::Quiet; }
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
  struct Size {
    int columns = 80;
    int rows = 24;
    bool operator==(const Size&) const = default;
  };
  static Size window_size();
  std::vector<std::string> task_lines(Clock::time_point now, LineStyle style, int rows) const;
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
  Panel panel_;
  bool drawn_ = false;  // live lines are on the screen, the cursor at the start of the first
  bool dirty_ = false;
  Size drawn_size_;
  std::jthread painter_;  // last: it uses the rest
};

// Writes to standard output. Throws Error(Failure) when that is closed or full, so that no result is lost
// silently.
void write_standard_output(std::string_view text);

}  // namespace retort::cli
