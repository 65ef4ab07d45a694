#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <sstream>

#include "report/html.h"

namespace retort::report {
namespace {

constexpr int kWidth = 520;
constexpr int kPlotHeight = 240;
constexpr int kLeft = 80;  // of the plot
constexpr int kBare = 20;  // right of the plot
constexpr int kColourBar = 128;
constexpr int kBottom = 56;  // below the plot
constexpr int kMostTitleLines = 3;
// Room for texts is that of the large ones, with which a narrow chart is drawn.
constexpr int kNarrow = 480;   // pixels of the page
constexpr double kLetter = 9;  // about the width of one
constexpr double kTitleLetter = 10.7;
constexpr int kLine = 17;  // between the baselines of two texts
constexpr int kTitleLine = 21;

// Steps of 1, 2 or 5 times a power of ten, about `target` of them.
double round_step(double span, int target) {
  const double raw = span / target;
  const double magnitude = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * magnitude * (1 + 1e-9)) return factor * magnitude;
  return 10 * magnitude;
}

constexpr int kTicks = 6;

double step_of(const Axis& axis) {
  const double step = round_step(axis.high - axis.low, kTicks);
  return axis.ticks == Ticks::Whole ? std::max(step, 1.0) : step;
}

double width_of(std::string_view text, double letter = kLetter) {
  // Bytes that begin a letter of UTF-8.
  return letter * static_cast<double>(std::ranges::count_if(
                      text, [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

// Broken at spaces; what does not fit into the most lines is cut.
std::vector<std::string> title_lines(std::string_view title) {
  std::vector<std::string> lines;
  std::istringstream words{std::string(title)};
  for (std::string word; words >> word;) {
    if (!lines.empty() && width_of(lines.back() + " " + word, kTitleLetter) <= kWidth)
      lines.back() += " " + word;
    else
      lines.push_back(word);
  }
  if (lines.size() > kMostTitleLines) {
    lines.resize(kMostTitleLines);
    lines.back() += " …";
  }
  return lines;
}

std::vector<double> ticks(const Axis& axis) {
  std::vector<double> values;
  if (axis.scale == Scale::Linear) {
    const double step = step_of(axis);
    for (double i = std::ceil(axis.low / step - 1e-9); i * step <= axis.high + step * 1e-9; ++i)
      values.push_back(i * step);
    return values;
  }
  // Decades alone when there are several, else their 2 and 5 as well, and all between within one.
  const double decades = std::log10(axis.high / axis.low);
  static const std::vector<double> kFew = {1};
  static const std::vector<double> kSome = {1, 2, 5};
  static const std::vector<double> kAll = {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9};
  for (double decade = std::floor(std::log10(axis.low)); decade <= std::log10(axis.high); ++decade)
    for (const double factor : decades > 2.5 ? kFew : decades > 0.9 ? kSome : kAll) {
      const double value = factor * std::pow(10.0, decade);
      if (value >= axis.low && value <= axis.high) values.push_back(value);
    }
  return values;
}

// A tick's value, with as many decimals as tell it from its neighbours.
std::string number(double value, const Axis& axis) {
  if (axis.scale == Scale::Log) return fmt::format("{:g}", value);
  const double step = step_of(axis);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 12);
  return fmt::format("{:.{}f}", value + 0.0, decimals);  // −0, where a range begins just below 0, becomes 0
}

}  // namespace

std::string viridis(double t) {
  // Eleven samples of the published map, blended linearly between.
  static constexpr std::array<std::array<int, 3>, 11> kSamples = {{{68, 1, 84},
                                                                   {72, 36, 117},
                                                                   {65, 68, 135},
                                                                   {53, 95, 141},
                                                                   {42, 120, 142},
                                                                   {33, 145, 140},
                                                                   {34, 168, 132},
                                                                   {68, 191, 112},
                                                                   {122, 209, 81},
                                                                   {189, 223, 38},
                                                                   {253, 231, 37}}};
  const double position = std::clamp(std::isnan(t) ? 0.5 : t, 0.0, 1.0) * (kSamples.size() - 1);
  const size_t index = std::min<size_t>(static_cast<size_t>(position), kSamples.size() - 2);
  const double weight = position - static_cast<double>(index);
  std::array<int, 3> colour{};
  for (size_t i = 0; i < 3; ++i)
    colour[i] = static_cast<int>(
        std::lround(kSamples[index][i] + weight * (kSamples[index + 1][i] - kSamples[index][i])));
  return fmt::format("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2]);
}

Axis fitted_axis(std::string label, const std::vector<double>& values, Scale scale) {
  Axis axis{std::move(label), 0, 1, scale};
  std::vector<double> finite;
  // Differences and ratios of two must be numbers too, whatever a study's database says.
  constexpr double kMost = 1e60;
  std::ranges::copy_if(values, std::back_inserter(finite), [&](double v) {
    return std::abs(v) < kMost && (scale == Scale::Linear || v > 1 / kMost);
  });
  if (finite.empty()) {
    if (scale == Scale::Log) axis.low = 1, axis.high = 10;
    return axis;
  }
  const auto [low, high] = std::ranges::minmax(finite);
  if (scale == Scale::Log) {
    const double margin = std::max(std::pow(high / low, 0.12), 1.25);
    axis.low = low / margin;
    axis.high = high * margin;
  } else {
    const double margin = std::max((high - low) * 0.12, std::max(std::abs(high) * 0.01, 1e-6));
    axis.low = low - margin;
    axis.high = high + margin;
  }
  return axis;
}

Chart::Chart(std::string_view title, Axis x, Axis y, Side side)
    : title_(title_lines(title)),
      x_(std::move(x)),
      y_(std::move(y)),
      top_(kLine + kTitleLine * static_cast<int>(title_.size())),
      bottom_(top_ + kPlotHeight),
      right_(kWidth - (side == Side::ColourBar ? kColourBar : kBare)),
      height_(bottom_ + kBottom) {
  draw_axes();
}

double Chart::x_pixel(double value) const {
  const double t = x_.scale == Scale::Log ? std::log(value / x_.low) / std::log(x_.high / x_.low)
                                          : (value - x_.low) / (x_.high - x_.low);
  return kLeft + t * (right_ - kLeft);
}

double Chart::y_pixel(double value) const {
  const double t = y_.scale == Scale::Log ? std::log(value / y_.low) / std::log(y_.high / y_.low)
                                          : (value - y_.low) / (y_.high - y_.low);
  return bottom_ - t * (bottom_ - top_);
}

void Chart::draw_axes() {
  auto out = std::back_inserter(axes_);
  double free_from = 0;  // a tick whose number would run into the one before has none
  for (const double value : ticks(x_)) {
    const double x = x_pixel(value);
    fmt::format_to(out, R"svg(<path d="M{:.1f} {}V{}" stroke="var(--grid,#e3e3e8)"/>)svg", x, top_, bottom_);
    const std::string text = number(value, x_);
    const double half = width_of(text) / 2;
    if (x - half < free_from) continue;
    free_from = x + half + kLetter / 2;
    fmt::format_to(out, R"svg(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)svg", x, bottom_ + 18,
                   escape_xml(text));
  }
  for (const double value : ticks(y_)) {
    const double y = y_pixel(value);
    fmt::format_to(out,
                   R"svg(<path d="M{0} {1:.1f}H{2}" stroke="var(--grid,#e3e3e8)"/>)svg"
                   R"svg(<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>)svg",
                   kLeft, y, right_, kLeft - 6, y + 4, escape_xml(number(value, y_)));
  }
  fmt::format_to(out, R"svg(<path d="M{0} {1}V{2}H{3}" fill="none" stroke="var(--muted,#6b6b76)"/>)svg",
                 kLeft, top_, bottom_, right_);
  // Below the middle of the plot where it fits, else as near to that as it does.
  const double half = width_of(x_.label) / 2;
  fmt::format_to(out, R"svg(<text x="{:.1f}" y="{}" text-anchor="middle" class="label">{}</text>)svg",
                 std::max(std::min((kLeft + right_) / 2.0, kWidth - half), kWidth / 2.0), bottom_ + 42,
                 escape_xml(x_.label));
  fmt::format_to(
      out,
      R"svg(<text transform="translate(16 {:.1f}) rotate(-90)" text-anchor="middle" class="label">{}</text>)svg",
      (top_ + bottom_) / 2.0, escape_xml(y_.label));
}

double Chart::free_line(double x, double y, double width, Way way) {
  const auto taken = [&](double line) {
    return std::ranges::any_of(texts_, [&](const Text& text) {
      return std::abs(text.y - line) < kLine - 1 && text.x < x + width && x < text.x + text.width;
    });
  };
  double line = y;
  constexpr int kMostLines = 12;
  for (int step = 1; taken(line) && step < 2 * kMostLines; ++step) {
    // Down one, up one, down two, …
    const int lines = way == Way::Down ? step : (step % 2 == 1 ? (step + 1) / 2 : -step / 2);
    line = std::clamp(y + lines * kLine, static_cast<double>(top_ + kLine - 2), bottom_ - 2.0);
  }
  texts_.push_back({x, line, width});
  return line;
}

void Chart::point(double x, double y, const Mark& mark) {
  if (!std::isfinite(x) || !std::isfinite(y)) return;
  const bool ring = mark.shape == Mark::Shape::Ring;
  const std::string disc = fmt::format(
      R"svg(<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" fill="{}" stroke="{}"{}>)svg"
      R"svg(<title>{}</title></circle>)svg",
      x_pixel(x), y_pixel(y), mark.radius, ring ? "var(--paper,#fff)" : mark.colour,
      ring ? mark.colour : "var(--paper,#fff)", ring ? R"( stroke-width="2")" : "", escape_xml(mark.tooltip));
  if (mark.link.empty()) {
    body_ += disc;
    return;
  }
  has_links_ = true;
  // Those that the tab key passes are left out for screen readers, too: a table has them all.
  fmt::format_to(std::back_inserter(body_), R"svg(<a href="{}" {}>{}</a>)svg", escape_xml(mark.link),
                 mark.keyboard == Mark::Keyboard::Stops
                     ? fmt::format(R"(aria-label="{}")", escape_xml(mark.tooltip))
                     : std::string(R"(tabindex="-1" aria-hidden="true")"),
                 disc);
}

Chart::Place Chart::beside(double x, double dx, double width) const {
  const bool flipped = x + dx + width > right_ && x - dx - width > kLeft;
  return {flipped ? x - dx - width : x + dx, flipped};
}

void Chart::annotate(double x, double y, double dx, double dy, std::string_view text) {
  if (!std::isfinite(x) || !std::isfinite(y)) return;
  const double width = width_of(text);
  const auto [begin, flipped] = beside(x_pixel(x), dx, width);
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="note">{}</text>)svg",
                 flipped ? begin + width : begin, free_line(begin, y_pixel(y) + dy, width, Way::Both),
                 flipped ? "end" : "start", escape_xml(text));
}

void Chart::line(const std::vector<double>& x, const std::vector<double>& y, std::string_view colour,
                 std::string_view tooltip) {
  std::string path;
  bool pen_down = false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(y[i])) {
      pen_down = false;
      continue;
    }
    fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", pen_down ? "L" : "M", x_pixel(x[i]),
                   y_pixel(y[i]));
    pen_down = true;
  }
  if (path.empty()) return;
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<path d="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round">)svg"
                 R"svg(<title>{}</title></path>)svg",
                 path, colour, escape_xml(tooltip));
}

