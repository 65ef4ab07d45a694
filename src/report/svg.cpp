#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace retort::report {
namespace {

constexpr int kLeft = 76;
constexpr int kRight = 132;
constexpr int kTop = 44;
constexpr int kBottom = 56;
constexpr double kLetter = 7;  // about the width of one
constexpr double kLine = 13;   // between the baselines of two texts

// Steps of 1, 2 or 5 times a power of ten, about `target` of them.
double round_step(double span, int target) {
  const double raw = span / target;
  const double magnitude = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * magnitude * (1 + 1e-9)) return factor * magnitude;
  return 10 * magnitude;
}

constexpr int kTicks = 6;

std::vector<double> ticks(const Axis& axis) {
  std::vector<double> values;
  if (axis.scale == Scale::Linear) {
    const double step = round_step(axis.high - axis.low, kTicks);
    for (double i = std::ceil(axis.low / step - 1e-9); i * step <= axis.high + step * 1e-9; ++i)
      values.push_back(i * step);
    return values;
  }
  // Decades alone when there are several, else their 2 and 5 as well.
  const double decades = std::log10(axis.high / axis.low);
  for (double decade = std::floor(std::log10(axis.low)); decade <= std::log10(axis.high); ++decade)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, decade);
      if (factor > 1 && decades > 2.5) continue;
      if (value >= axis.low && value <= axis.high) values.push_back(value);
    }
  return values;
}

// A tick's value, with as many decimals as tell it from its neighbours.
std::string number(double value, const Axis& axis) {
  if (axis.scale == Scale::Log) return fmt::format("{:g}", value);
  const double step = round_step(axis.high - axis.low, kTicks);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 12);
  return fmt::format("{:.{}f}", value + 0.0, decimals);  // −0, where a range begins just below 0, becomes 0
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // XML 1.0 has no other control characters.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

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
  std::ranges::copy_if(values, std::back_inserter(finite),
                       [&](double v) { return std::isfinite(v) && (scale == Scale::Linear || v > 0); });
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

Chart::Chart(std::string title, Axis x, Axis y, int width, int height)
    : title_(std::move(title)), x_(std::move(x)), y_(std::move(y)), width_(width), height_(height) {
  draw_axes();
}

double Chart::x_pixel(double value) const {
  const double t = x_.scale == Scale::Log ? std::log(value / x_.low) / std::log(x_.high / x_.low)
                                          : (value - x_.low) / (x_.high - x_.low);
  return kLeft + t * (width_ - kLeft - kRight);
}

double Chart::y_pixel(double value) const {
  const double t = y_.scale == Scale::Log ? std::log(value / y_.low) / std::log(y_.high / y_.low)
                                          : (value - y_.low) / (y_.high - y_.low);
  return height_ - kBottom - t * (height_ - kTop - kBottom);
}

