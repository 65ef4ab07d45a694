#include "cli/front_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/units.h"

namespace retort::cli {
namespace {

constexpr double kAccuraciesShown = 0.4;  // below the best, or as far as the second of the front
constexpr double kFewestAccuracies = 0.02;
constexpr double kFlashBeside = 1.1;  // of the axis, beside the front's ends
constexpr int kLabelColumns = 6;      // "84.12%"
constexpr int kFewestColumns = 36;
constexpr int kMostColumns = 76;  // wider it gains nothing
constexpr int kFewestRows = 3;

// What a cell of the plot holds. A braille character has 2 × 4 dots.
struct Cell {
  uint32_t dots = 0;
  bool front = false;
};

class Grid {
 public:
  Grid(int columns, int rows, double low, double high, double smallest, double largest)
      : columns_(columns),
        rows_(rows),
        low_(low),
        high_(high),
        log_low_(std::log(smallest)),
        log_high_(std::log(largest)),
        cells_(static_cast<size_t>(columns) * static_cast<size_t>(rows)) {}

  void put(const PlotPoint& point, bool front) {
    const double x = (std::log(point.flash_bytes) - log_low_) / (log_high_ - log_low_);
    const double y = (high_ - point.accuracy) / (high_ - low_);
    if (x < 0 || x > 1 || y < 0 || y > 1) return;
    const int dot_x = std::min(static_cast<int>(x * 2 * columns_), 2 * columns_ - 1);
    const int dot_y = std::min(static_cast<int>(y * 4 * rows_), 4 * rows_ - 1);
    Cell& cell = cells_[static_cast<size_t>(dot_y / 4) * static_cast<size_t>(columns_) +
                        static_cast<size_t>(dot_x / 2)];
    // Unicode numbers the dots 1–3 and 7 down the left column, 4–6 and 8 down the right one.
    static constexpr uint32_t kDots[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cell.dots |= kDots[dot_y % 4][dot_x % 2];
    cell.front |= front;
  }

  void add_row(Line& line, int row, Charset charset) const {
    for (int column = 0; column < columns_; ++column) {
      const Cell& cell =
          cells_[static_cast<size_t>(row) * static_cast<size_t>(columns_) + static_cast<size_t>(column)];
      const bool utf8 = charset == Charset::Utf8;
      if (cell.front)
        line.add(utf8 ? "●" : "o", kGood);
      else if (cell.dots == 0)
        line.add(" ");
      else
        line.add(utf8 ? braille(cell.dots) : ".", kDim);
    }
  }

 private:
  // U+2800 and eight bits, as UTF-8.
  static std::string braille(uint32_t dots) {
    return {static_cast<char>(0xE2), static_cast<char>(0xA0 | dots >> 6),
            static_cast<char>(0x80 | (dots & 0x3F))};
  }

  int columns_;
  int rows_;
  double low_;
  double high_;
  double log_low_;
  double log_high_;
  std::vector<Cell> cells_;
};

// "└ 5.1 KB ───── 62.0 KB of flash"
std::string axis(double smallest, double largest, int columns, Charset charset) {
  const bool utf8 = charset == Charset::Utf8;
  std::string text = fmt::format("{} {} ", utf8 ? "└" : "+", format_bytes(std::llround(smallest)));
  const std::string end = fmt::format(" {} of flash", format_bytes(std::llround(largest)));
  for (int left = columns - display_columns(text) - display_columns(end); left > 0; --left)
    text += utf8 ? "─" : "-";
  return text + end;
}

}  // namespace

std::vector<PlotPoint> front_of(std::vector<PlotPoint> points) {
  std::ranges::sort(points, [](const PlotPoint& a, const PlotPoint& b) {
    return a.flash_bytes != b.flash_bytes ? a.flash_bytes < b.flash_bytes : a.accuracy > b.accuracy;
  });
  std::vector<PlotPoint> front;
  for (const PlotPoint& point : points)
    if (front.empty() || point.accuracy > front.back().accuracy) front.push_back(point);
  return front;
}

std::vector<std::string> front_plot(const std::vector<PlotPoint>& points, const LineStyle& style, int rows) {
  if (points.empty() || rows < kFewestRows || style.columns < kFewestColumns) return {};
  const std::vector<PlotPoint> front = front_of(points);
  double low = std::max(front.front().accuracy, front.back().accuracy - kAccuraciesShown);
  low = std::min(low, std::max(front.back().accuracy - kFewestAccuracies, 0.0));
  if (front.size() > 1) low = std::min(low, front[front.size() - 2].accuracy);
  const double high = std::max(front.back().accuracy, low + kFewestAccuracies);
  const auto first_shown =
      std::ranges::find_if(front, [low](const PlotPoint& point) { return point.accuracy >= low; });
  const double smallest = first_shown->flash_bytes / kFlashBeside;
  const double largest = front.back().flash_bytes * kFlashBeside;

  const bool utf8 = style.charset == Charset::Utf8;
  const int columns = std::min(style.columns, kMostColumns) - kLabelColumns - 2;
  Grid grid(columns, rows - 1, low, high, smallest, largest);
  for (const PlotPoint& point : points) grid.put(point, false);
  for (const PlotPoint& point : front) grid.put(point, true);

  std::vector<std::string> lines;
  for (int row = 0; row < rows - 1; ++row) {
    const bool labelled = row == 0 || row == rows - 2;
    const double accuracy = row == 0 ? high : low;
    Line line(style);
    line.add(fmt::format("{:>{}} ", labelled ? fmt::format("{:.1f}%", 100 * accuracy) : "", kLabelColumns),
             kDim);
    line.add(utf8 ? (labelled ? "┤" : "│") : "|", kDim);
    grid.add_row(line, row, style.charset);
    lines.push_back(line.take());
  }
  Line line(style);
  line.add_fitted(std::string(kLabelColumns + 1, ' ') + axis(smallest, largest, columns + 1, style.charset),
                  kDim);
  lines.push_back(line.take());
  return lines;
}

}  // namespace retort::cli