void Chart::rule(double x, std::string_view caption) {
  const double width = width_of(caption);
  const auto [begin, flipped] = beside(x_pixel(x), 4, width);
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<path d="M{0:.1f} {1}V{2}" stroke="var(--muted,#6b6b76)" stroke-dasharray="3 4"/>)svg"
                 R"svg(<text x="{3:.1f}" y="{4:.1f}" text-anchor="{5}" class="note">{6}</text>)svg",
                 x_pixel(x), top_, bottom_, flipped ? begin + width : begin,
                 free_line(begin, top_ + 12, width, Way::Down), flipped ? "end" : "start",
                 escape_xml(caption));
}

void Chart::colour_bar(std::string_view label, double low, double high) {
  auto out = std::back_inserter(body_);
  const int x = right_ + 20;
  const double top = top_;
  const double bottom = bottom_;
  constexpr int kSteps = 48;
  const double step = (bottom - top) / kSteps;
  for (int i = 0; i < kSteps; ++i)
    fmt::format_to(out, R"svg(<rect x="{}" y="{:.2f}" width="14" height="{:.2f}" fill="{}"/>)svg", x,
                   bottom - (i + 1) * step, step + 0.5, viridis((i + 0.5) / kSteps));
  Axis axis = {"", low, high, Scale::Linear};
  if (!(axis.high > axis.low)) axis.low = low * 0.9, axis.high = high * 1.1 + 1e-9;
  for (const double value : ticks(axis)) {
    const double y = bottom - (value - axis.low) / (axis.high - axis.low) * (bottom - top);
    fmt::format_to(out, R"svg(<text x="{}" y="{:.1f}">{}</text>)svg", x + 19, y + 4,
                   escape_xml(number(value, axis)));
  }
  fmt::format_to(
      out,
      R"svg(<text transform="translate({} {:.1f}) rotate(-90)" text-anchor="middle" class="label">{}</text>)svg",
      kWidth - 6, (top + bottom) / 2, escape_xml(label));
}

