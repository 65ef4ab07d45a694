#include "search/proposals.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cost/cost.h"
#include "graph/parameters.h"
#include "search/candidates.h"
#include "search/limits.h"
#include "search/teacher.h"

namespace retort::search {
namespace {

// How far a structure is above its limits: the largest ratio, and every limit that it breaks in words.
struct Excess {
  double ratio = 0;
  std::string reason;
};
std::string words_of(const CostAndLimit& over, const TrialResult& costs) {
  const auto of = [&](std::string_view what) {
    return fmt::format("{} {} where {} are allowed", format_integer(static_cast<int64_t>(over.value)), what,
                       format_integer(static_cast<int64_t>(over.limit)));
  };
  switch (over.cost) {
    case LimitedCost::Flash:
      return of(fmt::format("bytes of flash ({})", cost::flash_parts(costs.footprint)));
    case LimitedCost::Ram:
      return of(fmt::format("bytes of RAM ({})", cost::ram_parts(costs.footprint)));
    case LimitedCost::Macs:
      return of("multiply-accumulates");
    case LimitedCost::Latency:
      break;
  }
  return fmt::format("{} where {:g} ms are allowed", cost::latency_text(costs.latency.value()), over.limit);
}

Excess excess(const TrialResult& costs, const Limits& limits) {
  Excess result;
  for (const CostAndLimit& each : limited_costs(costs, limits)) {
    if (!each.is_above()) continue;
    result.ratio = std::max(result.ratio, each.value / each.limit);
    if (!result.reason.empty()) result.reason += ", ";
    result.reason += words_of(each, costs);
  }
  return result;
}

// At least so many times what is allowed, told without costing it: a kernel's weight takes at least a byte.
double least_ratio(const graph::Graph& graph, const Limits& limits) {
  int64_t weights = 0;
  for (const graph::ParameterSpec& spec : graph::parameter_specs(graph))
    if (spec.role == graph::Role::Kernel) weights += static_cast<int64_t>(spec.size);
  const auto ratio = [](int64_t value, const std::optional<int64_t>& limit) {
    return limit ? static_cast<double>(value) / static_cast<double>(*limit) : 0;
  };
  return std::max(ratio(graph::total_macs(graph), limits.macs), ratio(weights, limits.flash_bytes));
}

// "For nano33ble (Arduino Nano 33 BLE), as generated C: at most 64.0 KB of flash (the board leaves 832.0 KB),
// 184.0 KB of RAM."
std::string target_words(const cost::Target& target, const Limits& limits) {
  const cost::Board& board = target.board.value();
  std::vector<std::string> most;
  const auto add = [&most](const std::optional<int64_t>& limit, std::string_view what, int64_t left) {
    if (!limit) return;
    most.push_back(fmt::format("{} of {}", format_bytes(*limit), what));
    if (*limit != left) most.back() += fmt::format(" (the board leaves {})", format_bytes(left));
  };
  add(limits.flash_bytes, "flash", board.flash_for_model());
  add(limits.ram_bytes, "RAM", board.ram_for_model());
  if (limits.macs) most.push_back(fmt::format("{} multiply-accumulates", format_count(*limits.macs)));
  if (limits.latency_seconds) most.push_back(fmt::format("{:g} ms", *limits.latency_seconds * 1e3));
  return fmt::format("For {} ({}), as {}: {}.", board.name, board.title, cost::title(target.runtime),
                     most.empty() ? "no limits" : fmt::format("at most {}", fmt::join(most, ", ")));
}

}  // namespace

Proposer::Proposer(const SearchSettings& settings, const data::Dataset& dataset, QuickEnough quick_enough,
                   Refused refused)
    : settings_(settings),
      dataset_(dataset),
      quick_enough_(std::move(quick_enough)),
      refused_(std::move(refused)) {
  const Limits& limits = settings.limits;
  Fits fits;
  if (quick_enough_ || limits.flash_bytes || limits.ram_bytes || limits.macs || limits.latency_seconds)
    fits = [this](const Proposal& proposal) { return this->fits(proposal); };
  sampler_ = make_sampler(settings, input_shape(dataset), static_cast<int>(dataset.classes.size()), fits);
}

bool Proposer::fits(const Proposal& proposal) {
  const double least = least_ratio(proposal.graph, settings_.limits);
  Excess over;
  if (least <= 1 || refused_.is_near(least)) over = excess(costs_of(proposal.graph), settings_.limits);
  const bool fit = least <= 1 && over.reason.empty() && (!quick_enough_ || quick_enough_(proposal.graph));
  if (!fit) refused_.add({proposal.config, over.ratio, over.reason});
  return fit;
}

TrialResult Proposer::costs_of(const graph::Graph& graph) const {
  TrialResult costs;
  set_costs(costs, cost::analyze(graph, {.ends = settings_.pipeline.ends,
                                         .classes = dataset_.classes,
                                         .target = settings_.target}));
  return costs;
}

std::vector<StoredProposal> Proposer::next(size_t most, std::span<const TrialResult> known) {
  std::vector<StoredProposal> proposals;
  size_t fitting = 0;
  while (fitting < most) {
    auto proposal = sampler_->propose(known);
    if (!proposal) break;
    // A sampler that was begun anew does not know where it was.
    if (std::ranges::find(known, proposal->hash, &TrialResult::hash) != known.end()) continue;
    StoredProposal stored;
    stored.proposal = std::move(*proposal);
    stored.costs = costs_of(stored.proposal.graph);
    const Excess over = excess(stored.costs, settings_.limits);
    stored.infeasible = over.reason;
    if (over.reason.empty())
      ++fitting;
    else
      refused_.add({stored.proposal.config, over.ratio, over.reason});
    proposals.push_back(std::move(stored));
  }
  return proposals;
}

std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress) {
  const bool explores = settings.exploration.epochs > 0;
  Proposer proposer(settings, dataset);
  std::vector<StoredProposal> proposals =
      proposer.next(explores                               ? 1
                    : settings.trials && !settings.seconds ? static_cast<size_t>(*settings.trials)
                                                           : SIZE_MAX);
  if (proposals.empty())
    throw_usage("images of {}×{} are too small for every structure of this search",
                dataset.train.shape.height, dataset.train.shape.width);
  const auto fitting = std::ranges::count_if(
      proposals, [](const StoredProposal& stored) { return stored.infeasible.empty(); });
  if (fitting == 0) {
    const Miss& nearest = proposer.refused().nearest().front();
    throw Error(ErrorCode::Infeasible,
                fmt::format("none of {} structures fits the limits; the nearest miss is {}: {}",
                            proposer.refused().count(), nearest.config, nearest.reason));
  }
  if (!explores) {
    std::string words = format_counted(static_cast<int64_t>(proposals.size()), "different structure");
    if (static_cast<size_t>(fitting) < proposals.size())
      words += fmt::format(", {} of them within the limits", fitting);
    const Sampler& sampler = proposer.sampler();
    if (sampler.duplicates() > 0)
      words += fmt::format(" ({} more configurations make one of these networks)", sampler.duplicates());
    if (sampler.unbuildable() > 0) words += fmt::format(" ({} can't be built)", sampler.unbuildable());
    progress.message(words + ".");
  }
  if (settings.target.board) progress.message(target_words(settings.target, settings.limits));
  return proposals;
}

}  // namespace retort::search
