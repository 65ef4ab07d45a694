// The line of a running task, on a terminal and in a pipe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/text.h"

namespace retort::cli {

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

enum class Colours { Off, On };

inline constexpr std::string_view kReset = "\033[0m";
inline constexpr std::string_view kDim = "\033[2m";
inline constexpr std::string_view kAccent = "\033[36m";
inline constexpr std::string_view kGood = "\033[32m";
inline constexpr std::string_view kBad = "\033[31m";

// Look of the live lines. columns ≥ 1.
struct LineStyle {
  int columns = 80;
  int name_columns = 16;  // names are padded or cut to this, so that bars stand below each other
  Charset charset = Charset::Ascii;
  Colours colours = Colours::Off;
};

// A line of pieces that knows its width on the screen. What is added must fit, but for add_whole and add_fitted.
class Line {
 public:
  explicit Line(const LineStyle& style) : style_(style) {}

  [[nodiscard]] int free() const { return style_.columns - used_; }
  void add(std::string_view text, std::string_view colour = "");
  // After two spaces, if it fits whole.
  void add_whole(std::string_view text, std::string_view colour = "");
  // As much of it as fits.
  void add_fitted(std::string_view text, std::string_view colour = "");

  std::string take() { return std::move(text_); }

 private:
  const LineStyle& style_;
  std::string text_;
  int used_ = 0;
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

// The same for a pipe: "40%, 8/20, 3m 20s left, loss 0.41".
std::string plain_text(const TaskState& task);

// Columns for the names of these tasks on so wide a terminal.
int name_columns(const std::vector<TaskState>& tasks, int columns);

// "45s left", "3m 20s left".
std::string time_left(double seconds_until_end);

}  // namespace retort::cli
