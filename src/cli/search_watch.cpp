#include "cli/search_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/units.h"
#include "search/recipe.h"

namespace retort::cli {
namespace {

using search::Effort;
using search::Outcome;
using search::StudyResult;
using search::TrialResult;

constexpr double kSpeedSeconds = 10;  // that the speed is a mean of

constexpr std::array kPhases = {std::pair{SearchPhase::Teacher, std::string_view("teacher")},
                                std::pair{SearchPhase::Exploring, std::string_view("exploring")},
                                std::pair{SearchPhase::Heats, std::string_view("heats")},
                                std::pair{SearchPhase::Recipes, std::string_view("recipes")},
                                std::pair{SearchPhase::Candidates, std::string_view("candidates")},
                                std::pair{SearchPhase::Finalists, std::string_view("finalists")}};

int64_t count(const StudyResult& study, Outcome outcome) {
  return std::ranges::count(study.trials, outcome, &TrialResult::outcome);
}

// The flash of model and runtime; studies from before there were footprints have the file's alone.
int64_t flash_of(const TrialResult& trial) {
  const int64_t flash = trial.footprint.flash_bytes();
  return flash > 0 ? flash : trial.flash_bytes;
}

std::string of_total(int64_t done, int64_t total) {
  return total > 0 ? fmt::format("{} of {}", format_integer(done), format_integer(total))
                   : format_integer(done);
}

std::string teacher_figures(const search::TeacherResult& teacher) {
  if (!std::isfinite(teacher.validation_accuracy)) return teacher.source == "none" ? "none" : "";
  return fmt::format("{:.2f}%", 100 * teacher.validation_accuracy);
}

}  // namespace

void SpeedMeter::add(double now, int64_t images) {
  if (images <= 0) return;
  images_ += images;
  samples_.push_back({now, images_});
  while (samples_.size() > 2 && samples_[1].time < now - kSpeedSeconds) samples_.pop_front();
}

double SpeedMeter::images_per_second(double now) const {
  if (samples_.size() < 2 || now - samples_.back().time > kSpeedSeconds) return 0;
  const double seconds = now - samples_.front().time;
  return seconds < 1 ? 0 : static_cast<double>(images_ - samples_.front().images) / seconds;
}

SearchWatch::SearchWatch(const search::SearchSettings& settings) {
  const bool explores = settings.exploration.epochs > 0;
  for (const auto& [phase, name] : kPhases) {
    if (phase == SearchPhase::Exploring && !explores) continue;
    if (phase == SearchPhase::Heats && (!explores || settings.exploration.heats == 0)) continue;
    if (phase == SearchPhase::Recipes && !search::compares_recipes(settings)) continue;
    status_.phases.push_back({phase, std::string(name), ""});
  }
  status_.limits = settings.limits;
}

bool SearchWatch::update(std::string_view task, double done, double total) {
  const auto* found = std::ranges::find(kPhases, task, &std::pair<SearchPhase, std::string_view>::second);
  if (found == kPhases.end() || found->first == SearchPhase::Teacher) return false;
  const std::lock_guard lock(mutex_);
  status_.now = std::max(status_.now, found->first);
  // How much of its time an exploration has used says less than how many structures it tried.
  if (std::string* figures = figures_of(found->first);
      figures != nullptr && found->first != SearchPhase::Exploring)
    *figures = of_total(std::llround(done), std::llround(total));
  return true;
}

void SearchWatch::trained(int64_t images) {
  const std::lock_guard lock(mutex_);
  speed_.add(now(), images);
}

void SearchWatch::changed(const StudyResult& study) {
  const std::lock_guard lock(mutex_);
  status_.complete = count(study, Outcome::Complete);
  status_.skipped = count(study, Outcome::Skipped);
  status_.infeasible = count(study, Outcome::Infeasible);
  status_.failed = count(study, Outcome::Failed);
  status_.left_out = study.left_out;
  status_.models.clear();
  for (const TrialResult& trial : study.trials)
    if (trial.outcome == Outcome::Complete && flash_of(trial) > 0)
      status_.models.push_back({static_cast<double>(flash_of(trial)), trial.accuracy_int8});
  if (!study.top.empty()) {
    const TrialResult& best = *search::find_trial(study, study.top.front());
    status_.best = {best.accuracy_int8, flash_of(best), best.footprint.ram_bytes(), best.config};
  }
  if (std::string* figures = figures_of(SearchPhase::Teacher)) *figures = teacher_figures(study.teacher);
  if (std::string* figures = figures_of(SearchPhase::Exploring))
    *figures = format_integer(std::ranges::count(study.trials, Effort::Explore, &TrialResult::effort));
}

void SearchWatch::set_seconds_left(double seconds) {
  const std::lock_guard lock(mutex_);
  end_ = now() + seconds;
}

SearchStatus SearchWatch::status() const {
  const std::lock_guard lock(mutex_);
  SearchStatus status = status_;
  status.images_per_second = speed_.images_per_second(now());
  if (end_) status.seconds_left = *end_ - now();
  return status;
}

std::string* SearchWatch::figures_of(SearchPhase phase) {
  const auto found = std::ranges::find(status_.phases, phase, &PhaseStatus::phase);
  return found == status_.phases.end() ? nullptr : &found->figures;
}

}  // namespace retort::cli
