// The sections of a study's page, each a function from what was found to HTML. Empty where a study has nothing
// to show of it. Every one is bounded, however large the study.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/study_files.h"
#include "search/analysis.h"
#include "search/results.h"

namespace retort::report {

// What was asked and what was found, in one screen.
std::string summary_section(const search::StudyResult& study);
// Accuracy against flash, RAM, multiply-accumulates and time; marks lead to the models.
std::string front_section(const search::StudyResult& study);
// The best over time, training curves, the notebook's figure, float against int8.
std::string progress_section(const search::StudyResult& study);
// The top models' accuracy after each stage, and what it changed.
std::string stages_section(const search::StudyResult& study);
// The top models' figures, a line each.
std::string costs_section(const search::StudyResult& study);
// The first kMostDetailed top models: seeds, layers, arena, zeros.
std::string details_section(const search::StudyResult& study, const StudyFiles& files);
// Confusion matrix, accuracy of each class, the most confidently wrong images.
std::string mistakes_section(const search::StudyResult& study, const search::Analysis& analysis);
// Images whose label the teacher doubts.
std::string labels_section(const search::StudyResult& study, const search::Analysis& analysis);
// What to do with the exported model, as commands; `folder` as they name it.
std::string usage_section(const search::StudyResult& study, const std::filesystem::path& folder);
// How the front grew while structures were explored, what mattered, how well early signs ranked.
std::string exploration_section(const search::StudyResult& study);
// listed_trials as a table; each has the anchor trial-<number>.
std::string networks_section(const search::StudyResult& study);
// The command and every setting.
std::string settings_section(const search::StudyResult& study);

// Links to those of all pages' sections that are in `body`.
std::string contents(std::string_view body);

// ---- what sections share ----------------------------------------------------------------------------------

// Networks in a table, or points in a picture.
inline constexpr size_t kMostShown = search::kTrialsShown;

// Models with a part of their own; each has the anchor model-<number of its trial>.
inline constexpr size_t kMostDetailed = 10;

// Five colours that colour-blind readers tell apart (Okabe and Ito, 2008), for the top models.
inline constexpr std::array kTopColours = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"};

std::vector<const search::TrialResult*> top_trials(const search::StudyResult& study);

// Validation accuracy over the epochs of all stages, end to end: those that were validated.
struct ValidationCurve {
  std::vector<double> epochs;  // from 1
  std::vector<double> percents;
  std::vector<std::pair<double, std::string>> starts;  // epochs before each stage, and its name
  size_t length = 0;                                   // epochs, validated or not
};
ValidationCurve validation_curve(const search::TrialResult& trial);

// All trials of a study; of a large one kMostShown: the top ones, those on the fronts, then the first. By number.
std::vector<const search::TrialResult*> listed_trials(const search::StudyResult& study);

// "91.09 ± 0.17%" over the seeds of a finalist; "–" for none, and for one seed, of which there is no mean.
std::string mean_text(const search::Finalist* finalist, double mean, double spread);

}  // namespace retort::report
