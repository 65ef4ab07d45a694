// Small static charts as SVG text: two axes, points, lines, labels, a colour bar. They take their colours
// from CSS custom properties (--ink, --muted, --grid, --paper) when a page sets them, and have readable
// defaults when none does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retort::report {

std::string escape_xml(std::string_view text);

// The viridis colour map (Smith and van der Walt, 2015), t in [0, 1] → "#rrggbb".
std::string viridis(double t);

enum class Scale { Linear, Log };

struct Axis {
  std::string label;
  double low = 0;  // data limits; widened to round numbers on a linear scale, padded on a log scale
  double high = 1;
  Scale scale = Scale::Linear;
};

// Widens to a range that is not empty and leaves a margin around the data.
Axis fitted_axis(std::string label, const std::vector<double>& values, Scale scale);

class Chart {
 public:
  Chart(std::string title, Axis x, Axis y, int width = 720, int height = 432);

  // A disc of `radius` pixels; `tooltip` is shown on hover and read by screen readers.
  void point(double x, double y, double radius, std::string_view colour, std::string_view tooltip);
  // Text beside a point, moved by (dx, dy) pixels, and further up or down where another text stands already;
  // kept inside the chart.
  void annotate(double x, double y, double dx, double dy, std::string_view text);
  void line(const std::vector<double>& x, const std::vector<double>& y, std::string_view colour,
            std::string_view tooltip);
  // A vertical rule with a caption on top, below the captions that it would cover.
  void rule(double x, std::string_view caption);
  // Right of the plot: viridis from `low` to `high`.
  void colour_bar(std::string_view label, double low, double high);
  // Right of the plot: a name a colour.
  void legend(const std::vector<std::string>& names, const std::vector<std::string>& colours);

  [[nodiscard]] std::string svg() const;

 private:
  [[nodiscard]] double x_pixel(double value) const;
  [[nodiscard]] double y_pixel(double value) const;
  void draw_axes();
  // Baseline for a text that begins at x: y, or the nearest free line below (or above) it; then it is taken.
  enum class Way { Down, Both };
  double free_line(double x, double y, double width, Way way);

  std::string title_;
  Axis x_;
  Axis y_;
  int width_;
  int height_;
  std::string axes_;
  std::string body_;
  struct Text {
    double x, y, width;
  };
  std::vector<Text> texts_;
};

}  // namespace retort::report
