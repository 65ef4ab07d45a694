#include "search/proposals.h"

#include <fmt/ranges.h>

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
  const auto above = [&result](double value, double limit, const std::string& words) {
    result.ratio = std::max(result.ratio, value / limit);
    if (!result.reason.empty()) result.reason += ", ";
    result.reason += words;
  };
  const auto compare = [&](std::string_view what, int64_t value, const std::optional<int64_t>& limit) {
    if (!limit || value <= *limit) return;
    above(static_cast<double>(value), static_cast<double>(*limit),
          fmt::format("{} {} where {} are allowed", format_integer(value), what, format_integer(*limit)));
  };
  const cost::Footprint& footprint = costs.footprint;
  compare(fmt::format("bytes of flash ({})", cost::flash_parts(footprint)), footprint.flash_bytes(),
          limits.flash_bytes);
  compare(fmt::format("bytes of RAM ({})", cost::ram_parts(footprint)), footprint.ram_bytes(),
          limits.ram_bytes);
  compare("multiply-accumulates", costs.macs, limits.macs);
  if (limits.latency_seconds && costs.latency) {
    const double allowed_ms = *limits.latency_seconds * 1e3;
    if (costs.latency->milliseconds > allowed_ms)
      above(costs.latency->milliseconds, allowed_ms,
            fmt::format("{} where {:g} ms are allowed", cost::latency_text(*costs.latency), allowed_ms));
  }
  return result;
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

std::vector<StoredProposal> propose(const SearchSettings& settings, const data::Dataset& dataset,
                                    ProgressSink& progress) {
  const auto costs_of = [&](const graph::Graph& graph) {
    TrialResult costs;
    set_costs(costs, cost::analyze(graph, {.ends = settings.pipeline.ends,
                                           .classes = dataset.classes,
                                           .target = settings.target}));
    return costs;
  };
  const Limits& limits = settings.limits;
  Fits fits;
  if (limits.flash_bytes || limits.ram_bytes || limits.macs || limits.latency_seconds)
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
  if (settings.target.board) progress.message(target_words(settings.target, limits));
  return proposals;
}

}  // namespace retort::search
