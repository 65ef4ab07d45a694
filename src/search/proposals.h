// What a search will try. Private to this room.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/dataset.h"
#include "search/refused.h"
#include "search/sampler.h"
#include "search/settings.h"
#include "search/study_folder.h"

namespace retort::search {

// A search's sampler, its structures with what they cost.
class Proposer {
 public:
  using QuickEnough = std::function<bool(const graph::Graph&)>;
  // `quick_enough`: whether there is time for a structure. Empty: for every one. `refused`: by the proposers
  // before it. Keeps references to the settings and the data.
  Proposer(const SearchSettings& settings, const data::Dataset& dataset, QuickEnough quick_enough = {},
           Refused refused = {});

  // The next ones in the sampler's order, those above the limits too, until `most` fit or there are no more.
  // `known`: results of all trials before them.
  std::vector<StoredProposal> next(size_t most, std::span<const TrialResult> known = {});

  Refused& refused() { return refused_; }
  [[nodiscard]] const Sampler& sampler() const { return *sampler_; }

 private:
  [[nodiscard]] TrialResult costs_of(const graph::Graph& graph) const;
  [[nodiscard]] bool fits(const Proposal& proposal);

  const SearchSettings& settings_;
  const data::Dataset& dataset_;
  QuickEnough quick_enough_;
  Refused refused_;
  std::unique_ptr<Sampler> sampler_;
};

// What a search begins with: the structures of its space; of one that explores a few, which shows whether
// anything fits at all. A timed search gets all, to choose among; else the first ones that fit, as many as are
// wanted. Throws Error(Infeasible) when none fits, with the nearest miss.
std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress);

}  // namespace retort::search
