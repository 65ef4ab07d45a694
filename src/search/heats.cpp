#include "search/heats.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <ranges>
#include <set>
#include <string>
#include <utility>

#include "search/exploration_plan.h"
#include "search/explored.h"
#include "search/front_bands.h"
#include "search/learning_curve.h"
#include "search/plan.h"
#include "search/shared_work.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"

namespace retort::search {
namespace {

constexpr size_t kFewestInARung = 2;
constexpr size_t kFewerForTime = 3;  // so that each of them has more of it

// In turn the most accurate one and the most accurate of the favoured ones. `trials` by number.
std::vector<int> in_turn(const std::vector<TrialResult>& trials, size_t count,
                         const std::function<bool(const TrialResult&)>& is_favoured) {
  const std::vector<int> ranked = rank_trials(trials, static_cast<int>(trials.size()));
  std::vector<int> chosen;
  std::vector<bool> is_chosen(ranked.size(), false);
  const auto may_take = [&](size_t rank, bool any) {
    return !is_chosen[rank] &&
           (any || is_favoured(*std::ranges::lower_bound(trials, ranked[rank], {}, &TrialResult::number)));
  };
  // What a turn has passed over the next one of its kind would, too: of 100,000 nobody looks through all again and again.
  std::array<size_t, 2> next{};
  for (size_t turn = 0; chosen.size() < std::min(count, ranked.size()); ++turn) {
    size_t& rank = next.at(turn % 2);
    while (rank < ranked.size() && !may_take(rank, turn % 2 == 0)) ++rank;
    if (rank == ranked.size()) continue;
    is_chosen[rank] = true;
    chosen.push_back(ranked[rank]);
  }
  return chosen;
}

// Explored ones: half of them such as have no parents' training behind them.
std::vector<int> choose_entrants(const std::vector<TrialResult>& explored, int count, Start start) {
  return in_turn(explored, static_cast<size_t>(count),
                 [&](const TrialResult& trial) { return trial.parent < 0 || start == Start::Fresh; });
}

// Half of them such as compute more than most: these learn more slowly, and come further.
std::vector<int> choose_promising(const std::vector<TrialResult>& trials, size_t count) {
  if (trials.empty()) return {};
  std::vector<int64_t> macs;
  for (const TrialResult& trial : trials) macs.push_back(trial.macs);
  const auto middle = macs.begin() + static_cast<std::ptrdiff_t>(macs.size() / 2);
  std::ranges::nth_element(macs, middle);
  return in_turn(trials, count, [&](const TrialResult& trial) { return trial.macs >= *middle; });
}

// From 1; 0 of what is no heat.
int rung_of(const StudyResult& study, const TrialResult& trial) {
  int rung = 0;
  for (const TrialResult* each = &trial; each != nullptr && each->effort == Effort::Heat;
       each = find_trial(study, each->parent))
    ++rung;
  return rung;
}
std::vector<TrialResult> heats_of(const Session& session, int rung) {
  std::vector<TrialResult> heats = trials_of(session, Effort::Heat);
  std::erase_if(heats, [&](const TrialResult& heat) { return rung_of(session.study, heat) != rung; });
  return heats;
}

int epochs_of(const TrialResult& trial) {
  return trial.stages.empty() ? 0 : trial.stages.front().epochs;
}

// Without a limit of time, all have these epochs.
PipelineSettings rung_pipeline(const Session& session, int rung) {
  return short_pipeline(session, session.settings.exploration.heat_epochs << (rung - 1));
}

// How many enter, and at most for how many epochs.
HeatPlan first_rung(const Session& session, const std::vector<TrialResult>& explored, double seconds) {
  const Exploration& exploration = session.settings.exploration;
  if (!session.settings.seconds) return {.heats = exploration.heats, .epochs = exploration.heat_epochs};
  std::vector<double> epochs;
  for (const int number : rank_trials(explored, static_cast<int>(explored.size())))
    epochs.push_back(epoch_seconds(session, *find_trial(session.study, number), Effort::Heat));
  if (epochs.empty()) return {};
  return plan_heats(epochs, exploration, std::min(seconds, plannable_seconds(session)), session.workers);
}

// "4", or "2 to 10".
std::string range_of(const std::vector<StoredProposal>& heats) {
  const auto [least, most] = std::ranges::minmax(
      heats | std::views::transform([](const StoredProposal& heat) { return heat.epochs.at("distill"); }));
  return least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
}

bool is_longer(const Session& session, const StoredProposal& heat) {
  return heat.epochs.at("distill") > epochs_of(*find_trial(session.study, heat.proposal.parent));
}

// Their epochs in equal seconds, at most so many; whether all have more than before: else it is the same training again.
bool share_seconds(const Session& session, std::vector<StoredProposal>& heats, int most, double seconds) {
  const double each = std::min(seconds, plannable_seconds(session)) /
                      std::max(rounds(static_cast<int>(heats.size()), session.workers), 1);
  for (StoredProposal& heat : heats)
    heat.epochs["distill"] = epochs_within(short_pipeline(session, most), heat.epoch_seconds, each).distill;
  return std::ranges::all_of(heats, [&](const StoredProposal& heat) { return is_longer(session, heat); });
}

// Adds a rung's trials; false when there is no time for any. `most`: epochs of one in a timed search.
bool add_heats(Session& session, const std::vector<int>& chosen, int rung, int most, double seconds) {
  const int boundary = session.folder.storage().trial_count();
  std::vector<StoredProposal> heats = again(session, chosen, Effort::Heat);
  if (session.settings.seconds) {
    while (!share_seconds(session, heats, most, seconds) && heats.size() > kFewerForTime) heats.pop_back();
    std::erase_if(heats, [&](const StoredProposal& heat) { return !is_longer(session, heat); });
    if (heats.size() < (rung == 1 ? 1 : kFewestInARung)) return false;
  }
  // The longest first, so that none begins when the others end.
  std::ranges::stable_sort(heats, std::greater<>(),
                           [](const StoredProposal& heat) { return heat.costs.macs; });
  const PipelineSettings pipeline = rung_pipeline(session, rung);
  if (!session.settings.seconds)
    for (StoredProposal& heat : heats) heat.epochs["distill"] = pipeline.distill_epochs;
  session.options.progress.message(
      fmt::format("Heats{}: {} of them again from fresh weights, {} epochs each.",
                  rung == 1 ? "" : fmt::format(", rung {}", rung), heats.size(), range_of(heats)));
  // Workers on other machines need the pipeline before they can claim the first.
  publish_work(session, pipeline);
  session.add_trials(Trials::Search, boundary, heats);
  return true;
}

bool has_rung(Session& session, int rung) {
  return std::ranges::any_of(session.added(Effort::Heat), [&](const StoredProposal& heat) {
    const TrialResult* parent = find_trial(session.study, heat.proposal.parent);
    return parent != nullptr && rung_of(session.study, *parent) == rung - 1;
  });
}

// The rung's trials are in the study; false when too few are left for it. `seconds`: of all rungs.
bool begin_rung(Session& session, int rung, double seconds) {
  const Exploration& exploration = session.settings.exploration;
  if (has_rung(session, rung)) {
    publish_work(session, rung_pipeline(session, rung));
    return true;
  }
  if (rung == 1) {
    const std::vector<TrialResult> explored = trials_of(session, Effort::Explore);
    const HeatPlan plan = first_rung(session, explored, seconds);
    const std::vector<int> chosen = choose_entrants(explored, plan.heats, exploration.start);
    if (chosen.empty()) return false;
    return add_heats(session, chosen, rung, plan.epochs, seconds / exploration.rungs);
  }
  const std::vector<TrialResult> before = heats_of(session, rung - 1);
  const std::vector<int> chosen = choose_promising(before, (before.size() + 1) / 2);
  if (chosen.size() < kFewestInARung) return false;
  const int epochs = std::ranges::max(before | std::views::transform(epochs_of));
  return add_heats(session, chosen, rung, 2 * epochs, seconds / exploration.rungs);
}

bool run_rung(Session& session, int rung, double seconds) {
  if (!begin_rung(session, rung, seconds)) return false;
  const auto total =
      static_cast<double>(count_trials(session, Effort::Heat) + session.unfinished(Effort::Heat).size());
  const auto tell = [&] {
    const std::lock_guard lock(session.mutex);
    session.options.progress.update("heats", static_cast<double>(count_trials(session, Effort::Heat)), total,
                                    {});
  };
  tell();
  TrialLoop loop{.pipeline = rung_pipeline(session, rung)};
  loop.finished = [&](const StoredProposal&, const TrialResult& result) {
    session.finish(result, line(result));
    tell();
  };
  run_trials(session, loop);
  return true;
}

// What the structure of a heat is expected to come to as a candidate.
LearningCurve curve_of(const Session& session, const TrialResult& late, const Runs& runs) {
  const TrialResult& early = *find_trial(session.study, late.parent);
  const PipelineSettings& pipeline = session.settings.pipeline;
  return {.early_epochs = static_cast<double>(epochs_of(early)),
          .early_error = 1 - early.accuracy_int8,
          .late_epochs = static_cast<double>(epochs_of(late)),
          .late_error = 1 - late.accuracy_int8,
          .epochs = static_cast<double>(
              session.settings.seconds ? epochs_within(pipeline, epoch_seconds(session, late, Effort::Full),
                                                       runs.seconds, runs.most)
                                             .distill
                                       : pipeline.distill_epochs)};
}

// The heats of the last rung, by what their learning curves say; then the others.
std::vector<int> by_promise(const Session& session) {
  int last = 0;
  while (!rank_trials(heats_of(session, last + 1), 1).empty()) ++last;
  const std::vector<TrialResult> heats = heats_of(session, last);
  if (last < 2) return choose_promising(heats, heats.size());
  std::vector<int> numbers = rank_trials(heats, static_cast<int>(heats.size()));
  Runs runs;
  if (session.settings.seconds) {
    std::vector<double> epochs;
    for (const int number : numbers)
      epochs.push_back(epoch_seconds(session, *find_trial(session.study, number), Effort::Full));
    runs = plan_runs(epochs, 0, session.settings, plannable_seconds(session), session.workers);
  }
  std::vector<LearningCurve> curves;
  for (const int number : numbers)
    curves.push_back(curve_of(session, *find_trial(session.study, number), runs));
  const std::vector<double> errors = expected_errors(curves);
  std::vector<size_t> order(numbers.size());
  std::ranges::generate(order, [i = size_t{0}]() mutable { return i++; });
  std::ranges::stable_sort(order, {}, [&](size_t i) { return errors[i]; });
  std::vector<int> sorted;
  for (const size_t i : order) sorted.push_back(numbers[i]);
  for (int rung = last - 1; rung > 0; --rung) {
    const std::vector<TrialResult> earlier = heats_of(session, rung);
    for (const int number : choose_promising(earlier, earlier.size())) sorted.push_back(number);
  }
  return sorted;
}

}  // namespace

void run_heats(Session& session, double seconds) {
  const Exploration& exploration = session.settings.exploration;
  if (exploration.heats == 0) return;
  for (int rung = 1; rung <= exploration.rungs; ++rung)
    if (!run_rung(session, rung, seconds)) break;
}

Contenders contenders(Session& session) {
  std::vector<TrialResult> trials = trials_of(session, Effort::Heat);
  const bool had_heats = !rank_trials(trials, 1).empty();
  if (!had_heats) trials = trials_of(session, Effort::Explore);
  const std::vector<int> ranked =
      had_heats ? by_promise(session) : rank_trials(trials, static_cast<int>(trials.size()));
  constexpr size_t kMost = 100;
  std::set<std::string> seen;
  std::vector<int> best;
  for (const int number : ranked)
    if (best.size() < kMost && seen.insert(find_trial(session.study, number)->hash).second)
      best.push_back(number);
  if (best.empty()) return {};
  Contenders found{
      .best = again(session, best, Effort::Full),
      .smaller = again(session, front_below(session.study.trials, *find_trial(session.study, best.front())),
                       Effort::Full)};
  if (!session.settings.seconds) {
    const auto count = static_cast<size_t>(session.settings.exploration.candidates);
    Contenders fewer = found;
    fewer.keep(count - count / 3);
    found.keep(count - std::min(count / 3, fewer.smaller.size()));
    found.smaller.resize(std::min(count / 3, found.smaller.size()));
  }
  return found;
}

void Contenders::keep(size_t count) {
  best.resize(std::min(best.size(), count));
  std::erase_if(smaller, [&](const StoredProposal& structure) {
    return std::ranges::any_of(
        best, [&](const StoredProposal& other) { return other.proposal.hash == structure.proposal.hash; });
  });
}

}  // namespace retort::search
