// What structures will come to, from two short trainings of each. Private to this room.
#pragma once

#include <vector>

namespace retort::search {

// Of one structure: its error after two trainings from fresh weights, the second the longer one, and the epochs
// of a third whose error is asked for.
struct LearningCurve {
  double early_epochs = 0;
  double early_error = 0;  // 0 to 1
  double late_epochs = 0;
  double late_error = 0;
  double epochs = 0;
};

// Errors fall as a power of the epochs (Hestness et al., «Deep learning scaling is predictable, empirically», arXiv
// 1712.00409, for data seen). The exponent of each structure, between 0 and 1/2, is taken half from its own two
// points and half from the mean of all, since two points are noisy. Never more than the late error.
std::vector<double> expected_errors(const std::vector<LearningCurve>& curves);

}  // namespace retort::search
