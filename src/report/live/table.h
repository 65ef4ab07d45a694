// The live page's table of trials: sorted, filtered and cut into pages by the server, so that it is the same with and
// without scripts and for a study of any size; and a page about each of them.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "search/results.h"

namespace retort::report {

struct TrialQuery {
  std::string sort = "number";  // a column's name
  bool descending = false;
  std::string outcome;  // "complete", …; empty: all
  std::string effort;   // "full", …; empty: all
  std::string text;     // that the configuration or the reason contains, whatever their case
  size_t from = 0;      // of those that remain
};

// Unknown names and values are left out: an address may be old, or made by hand.
TrialQuery trial_query(const std::multimap<std::string, std::string>& parameters);
// "?sort=flash&order=desc&text=16%20filters"
std::string address_of(const TrialQuery& query);

// The form of what is shown, and the table with the way to its other pages. Links and the form lead to `.` with another
// query.
std::string trials_form(const TrialQuery& query);
std::string trials_table(const search::StudyResult& study, const TrialQuery& query);

// All about one of them, as the body of a page; empty when there is none of that number.
std::string trial_body(const search::StudyResult& study, int number);

}  // namespace retort::report
