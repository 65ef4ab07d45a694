// Small static charts as SVG text: two axes, points, lines, labels, a colour bar. They take their colours
// from CSS custom properties (--ink, --muted, --grid, --paper) when a page sets them, and have readable
// defaults when none does. Within a container (`container-type:inline-size`) that is narrower than the drawing, as on a
// phone, texts are drawn larger, so that they stay as large as the page's small print; everything is placed such that
// there is room for that.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retort::report {

// The viridis colour map (Smith and van der Walt, 2015), t in [0, 1] → "#rrggbb".
std::string viridis(double t);

enum class Scale { Linear, Log };

enum class Ticks { Any, Whole };  // Whole: of what is counted, such as epochs

struct Axis {
  std::string label;
  double low = 0;  // data limits; widened to round numbers on a linear scale, padded on a log scale
  double high = 1;
  Scale scale = Scale::Linear;
  Ticks ticks = Ticks::Any;  // of a linear scale
};

// Widens to a range that is not empty and leaves a margin around the data.
Axis fitted_axis(std::string label, const std::vector<double>& values, Scale scale);

// A disc. `tooltip` is shown on hover and read by screen readers; `link` is where a click leads, or empty.
struct Mark {
  double radius = 5;  // pixels
  std::string colour;
  std::string tooltip;
  std::string link = {};
  // Of links: whether the tab key stops there, which it should at a few dozen at most.
  enum class Keyboard { Stops, Passes } keyboard = Keyboard::Passes;
  enum class Shape { Disc, Ring } shape = Shape::Disc;
};

class Chart {
 public:
  // What stands right of the plot.
  enum class Side { Bare, ColourBar };
  // The drawing is 520 wide; its height follows from the lines that title and legend take.
  Chart(std::string_view title, Axis x, Axis y, Side side = Side::Bare);

  void point(double x, double y, const Mark& mark);
  // Text beside a point, moved by (dx, dy) pixels, and further up or down where another text stands already;
  // kept inside the chart.
  void annotate(double x, double y, double dx, double dy, std::string_view text);
  void line(const std::vector<double>& x, const std::vector<double>& y, std::string_view colour,
            std::string_view tooltip);
  // A vertical rule with a caption on top right of it, left of it where it would leave the plot, below the captions that
  // it would cover.
  void rule(double x, std::string_view caption);
  // Right of the plot: viridis from `low` to `high`.
  void colour_bar(std::string_view label, double low, double high);
  // Below the plot: a name a colour, in as many lines as they take.
  void legend(const std::vector<std::string>& names, const std::vector<std::string>& colours);

  [[nodiscard]] std::string svg() const;

 private:
  [[nodiscard]] double x_pixel(double value) const;
  [[nodiscard]] double y_pixel(double value) const;
  void draw_axes();
  // Where a text of this width goes that is to begin dx right of x: left of x where it would leave the plot.
  struct Place {
    double begin;
    bool flipped;
  };
  [[nodiscard]] Place beside(double x, double dx, double width) const;
  // Baseline for a text that begins at x: y, or the nearest free line below (or above) it; then it is taken.
  enum class Way { Down, Both };
  double free_line(double x, double y, double width, Way way);

  std::vector<std::string> title_;  // its lines
  Axis x_;
  Axis y_;
  int top_;     // of the plot
  int bottom_;  // of the plot
  int right_;   // of the plot
  int height_;  // of the drawing
  std::string axes_;
  std::string body_;
  bool has_links_ = false;
  struct Text {
    double x, y, width;
  };
  std::vector<Text> texts_;
};

}  // namespace retort::report
