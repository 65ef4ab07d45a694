// What a search will try. Private to this room.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/dataset.h"
#include "search/sampler.h"
#include "search/settings.h"
#include "search/study_folder.h"

namespace retort::search {

// A search's sampler, its structures with what they cost.
class Proposer {
 public:
  // `quick_enough`: whether there is time for a structure. Empty: for every one. Keeps references to all.
  Proposer(const SearchSettings& settings, const data::Dataset& dataset, const Fits& quick_enough = {});

  // The next ones in the sampler's order, those above the limits too, until `most` fit or there are no more.
  // `known`: results of all trials before them.
  std::vector<StoredProposal> next(size_t most, std::span<const TrialResult> known = {});

  // Of everything that was costed, the sampler's own tries too: how many were above the limits or too slow.
  [[nodiscard]] int64_t above_limits() const { return above_limits_; }
  // The proposal that is least above the limits, in words; empty: none is.
  [[nodiscard]] const std::string& nearest_miss() const { return nearest_miss_; }
  [[nodiscard]] const Sampler& sampler() const { return *sampler_; }

 private:
  [[nodiscard]] TrialResult costs_of(const graph::Graph& graph) const;

  const SearchSettings& settings_;
  const data::Dataset& dataset_;
  Fits quick_enough_;
  int64_t above_limits_ = 0;
  double nearest_ratio_ = 0;
  std::string nearest_miss_;
  std::unique_ptr<Sampler> sampler_;
};

// What a search begins with: the structures of its space; of one that explores a few, which shows whether
// anything fits at all. A timed search gets all, to choose among; else the first ones that fit, as many as are
// wanted. Throws Error(Infeasible) when none fits, with the nearest miss.
std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress);

}  // namespace retort::search
