// Learning rates over the steps of a stage.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace retort::engine {

enum class ScheduleKind {
  Constant,
  Cosine,    // from the peak to zero (Loshchilov and Hutter, arXiv 1608.03983, without restarts)
  OneCycle,  // linear warm-up over the first 30%, then cosine to almost zero (Smith and Topin, arXiv
             // 1708.07120)
};

struct Schedule {
  ScheduleKind kind = ScheduleKind::Constant;
  float peak = 1e-3F;
  // Rate of step `step` (from 0) of `total` steps.
  [[nodiscard]] float rate(int64_t step, int64_t total) const;
  bool operator==(const Schedule&) const = default;
};

ScheduleKind parse_schedule(std::string_view name);  // "constant", "cosine", "one-cycle"; Error(Usage) else
std::string_view to_string(ScheduleKind kind);

}  // namespace retort::engine
