#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"

namespace retort::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kShortestFrame{100};
constexpr seconds kLongestFrame{1};  // so that the time left counts down while nothing else changes
// Plain lines: none for a task that is soon done but its end, then one for each fifth of the work, neither in
// a rush nor an hour apart.
constexpr double kPlainFirstSeconds = 3;
constexpr double kPlainStep = 0.2;
constexpr double kPlainStepSeconds = 10;
constexpr double kPlainSeconds = 60;

constexpr std::string_view kReset = "\033[0m";
constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kAccent = "\033[36m";
constexpr std::string_view kGood = "\033[32m";

struct Size {
  int columns = 80;
  int rows = 24;
};

Size terminal_size() {
  winsize size{};
  Size result;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return result;
  if (size.ws_col > 0) result.columns = size.ws_col;
  if (size.ws_row > 0) result.rows = size.ws_row;
  return result;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Charset charset_of_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = environment(name);
    if (value.empty()) continue;
    std::ranges::transform(value, value.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
    const bool utf8 = value.find("UTF-8") != std::string::npos || value.find("UTF8") != std::string::npos;
    return utf8 ? Charset::Utf8 : Charset::Ascii;
  }
  return Charset::Ascii;
}

// Progress is lost rather than work when standard error is gone, so failures are ignored here.
void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

std::string with_line_feed(std::string_view text) {
  std::string line(text);
  if (!line.ends_with('\n')) line += '\n';
  return line;
}

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 1;
};

// The first code point of a text that is not empty; a stray byte counts as one by itself.
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t head = byte(0);
  size_t bytes = 1;
  if (head >= 0xF0 && head < 0xF8) bytes = 4;
  if (head >= 0xE0 && head < 0xF0) bytes = 3;
  if (head >= 0xC0 && head < 0xE0) bytes = 2;
  if (bytes == 1 || bytes > text.size()) return {head, 1};
  uint32_t value = head & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {head, 1};
    value = value << 6 | (byte(i) & 0x3FU);
  }
  return {value, bytes};
}

// Unicode's wide and combining blocks, coarsely: class names and file names are all that is ever written
// here.
int columns_of(uint32_t code) {
  if ((code >= 0x300 && code <= 0x36F) || (code >= 0x200B && code <= 0x200F) ||
      (code >= 0xFE00 && code <= 0xFE0F))
    return 0;
  if ((code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
      (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
      (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
      (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD))
    return 2;
  return 1;
}

std::string without_controls(std::string_view text) {
  std::string clean(text);
  for (char& c : clean)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) c = ' ';
  return clean;
}

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

std::string time_left(double seconds_until_end) {
  const double whole = std::ceil(std::max(0.0, seconds_until_end));
  return (whole < 60 ? fmt::format("{:.0f}s", whole) : format_duration(whole)) + " left";
}

// A line of pieces that knows its width on the screen.
class Line {
 public:
  explicit Line(const LineStyle& style) : style_(style) {}

  [[nodiscard]] int free() const { return style_.columns - used_; }

  void add(std::string_view text, std::string_view colour = "") {
    used_ += display_columns(text);
    const bool coloured = style_.colours == Colours::On && !colour.empty();
    if (coloured) text_ += colour;
    text_ += text;
    if (coloured) text_ += kReset;
  }

  // Adds the piece after two spaces if it fits whole.
  void add_whole(std::string_view text, std::string_view colour = "") {
    if (text.empty() || display_columns(text) + 2 > free()) return;
    add("  ");
    add(text, colour);
  }

  std::string take() { return std::move(text_); }

 private:
  const LineStyle& style_;
  std::string text_;
  int used_ = 0;
};

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

int name_columns(const std::vector<TaskState>& tasks, int columns) {
  int limit = 28;
  if (columns < kColumnsWithAmounts) limit = 22;
  if (columns < kColumnsWithLongBar) limit = std::max(8, columns / 3);
  if (columns < kColumnsWithBar) limit = std::max(1, columns - 5);
  int widest = 1;
  for (const TaskState& task : tasks) widest = std::max(widest, display_columns(task.name));
  return std::min(widest, limit);
}

}  // namespace

int display_columns(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    columns += columns_of(point.value);
    text.remove_prefix(point.bytes);
  }
  return columns;
}

