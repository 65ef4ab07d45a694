// What people look at: report.html, CSV, JSON.
#pragma once

#include <string>

#include "report/study_files.h"
#include "search/results.h"

namespace retort::report {

// One self-contained HTML file, light, dark and printed, no network: what was asked and found, what accuracy
// costs, how the search went, each top model, what the exported one gets wrong, what to do with it, every network
// (sections.h). docs/report.md tells how to read it.
std::string html_report(const search::StudyResult& study, const StudyFiles& files = {});

// The notebook's figure alone: «Top 5 Models: Accuracy vs Number of Parameters», or as many as there are.
std::string scatter_svg(const search::StudyResult& study);

// A header line and a line a trial (RFC 4180).
std::string trials_csv(const search::StudyResult& study);
std::string study_json(const search::StudyResult& study);

}  // namespace retort::report
