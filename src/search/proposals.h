// What a search will try. Private to this room.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/progress.h"
#include "data/dataset.h"
#include "search/sampler.h"
#include "search/settings.h"
#include "search/study_folder.h"

namespace retort::search {

// A structure above the limits.
struct Miss {
  std::string config;
  double ratio = 0;    // of what it takes to what is allowed, the largest one
  std::string reason;  // every limit that it breaks
};
void to_json(Json& json, const Miss& miss);
void from_json(const Json& json, Miss& miss);

// The structures that were costed, the sampler's own tries too, and are above the limits or too slow. Each is one
// however often it is met, so that a sampler that begins anew where another was cut off changes nothing.
struct Refused {
  std::set<std::string> structures;  // the beginnings of the hashes of their texts
  std::vector<Miss> nearest;         // to the limits, the nearest first; ten at most
  [[nodiscard]] int64_t count() const { return static_cast<int64_t>(structures.size()); }
};
void to_json(Json& json, const Refused& refused);
void from_json(const Json& json, Refused& refused);

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

  [[nodiscard]] const Refused& refused() const { return refused_; }
  [[nodiscard]] const Sampler& sampler() const { return *sampler_; }

 private:
  [[nodiscard]] TrialResult costs_of(const graph::Graph& graph) const;
  [[nodiscard]] bool fits(const Proposal& proposal);
  void refuse(Miss miss);
  [[nodiscard]] bool is_near(double ratio) const;

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