std::string fit_columns(std::string_view text, int columns, Charset charset) {
  if (columns <= 0) return "";
  if (display_columns(text) <= columns) return std::string(text);
  std::string fitted;
  int used = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    used += columns_of(point.value);
    if (used > columns - 1) break;
    fitted += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return fitted + (charset == Charset::Utf8 ? "…" : "~");
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

void write_standard_output(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw_failure("cannot write to standard output: {}", std::strerror(errno));
}

Terminal::Terminal(const OutputOptions& options) : options_(options) {
  if (options.verbosity == Verbosity::Quiet) return;
  const std::string kind = environment("TERM");
  const bool live = isatty(STDERR_FILENO) != 0 && !kind.empty() && kind != "dumb";
  mode_ = live ? Mode::Live : Mode::Plain;
  charset_ = charset_of_locale();
  colours_ = live && environment("NO_COLOR").empty() ? Colours::On : Colours::Off;
  if (live) painter_ = std::jthread([this](const std::stop_token& stop) { redraw_until_stopped(stop); });
}

Terminal::~Terminal() {
  painter_ = {};  // joins
  erase();
}

void Terminal::redraw_until_stopped(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait_for(lock, stop, kLongestFrame, [this] { return dirty_; });
    if (stop.stop_requested()) return;
    draw(Clock::now());
    changed_.wait_for(lock, stop, kShortestFrame, [] { return false; });
  }
}

void Terminal::update(std::string_view task, double done, double total, std::string_view note) {
  if (mode_ == Mode::Silent) return;
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  auto found = std::ranges::find_if(tasks_, [&](const auto& t) { return t->state.name == task; });
  const bool ends = total > 0 && done >= total;
  const bool again =
      !ends && found != tasks_.end() && done < (*found)->state.done;  // a new task of the same name
  if (found == tasks_.end()) {
    if (ends && ended_.contains(task)) return;
    tasks_.push_back(std::make_unique<Task>());
    found = tasks_.end() - 1;
  }
  Task& entry = **found;
  if (again || entry.state.name.empty()) {
    entry = Task{};
    entry.state.name = task;
    entry.state.first_done = done;
    entry.begun = now;
  }
  entry.state.done = done;
  entry.state.total = total;
  if (!ends || !note.empty()) entry.state.note = note;  // the last words stay when the end has none
  entry.updated = now;
  ++entry.state.updates;
  entry.state.elapsed_seconds = std::chrono::duration<double>(now - entry.begun).count();
  dirty_ = true;
  if (ends) {
    end_task(task, now);
  } else if (mode_ == Mode::Plain) {
    if (plain_line_due({.seconds_since_begin = entry.state.elapsed_seconds,
                        .seconds_since_line = std::chrono::duration<double>(now - entry.last_line).count(),
                        .share_since_line = total > 0 ? (done - entry.last_line_done) / total : 0,
                        .lines = entry.lines}))
      plain_line(entry, now, "");
  }
  changed_.notify_one();
}

