#include "cli/search_display.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/units.h"

namespace retort::cli {
namespace {

constexpr int kColumnsWithTitles = 36;
constexpr int kTitleColumns = 8;
constexpr int kFewestPlotRows = 5;
constexpr int kMostPlotRows = 8;

void add_title(Line& line, std::string_view title, const LineStyle& style) {
  if (style.columns >= kColumnsWithTitles) line.add(fmt::format("{:<{}}", title, kTitleColumns), kDim);
}

// "✓ teacher 91.20%", "▸ exploring 42 of 100", "· heats"
std::string phase_text(const PhaseStatus& phase, SearchPhase now, Charset charset) {
  const bool utf8 = charset == Charset::Utf8;
  const std::string_view mark = phase.phase < now    ? (utf8 ? "✓" : "+")
                                : phase.phase == now ? (utf8 ? "▸" : ">")
                                                     : (utf8 ? "·" : "-");
  return fmt::format("{} {}{}{}", mark, phase.name, phase.figures.empty() ? "" : " ", phase.figures);
}

// The one that runs always; the others as far as there is room, the later ones first.
std::string phases_line(const SearchStatus& status, const LineStyle& style) {
  Line line(style);
  add_title(line, "search", style);
  const std::vector<PhaseStatus>& phases = status.phases;
  const auto running = static_cast<size_t>(
      std::ranges::find_if(phases, [&](const PhaseStatus& p) { return p.phase >= status.now; }) -
      phases.begin());
  std::vector<std::string> texts;
  for (const PhaseStatus& phase : phases) texts.push_back(phase_text(phase, status.now, style.charset));
  size_t first = std::min(running, phases.size() - 1);
  size_t end = first + 1;
  int left = line.free() - display_columns(texts[first]);
  while (end < texts.size() && display_columns(texts[end]) + 2 <= left)
    left -= display_columns(texts[end++]) + 2;
  while (first > 0 && display_columns(texts[first - 1]) + 2 <= left)
    left -= display_columns(texts[--first]) + 2;
  for (size_t i = first; i < end; ++i) {
    if (i > first) line.add("  ");
    line.add_fitted(texts[i], i < running ? kGood : i == running ? kAccent : kDim);
  }
  return line.take();
}

// "44 complete, 2 skipped, 3 infeasible, 1 failed"
std::string counts_line(const SearchStatus& status, const LineStyle& style) {
  Line line(style);
  add_title(line, "trials", style);
  bool first = true;
  const auto add = [&](int64_t count, std::string_view what, std::string_view colour) {
    if (count == 0 && what != "complete") return;
    line.add_fitted(fmt::format("{}{} {}", first ? "" : ", ", format_integer(count), what), colour);
    first = false;
  };
  add(status.complete, "complete", "");
  add(status.failed, "failed", kBad);
  add(status.infeasible, "infeasible", "");
  add(status.skipped, "skipped", "");
  add(status.left_out, "left out for lack of time", "");
  return line.take();
}

// "21.3 KB of 64.0 KB flash", or without the limit where there is less room; false where there is none.
bool add_bytes(Line& line, int64_t bytes, std::optional<int64_t> limit, std::string_view what) {
  const std::string alone = fmt::format("{} {}", format_bytes(bytes), what);
  const std::string text =
      limit ? fmt::format("{} of {} {}", format_bytes(bytes), format_bytes(*limit), what) : alone;
  const int before = line.free();
  line.add_whole(text);
  if (line.free() == before) line.add_whole(alone);
  return line.free() < before;
}

std::string best_line(const SearchStatus& status, const LineStyle& style) {
  Line line(style);
  add_title(line, "best", style);
  if (!status.best) {
    line.add_fitted("none yet", kDim);
    return line.take();
  }
  const BestSoFar& best = *status.best;
  line.add_fitted(fmt::format("{:.2f}%", 100 * best.accuracy), kGood);
  const bool fits = add_bytes(line, best.flash_bytes, status.limits.flash_bytes, "flash") &&
                    add_bytes(line, best.ram_bytes, status.limits.ram_bytes, "RAM");
  constexpr int kShortestConfig = 12;
  if (fits && line.free() >= kShortestConfig)
    line.add_whole(fit_columns(without_controls(best.config), line.free() - 2, style.charset), kDim);
  return line.take();
}

std::string speed_line(const SearchStatus& status, const LineStyle& style) {
  Line line(style);
  std::string speed;
  if (status.images_per_second > 0)
    speed = fmt::format("{} images/s", format_integer(std::llround(status.images_per_second)));
  const std::string left = status.seconds_left ? time_left(*status.seconds_left) : std::string();
  add_title(line, left.empty() ? "speed" : "time", style);
  line.add_fitted(left);
  if (left.empty())
    line.add_fitted(speed.empty() ? "measuring" : speed + " in all", speed.empty() ? kDim : "");
  else
    line.add_whole(speed + (speed.empty() ? "" : " in all"), kDim);
  return line.take();
}

}  // namespace

std::vector<std::string> search_lines(const SearchStatus& status, const LineStyle& style, int rows) {
  if (rows <= 1) return {status.best ? best_line(status, style) : phases_line(status, style)};
  std::vector<std::string> lines = {phases_line(status, style)};
  if (rows >= 4) lines.push_back(counts_line(status, style));
  const int left = rows - 4;
  if (left >= kFewestPlotRows)
    for (std::string& line : front_plot(status.models, style, std::min(left, kMostPlotRows)))
      lines.push_back(std::move(line));
  lines.push_back(best_line(status, style));
  if (rows >= 3) lines.push_back(speed_line(status, style));
  return lines;
}

SearchDisplay::SearchDisplay(Terminal& terminal, const search::SearchSettings& settings)
    : terminal_(terminal), watch_(settings) {
  if (terminal.is_live())
    terminal.set_panel(
        [this](const LineStyle& style, int rows) { return search_lines(watch_.status(), style, rows); });
}

SearchDisplay::~SearchDisplay() {
  terminal_.set_panel({});
}

void SearchDisplay::update(std::string_view task, double done, double total, std::string_view note) {
  if (watch_.update(task, done, total) && terminal_.is_live())
    terminal_.refresh();
  else
    terminal_.update(task, done, total, note);
}

void SearchDisplay::message(std::string_view text) {
  terminal_.message(text);
}

void SearchDisplay::trained(int64_t images) {
  watch_.trained(images);
}

void SearchDisplay::changed(const search::StudyResult& study) {
  if (!terminal_.is_live()) return;
  watch_.changed(study);
  terminal_.refresh();
}

void SearchDisplay::set_seconds_left(double seconds) {
  watch_.set_seconds_left(seconds);
  terminal_.refresh();
}

}  // namespace retort::cli
