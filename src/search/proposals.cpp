#include "search/proposals.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "cost/cost.h"
#include "search/candidates.h"
#include "search/teacher.h"

namespace retort::search {
namespace {

// How far a structure is above its limits: the largest ratio, and every limit that it breaks in words.
struct Excess {
  double ratio = 0;
  std::string reason;
};
Excess excess(const TrialResult& costs, const Limits& limits) {
  Excess result;
  const auto compare = [&result](std::string_view what, int64_t value, const std::optional<int64_t>& limit) {
    if (!limit || value <= *limit) return;
    result.ratio = std::max(result.ratio, static_cast<double>(value) / static_cast<double>(*limit));
    if (!result.reason.empty()) result.reason += ", ";
    result.reason +=
        fmt::format("{} {} where {} are allowed", format_integer(value), what, format_integer(*limit));
  };
  compare("bytes of flash", costs.flash_bytes, limits.flash_bytes);
  compare("bytes of arena", costs.arena_bytes_cortex_m4, limits.arena_bytes);
  compare("multiply-accumulates", costs.macs, limits.macs);
  return result;
}

}  // namespace

std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress) {
  const auto costs_of = [&](const graph::Graph& graph) {
    TrialResult costs;
    set_costs(costs, cost::analyze(graph, {.ends = settings.pipeline.ends, .classes = dataset.classes}));
    return costs;
  };
  const Limits& limits = settings.limits;
  Fits fits;
  if (limits.flash_bytes || limits.arena_bytes || limits.macs)
    fits = [&](const graph::Graph& graph) { return excess(costs_of(graph), limits).reason.empty(); };
  const auto sampler =
      make_sampler(settings, input_shape(dataset), static_cast<int>(dataset.classes.size()), fits);
  std::vector<StoredProposal> proposals;
  // A timed search chooses among all of them; else the first ones that fit are taken.
  const size_t most = settings.trials && !settings.seconds ? static_cast<size_t>(*settings.trials) : SIZE_MAX;
  size_t fitting = 0;
  double nearest_ratio = 0;
  std::string nearest;
  while (fitting < most) {
    auto proposal = sampler->propose({});
    if (!proposal) break;
    StoredProposal stored;
    stored.proposal = std::move(*proposal);
    stored.costs = costs_of(stored.proposal.graph);
    const Excess over = excess(stored.costs, limits);
    stored.infeasible = over.reason;
    if (over.reason.empty()) {
      ++fitting;
    } else if (nearest.empty() || over.ratio < nearest_ratio) {
      nearest_ratio = over.ratio;
      nearest = fmt::format("{}: {}", stored.proposal.config, over.reason);
    }
    proposals.push_back(std::move(stored));
  }
  if (proposals.empty())
    throw_usage("images of {}×{} are too small for every structure of this search",
                dataset.train.shape.height, dataset.train.shape.width);
  if (fitting == 0)
    throw Error(ErrorCode::Infeasible,
                fmt::format("none of {} structures fits the limits; the nearest miss is {}", proposals.size(),
                            nearest));
  std::string words = fmt::format("{} different structures", proposals.size());
  if (fitting < proposals.size()) words += fmt::format(", {} of them within the limits", fitting);
  if (sampler->duplicates() > 0)
    words += fmt::format(" ({} more configurations make one of these networks)", sampler->duplicates());
  if (sampler->unbuildable() > 0) words += fmt::format(" ({} can't be built)", sampler->unbuildable());
  progress.message(words + ".");
  return proposals;
}

}  // namespace retort::search
