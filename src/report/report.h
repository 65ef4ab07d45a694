// What people look at: report.html, CSV, JSON.
#pragma once

#include <string>

#include "search/results.h"

namespace retort::report {

// One self-contained HTML file, light and dark, no network: what was asked and found, the notebook's scatter
// plot (the top models: parameters on a log axis, accuracy, colour by size with a colour bar), accuracy
// against flash, each stage's gain, training curves, all trials as a table.
std::string html_report(const search::StudyResult& study);

// The notebook's figure alone: «Top 5 Models: Accuracy vs Number of Parameters», or as many as there are.
std::string scatter_svg(const search::StudyResult& study);

// A header line and a line a trial (RFC 4180).
std::string trials_csv(const search::StudyResult& study);
std::string study_json(const search::StudyResult& study);

}  // namespace retort::report
