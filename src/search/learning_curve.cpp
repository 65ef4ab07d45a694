#include "search/learning_curve.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retort::search {
namespace {

constexpr double kSteepest = 0.5;
constexpr double kLeastError = 1e-4;

double exponent(const LearningCurve& curve) {
  const double longer = std::log(curve.late_epochs / curve.early_epochs);
  if (!(longer > 0)) return 0;
  const double fall =
      std::log(std::max(curve.early_error, kLeastError) / std::max(curve.late_error, kLeastError));
  return std::clamp(fall / longer, 0.0, kSteepest);
}

}  // namespace

std::vector<double> expected_errors(const std::vector<LearningCurve>& curves) {
  std::vector<double> exponents;
  for (const LearningCurve& curve : curves) exponents.push_back(exponent(curve));
  const double mean = std::accumulate(exponents.begin(), exponents.end(), 0.0) /
                      std::max<double>(static_cast<double>(exponents.size()), 1);
  std::vector<double> errors;
  for (size_t i = 0; i < curves.size(); ++i) {
    const double longer = std::max(curves[i].epochs / std::max(curves[i].late_epochs, 1e-9), 1.0);
    errors.push_back(curves[i].late_error * std::pow(longer, -(exponents[i] + mean) / 2));
  }
  return errors;
}

}  // namespace retort::search