void Terminal::finish(std::string_view task) {
  const std::scoped_lock lock(mutex_);
  end_task(task, Clock::now());
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::end_task(std::string_view name, Clock::time_point now) {
  const auto found = std::ranges::find_if(tasks_, [&](const auto& t) { return t->state.name == name; });
  if (found == tasks_.end()) return;
  Task& task = **found;
  if (mode_ == Mode::Plain) {
    const double elapsed = std::chrono::duration<double>(now - task.begun).count();
    plain_line(task, now, fmt::format("done in {}", format_duration(elapsed)));
  }
  ended_.insert(task.state.name);
  tasks_.erase(found);
}

// "teacher: 40%, 8/20, 3m 20s left, loss 0.41", or with `end` in place of the numbers.
void Terminal::plain_line(Task& task, Clock::time_point now, std::string_view end) {
  std::vector<std::string> parts;
  if (!end.empty()) {
    parts.emplace_back(end);
  } else {
    std::string percent = percentage(task.state);
    percent.erase(0, percent.find_first_not_of(' '));
    parts.push_back(percent);
    parts.push_back(amounts(task.state));
    if (const auto left = seconds_left(task.state)) parts.push_back(time_left(*left));
  }
  parts.push_back(without_controls(task.state.note));
  std::string line;
  for (const std::string& part : parts)
    if (!part.empty()) line += (line.empty() ? "" : ", ") + part;
  write_all(STDERR_FILENO, fmt::format("{}: {}\n", task.state.name, line));
  task.last_line = now;
  task.last_line_done = task.state.done;
  ++task.lines;
}

void Terminal::set_best(std::string_view text) {
  const std::scoped_lock lock(mutex_);
  best_ = without_controls(text);
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::set_seconds_left(double seconds_until_end) {
  const std::scoped_lock lock(mutex_);
  end_ = Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_until_end));
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::message(std::string_view text) {
  if (mode_ == Mode::Silent) return;
  const std::scoped_lock lock(mutex_);
  erase();
  const std::string line = with_line_feed(text);
  if (options_.format == ResultFormat::Json) {
    write_all(STDERR_FILENO, line);
  } else {
    // A failure stays in the stream's error flag, which main looks at: a worker's message must not end its
    // work.
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::result(std::string_view text) {
  if (options_.format == ResultFormat::Json) return;
  const std::scoped_lock lock(mutex_);
  erase();
  write_standard_output(with_line_feed(text));
}

void Terminal::result_json(const nlohmann::json& json) {
  if (options_.format != ResultFormat::Json) return;
  const std::scoped_lock lock(mutex_);
  erase();
  // File and class names may be any bytes; JSON is UTF-8.
  write_standard_output(dump_json(json, 2) + "\n");
}

void Terminal::erase() {
  if (!drawn_) return;
  write_all(STDERR_FILENO, "\r\033[J");
  drawn_ = false;
}

// The cursor rests at the start of the first live line. A terminal that is resized may wrap the lines anew,
// but what it does happens below the cursor, so erasing to the end of the screen always takes away all of
// them.
void Terminal::draw(Clock::time_point now) {
  dirty_ = false;
  const Size size = terminal_size();
  LineStyle style;
  style.columns = std::max(1, size.columns - 1);  // a full last column makes some terminals wrap
  style.charset = charset_;
  style.colours = colours_;

  std::vector<TaskState> shown;
  for (const auto& task : tasks_) {
    TaskState state = task->state;
    state.silent_seconds = std::chrono::duration<double>(now - task->updated).count();
    if (!is_forgotten(state)) shown.push_back(state);
  }
  const size_t room = static_cast<size_t>(std::max(1, size.rows - 2));
  if (shown.size() > room) shown.erase(shown.begin(), shown.end() - static_cast<std::ptrdiff_t>(room));
  style.name_columns = name_columns(shown, style.columns);
  std::vector<std::string> lines;
  lines.reserve(shown.size() + 1);
  for (const TaskState& state : shown) lines.push_back(progress_line(state, style));
  if (!best_.empty() || end_) {
    Line line(style);
    const std::string left = end_ ? time_left(std::chrono::duration<double>(*end_ - now).count()) : "";
    const int reserved = left.empty() ? 0 : display_columns(left) + 2;
    const bool both = style.columns >= kColumnsWithBar;  // else the best alone
    if (!best_.empty()) line.add(fit_columns(best_, line.free() - (both ? reserved : 0), charset_), kGood);
    if (best_.empty()) {
      line.add(fit_columns(left, line.free(), charset_));
    } else {
      line.add_whole(left);
    }
    lines.push_back(line.take());
  }
  if (lines.empty()) {
    erase();
    return;
  }
  std::string frame = "\033[?7l\r";
  for (size_t i = 0; i < lines.size(); ++i) frame += (i > 0 ? "\n" : "") + lines[i] + "\033[K";
  frame += "\033[J\r";
  if (lines.size() > 1) frame += fmt::format("\033[{}A", lines.size() - 1);
  frame += "\033[?7h";
  write_all(STDERR_FILENO, frame);
  drawn_ = true;
}

}  // namespace retort::cli
