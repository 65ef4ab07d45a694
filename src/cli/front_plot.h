// A picture of accuracy against flash made of characters.
#pragma once

#include <string>
#include <vector>

#include "cli/progress_line.h"

namespace retort::cli {

struct PlotPoint {
  double flash_bytes = 0;  // > 0
  double accuracy = 0;     // 0 to 1
};

// Those that no other beats: none takes less flash at the same accuracy or is more accurate for as much. Smallest
// first; of equal ones one.
std::vector<PlotPoint> front_of(std::vector<PlotPoint> points);

// `rows` lines of style.columns at most: the front as large marks, the other models as small ones (braille, so that
// many find room; "." in ASCII), accuracies at the left edge, flash (on a logarithmic scale) below. What is far below
// the best accuracy or larger than all of the front's models is left out. Nothing when there is no point or no room:
// under three rows or 36 columns.
std::vector<std::string> front_plot(const std::vector<PlotPoint>& points, const LineStyle& style, int rows);

}  // namespace retort::cli
