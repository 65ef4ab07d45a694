#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/json.h"
#include "base/units.h"

namespace retort::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kShortestFrame{100};
constexpr milliseconds kSizeChecks{200};
constexpr seconds kLongestFrame{1};  // so that the time left counts down while nothing else changes

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
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

// What people read: it may name what strangers wrote.
std::string readable_lines(std::string_view text) {
  std::string line = lines_without_controls(text);
  if (!line.ends_with('\n')) line += '\n';
  return line;
}

}  // namespace

void write_standard_output(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw_failure("cannot write to standard output: {}", system_reason(errno));
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
  Clock::time_point drawn{};
  while (!stop.stop_requested()) {
    // SIGWINCH would have to be taken from whoever embeds us; asking for the size costs a microsecond.
    changed_.wait_for(lock, stop, kSizeChecks, [this] { return dirty_; });
    if (stop.stop_requested()) return;
    const auto now = Clock::now();
    if (!dirty_ && now - drawn < kLongestFrame && window_size() == drawn_size_) continue;
    draw(now);
    drawn = now;
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
  std::string line = plain_text(task.state);
  if (!end.empty()) {
    line = end;
    if (!task.state.note.empty()) line += ", " + without_controls(task.state.note);
  }
  write_all(STDERR_FILENO, fmt::format("{}: {}\n", without_controls(task.state.name), line));
  task.last_line = now;
  task.last_line_done = task.state.done;
  ++task.lines;
}

void Terminal::set_panel(Panel panel) {
  const std::scoped_lock lock(mutex_);
  panel_ = std::move(panel);
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::refresh() {
  const std::scoped_lock lock(mutex_);
  dirty_ = true;
  changed_.notify_one();
}

void Terminal::message(std::string_view text) {
  if (mode_ == Mode::Silent) return;
  const std::scoped_lock lock(mutex_);
  erase();
  const std::string line = readable_lines(text);
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
  write_standard_output(readable_lines(text));
}

void Terminal::result_json(const Json& json) {
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

Terminal::Size Terminal::window_size() {
  winsize size{};
  Size result;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return result;
  if (size.ws_col > 0) result.columns = size.ws_col;
  if (size.ws_row > 0) result.rows = size.ws_row;
  return result;
}

// The tasks that were heard of lately; where they are too many for `rows` the latest begun, and how many more.
std::vector<std::string> Terminal::task_lines(Clock::time_point now, LineStyle style, int rows) const {
  std::vector<TaskState> shown;
  for (const auto& task : tasks_) {
    TaskState state = task->state;
    state.silent_seconds = std::chrono::duration<double>(now - task->updated).count();
    if (!is_forgotten(state)) shown.push_back(state);
  }
  const size_t room = static_cast<size_t>(std::max(rows, 0));
  size_t hidden = 0;
  if (shown.size() > room) {
    hidden = shown.size() - (room > 1 ? room - 1 : room);  // their number takes a line
    shown.erase(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(hidden));
  }
  style.name_columns = name_columns(shown, style.columns);
  std::vector<std::string> lines;
  for (const TaskState& state : shown) lines.push_back(progress_line(state, style));
  if (hidden > 0 && room > 1) {
    Line line(style);
    line.add_fitted(fmt::format("and {} more", hidden), kDim);
    lines.push_back(line.take());
  }
  return lines;
}

// The cursor rests at the start of the first live line. A terminal that is resized may wrap the lines anew,
// but what it does happens below the cursor, so erasing to the end of the screen always takes away all of
// them.
void Terminal::draw(Clock::time_point now) {
  dirty_ = false;
  const Size size = window_size();
  // What a new width has wrapped goes as a whole: overwritten row by row, it would be joined again by the next.
  if (size != drawn_size_) erase();
  drawn_size_ = size;
  LineStyle style;
  style.columns = std::max(1, size.columns - 1);  // a full last column makes some terminals wrap
  style.charset = charset_;
  style.colours = colours_;

  // One row at least is left to what was said before.
  const int rows = std::max(1, size.rows - 2);
  std::vector<std::string> lines;
  if (panel_) {
    constexpr int kTasksBeside = 4;
    const int tasks = std::min({static_cast<int>(tasks_.size()), kTasksBeside, rows / 3});
    lines = panel_(style, rows - tasks);
  }
  std::ranges::move(task_lines(now, style, rows - static_cast<int>(lines.size())), std::back_inserter(lines));
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