void Chart::draw_axes() {
  auto out = std::back_inserter(axes_);
  const int right = width_ - kRight;
  const int bottom = height_ - kBottom;
  for (const double value : ticks(x_)) {
    const double x = x_pixel(value);
    fmt::format_to(out,
                   R"svg(<path d="M{0:.1f} {1}V{2}" stroke="var(--grid,#e3e3e8)"/>)svg"
                   R"svg(<text x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>)svg",
                   x, kTop, bottom, bottom + 18, escape_xml(number(value, x_)));
  }
  for (const double value : ticks(y_)) {
    const double y = y_pixel(value);
    fmt::format_to(out,
                   R"svg(<path d="M{0} {1:.1f}H{2}" stroke="var(--grid,#e3e3e8)"/>)svg"
                   R"svg(<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>)svg",
                   kLeft, y, right, kLeft - 8, y + 4, escape_xml(number(value, y_)));
  }
  fmt::format_to(out, R"svg(<path d="M{0} {1}V{2}H{3}" fill="none" stroke="var(--muted,#6b6b76)"/>)svg",
                 kLeft, kTop, bottom, right);
  fmt::format_to(out, R"svg(<text x="{:.1f}" y="{}" text-anchor="middle" class="label">{}</text>)svg",
                 (kLeft + right) / 2.0, height_ - 14, escape_xml(x_.label));
  fmt::format_to(
      out,
      R"svg(<text transform="translate(20 {:.1f}) rotate(-90)" text-anchor="middle" class="label">{}</text>)svg",
      (kTop + bottom) / 2.0, escape_xml(y_.label));
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
    line = std::clamp(y + lines * kLine, kTop + kLine - 2, static_cast<double>(height_ - kBottom - 2));
  }
  texts_.push_back({x, line, width});
  return line;
}

void Chart::point(double x, double y, double radius, std::string_view colour, std::string_view tooltip) {
  if (!std::isfinite(x) || !std::isfinite(y)) return;
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" fill="{}" stroke="var(--paper,#fff)">)svg"
                 R"svg(<title>{}</title></circle>)svg",
                 x_pixel(x), y_pixel(y), radius, colour, escape_xml(tooltip));
}

void Chart::annotate(double x, double y, double dx, double dy, std::string_view text) {
  if (!std::isfinite(x) || !std::isfinite(y)) return;
  // A text that would run out of the plot goes to the other side of its point.
  const double estimated_width = kLetter * static_cast<double>(text.size());
  const bool flip = x_pixel(x) + dx + estimated_width > width_ - kRight;
  const double begin = flip ? x_pixel(x) - dx - estimated_width : x_pixel(x) + dx;
  const double line = free_line(begin, y_pixel(y) + dy, estimated_width, Way::Both);
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="note">{}</text>)svg",
                 x_pixel(x) + (flip ? -dx : dx), line, flip ? "end" : "start", escape_xml(text));
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
  const double line =
      free_line(x_pixel(x) + 4, kTop + 12, kLetter * static_cast<double>(caption.size()), Way::Down);
  fmt::format_to(std::back_inserter(body_),
                 R"svg(<path d="M{0:.1f} {1}V{2}" stroke="var(--muted,#6b6b76)" stroke-dasharray="3 4"/>)svg"
                 R"svg(<text x="{3:.1f}" y="{4:.1f}" class="note">{5}</text>)svg",
                 x_pixel(x), kTop, height_ - kBottom, x_pixel(x) + 4, line, escape_xml(caption));
}

void Chart::colour_bar(std::string_view label, double low, double high) {
  auto out = std::back_inserter(body_);
  const int x = width_ - kRight + 20;
  const double top = kTop;
  const double bottom = height_ - kBottom;
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
      width_ - 12, (top + bottom) / 2, escape_xml(label));
}

void Chart::legend(const std::vector<std::string>& names, const std::vector<std::string>& colours) {
  for (size_t i = 0; i < names.size(); ++i) {
    const int y = kTop + 8 + static_cast<int>(i) * 20;
    fmt::format_to(
        std::back_inserter(body_),
        R"svg(<rect x="{}" y="{}" width="12" height="12" rx="2" fill="{}"/><text x="{}" y="{}">{}</text>)svg",
        width_ - kRight + 16, y, colours[i], width_ - kRight + 34, y + 10, escape_xml(names[i]));
  }
}

std::string Chart::svg() const {
  return fmt::format(
      R"svg(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" role="img" aria-label="{2}" )svg"
      R"svg(font-family="system-ui,sans-serif" font-size="12">)svg"
      R"svg(<style>text{{fill:var(--ink,#22222a)}}.title{{font-size:15px;font-weight:600}})svg"
      R"svg(.label{{fill:var(--muted,#6b6b76)}}.note{{font-size:11px}}</style>)svg"
      R"svg(<text x="{3:.1f}" y="24" text-anchor="middle" class="title">{2}</text>{4}{5}</svg>)svg",
      width_, height_, escape_xml(title_), (kLeft + width_ - kRight) / 2.0, axes_, body_);
}

}  // namespace retort::report
