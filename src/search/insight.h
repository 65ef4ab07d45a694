// What a search can say about its structures: which of their properties went with accuracy, and how well what
// is known early ranked them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "search/results.h"

namespace retort::search {

// Spearman's rank correlation, −1 to 1, equal values sharing their mean rank; NaN for fewer than three pairs
// or values that are all equal. Pairs with a NaN do not count.
double rank_correlation(std::span<const double> a, std::span<const double> b);

// A number of a structure of blocks, for all complete trials of a list.
struct Gene {
  std::string name;  // "blocks", "mean width", "share of residual blocks", …
  std::vector<double> values;
};
// Empty where the trials are no networks of blocks.
std::vector<Gene> genes(const std::vector<const TrialResult*>& trials);

struct Correlation {
  std::string name;
  double with_accuracy = kUnknown;  // Spearman
  size_t count = 0;
};
// Of every gene, and of what costs nothing to know (multiply-accumulates, parameters, flash), with the
// accuracy of the explored trials; the strongest first.
std::vector<Correlation> what_mattered(const StudyResult& study);
// Of what is known before a structure gets the whole pipeline, with its accuracy after it.
std::vector<Correlation> early_signs(const StudyResult& study);

}  // namespace retort::search
