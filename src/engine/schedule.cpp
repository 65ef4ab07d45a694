#include "engine/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.h"

namespace retort::engine {
namespace {

constexpr std::array<std::pair<std::string_view, ScheduleKind>, 3> names{
    {{"constant", ScheduleKind::Constant},
     {"cosine", ScheduleKind::Cosine},
     {"one-cycle", ScheduleKind::OneCycle}}};

// One cycle's shape: where it begins and ends, as parts of the peak, and how long it climbs.
constexpr double first_share = 1.0 / 25;
constexpr double last_share = 1e-4 / 25;
constexpr double climb = 0.3;

// From 1 at t = 0 to 0 at t = 1.
double half_cosine(double t) {
  return (1 + std::cos(std::numbers::pi * t)) / 2;
}

}  // namespace

float Schedule::rate(int64_t step, int64_t total) const {
  const double steps = static_cast<double>(std::max<int64_t>(total, 1));
  const double t = std::clamp(static_cast<double>(step) / steps, 0.0, 1.0);
  double share = 1;
  if (kind == ScheduleKind::Cosine) share = half_cosine(t);
  if (kind == ScheduleKind::OneCycle)
    share = t < climb ? first_share + (1 - first_share) * t / climb
                      : last_share + (1 - last_share) * half_cosine((t - climb) / (1 - climb));
  return static_cast<float>(share * static_cast<double>(peak));
}

ScheduleKind parse_schedule(std::string_view name) {
  for (const auto& [known, kind] : names)
    if (known == name) return kind;
  throw_usage("there is no schedule '{}'; known: constant, cosine, one-cycle", name);
}

std::string_view to_string(ScheduleKind kind) {
  for (const auto& [name, known] : names)
    if (known == kind) return name;
  return "?";
}

}  // namespace retort::engine