void Chart::legend(const std::vector<std::string>& names, const std::vector<std::string>& colours) {
  constexpr double kBox = 17;  // with the space behind it
  constexpr double kGap = 14;
  double x = kLeft;
  for (size_t i = 0; i < names.size(); ++i) {
    const double width = kBox + width_of(names[i]);
    if (i == 0 || x + width > kWidth) {
      x = i == 0 ? x : kLeft;
      height_ += kLine + 3;
    }
    const int line = height_ - 8;
    fmt::format_to(
        std::back_inserter(body_),
        R"svg(<rect x="{0:.1f}" y="{1}" width="12" height="12" rx="2" fill="{2}"/><text x="{3:.1f}" y="{4}">{5}</text>)svg",
        x, line - 10, colours[i], x + kBox, line, escape_xml(names[i]));
    x += width + kGap;
  }
}

std::string Chart::svg() const {
  std::string title;
  std::string name;
  for (size_t i = 0; i < title_.size(); ++i) {
    fmt::format_to(std::back_inserter(title),
                   R"svg(<text x="{}" y="{}" text-anchor="middle" class="title">{}</text>)svg", kWidth / 2,
                   kTitleLine * (static_cast<int>(i) + 1), escape_xml(title_[i]));
    name += (i == 0 ? "" : " ") + title_[i];
  }
  return fmt::format(
      R"svg(<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {0} {1}" role="{2}" )svg"
      R"svg(aria-label="{3}" font-family="system-ui,sans-serif">)svg"
      R"svg(<style>.chart text{{fill:var(--ink,#22222a);font-size:12px}}.chart .title{{font-size:14px;font-weight:600}})svg"
      R"svg(.chart .label{{fill:var(--muted,#6b6b76)}})svg"
      R"svg(@container (max-width:{4}px){{.chart text{{font-size:16px}}.chart .title{{font-size:17px}}}}</style>)svg"
      R"svg({5}{6}{7}</svg>)svg",
      kWidth, height_, has_links_ ? "group" : "img",  // an image has nothing in it that can be reached
      escape_xml(name), kNarrow, title, axes_, body_);
}

}  // namespace retort::report
