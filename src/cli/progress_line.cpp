#include "cli/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace retort::cli {
namespace {

// Plain lines: none for a task that is soon done but its end, then one for each fifth of the work, neither in
// a rush nor an hour apart.
constexpr double kPlainFirstSeconds = 3;
constexpr double kPlainStep = 0.2;
constexpr double kPlainStepSeconds = 10;
constexpr double kPlainSeconds = 60;

// "3" of whole numbers, "3.4" of parts of epochs.
std::string amount(double value) {
  const double rounded = std::round(value);
  if (std::abs(value - rounded) < 0.05) return format_integer(static_cast<int64_t>(rounded));
  return fmt::format("{:.1f}", value);
}

std::string amounts(const TaskState& task) {
  if (task.total <= 0) return task.done > 0 ? amount(task.done) : "";
  return fmt::format("{}/{}", amount(task.done), amount(task.total));
}

// Rounded down, so that 100% is only ever the end.
std::string percentage(const TaskState& task) {
  if (task.total <= 0) return "   ";
  return fmt::format("{:3.0f}%", std::floor(100 * std::clamp(task.done / task.total, 0.0, 1.0)));
}

void add_bar(Line& line, double fraction, int cells, Charset charset) {
  const int full = static_cast<int>(std::floor(std::clamp(fraction, 0.0, 1.0) * cells));
  std::string done;
  std::string rest;
  for (int i = 0; i < cells; ++i) {
    if (charset == Charset::Utf8)
      (i < full ? done : rest) += i < full ? "━" : "─";
    else
      (i < full ? done : rest) += i < full ? '#' : '.';
  }
  line.add(done, kAccent);
  line.add(rest, kDim);
}

constexpr int kColumnsWithBar = 30;
constexpr int kColumnsWithLongBar = 72;
constexpr int kColumnsWithAmounts = 100;

}  // namespace

void Line::add(std::string_view text, std::string_view colour) {
  used_ += display_columns(text);
  const bool coloured = style_.colours == Colours::On && !colour.empty();
  if (coloured) text_ += colour;
  text_ += text;
  if (coloured) text_ += kReset;
}

void Line::add_whole(std::string_view text, std::string_view colour) {
  if (text.empty() || display_columns(text) + 2 > free()) return;
  add("  ");
  add(text, colour);
}

void Line::add_fitted(std::string_view text, std::string_view colour) {
  add(fit_columns(text, free(), style_.charset), colour);
}

std::string time_left(double seconds_until_end) {
  const double whole = std::ceil(std::max(0.0, seconds_until_end));
  return (whole < 60 ? fmt::format("{:.0f}s", whole) : format_duration(whole)) + " left";
}

int name_columns(const std::vector<TaskState>& tasks, int columns) {
  int limit = 28;
  if (columns < kColumnsWithAmounts) limit = 22;
  if (columns < kColumnsWithLongBar) limit = std::max(8, columns / 3);
  if (columns < kColumnsWithBar) limit = std::max(1, columns - 5);
  int widest = 1;
  for (const TaskState& task : tasks) widest = std::max(widest, display_columns(task.name));
  return std::min(widest, limit);
}

std::optional<double> seconds_left(const TaskState& task) {
  const double gained = task.done - task.first_done;
  if (task.total <= 0 || gained <= 0 || task.elapsed_seconds < 1) return std::nullopt;
  return std::max(0.0, task.elapsed_seconds * (task.total - task.done) / gained - task.silent_seconds);
}

bool is_forgotten(const TaskState& task) {
  constexpr double kSilentSeconds = 60;
  constexpr double kSilentIntervals = 20;
  if (task.updates < 2) return false;
  const double interval = task.elapsed_seconds / (task.updates - 1);
  return task.silent_seconds > kSilentSeconds + kSilentIntervals * interval;
}

bool plain_line_due(const PlainPace& pace) {
  if (pace.lines == 0) return pace.seconds_since_begin >= kPlainFirstSeconds;
  return pace.seconds_since_line >= (pace.share_since_line >= kPlainStep ? kPlainStepSeconds : kPlainSeconds);
}

std::string progress_line(const TaskState& task, const LineStyle& style) {
  Line line(style);
  const std::string name = fit_columns(without_controls(task.name), style.name_columns, style.charset);
  line.add(fit_columns(name, style.columns, style.charset));
  const int padding = std::min(style.name_columns - display_columns(name), line.free());
  line.add(std::string(static_cast<size_t>(std::max(0, padding)), ' '));
  const int cells = style.columns >= kColumnsWithAmounts ? 20 : style.columns >= kColumnsWithLongBar ? 12 : 6;
  constexpr int kBeside = 7;  // two spaces before the bar, " 100%" behind
  if (style.columns >= kColumnsWithBar && line.free() >= cells + kBeside) {
    line.add("  ");
    add_bar(line, task.total > 0 ? task.done / task.total : 0, cells, style.charset);
  }
  const std::string percent = percentage(task);
  if (display_columns(percent) + 1 <= line.free()) line.add(" " + percent);
  if (style.columns >= kColumnsWithAmounts || task.total <= 0) line.add_whole(amounts(task));
  const auto left = seconds_left(task);
  if (left) line.add_whole(time_left(*left));
  const std::string note = without_controls(task.note);
  constexpr int kShortestNote = 8;
  if (!note.empty() && line.free() >= kShortestNote + 2)
    line.add_whole(fit_columns(note, line.free() - 2, style.charset), kDim);
  return line.take();
}

// "40%, 8/20, 3m 20s left, loss 0.41"
std::string plain_text(const TaskState& task) {
  std::string percent = percentage(task);
  percent.erase(0, percent.find_first_not_of(' '));
  const auto left = seconds_left(task);
  std::string text;
  for (const std::string& part :
       {percent, amounts(task), left ? time_left(*left) : std::string(), without_controls(task.note)})
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace retort::cli
