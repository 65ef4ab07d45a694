#include "search/explore_phase.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/parallel.h"
#include "base/units.h"
#include "compress/inheritance.h"
#include "engine/checkpoint.h"
#include "graph/micro.h"
#include "search/candidates.h"
#include "search/keep.h"
#include "search/micro_sampler.h"
#include "search/plan.h"
#include "search/shared_work.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

using nlohmann::json;

// What is decided once, stored, and kept to by a run that goes on.
struct Exploring {
  int epochs = 1;
  double seconds = 0;             // of the search when exploration ends; 0: no limit
  double heat_seconds = 0;        // for the heats
  double most_epoch_seconds = 0;  // of a structure; 0: no limit
  SpeedModel speed;
  int64_t above_limits = 0;  // structures that were not explored for that
  bool ended = false;        // what is left are heats
  int heat_epochs = 0;       // 0: not decided
  bool heats_ended = false;
};
void to_json(json& out, const Exploring& exploring) {
  out = {{"epochs", exploring.epochs},
         {"seconds", exploring.seconds},
         {"heat_seconds", exploring.heat_seconds},
         {"most_epoch_seconds", exploring.most_epoch_seconds},
         {"seconds_a_mac", exploring.speed.seconds_a_mac},
         {"seconds_an_activation", exploring.speed.seconds_an_activation},
         {"above_limits", exploring.above_limits},
         {"ended", exploring.ended},
         {"heat_epochs", exploring.heat_epochs},
         {"heats_ended", exploring.heats_ended}};
}
void from_json(const json& in, Exploring& exploring) {
  exploring = {.epochs = in.at("epochs"),
               .seconds = in.at("seconds"),
               .heat_seconds = in.at("heat_seconds"),
               .most_epoch_seconds = in.at("most_epoch_seconds"),
               .speed = {.seconds_a_mac = in.at("seconds_a_mac"),
                         .seconds_an_activation = in.at("seconds_an_activation")},
               .above_limits = in.at("above_limits"),
               .ended = in.at("ended"),
               .heat_epochs = in.at("heat_epochs"),
               .heats_ended = in.at("heats_ended")};
}

StageEpochs stage_epochs(const Exploring& exploring) {
  return {.quick = 0, .distill = exploring.epochs, .prune = 0, .qat = 0};
}

// Seconds of an epoch of each, as many at once as will train at once.
std::vector<double> measure_epochs(Session& session, const std::vector<graph::Graph>& graphs,
                                   double seconds_each) {
  std::vector<double> epochs(graphs.size());
  parallel_for(graphs.size(), 1, session.workers, [&](size_t i) {
    if (session.options.stop.stop_requested()) return;
    epochs[i] =
        measure_speed(graphs[i], session.options.backend,
                      {.batch_size = session.pipeline.batch_size, .precision = session.pipeline.precision},
                      session.dataset, seconds_each)
            .epoch(session.split);
  });
  if (session.options.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  return epochs;
}

// Structures of all sizes that time quickly, whose speed tells that of the others. Flat data have no such
// structures; what is proposed for them is measured alone.
SpeedModel measure_speed_model(Session& session) {
  constexpr size_t kNetworks = 8;
  constexpr double kSeconds = 0.25;
  constexpr size_t kDraws = 64;
  constexpr double kMostMacs = 2e7;
  const graph::Shape input = input_shape(session.dataset);
  if (input.flat) return {};
  const auto classes = static_cast<int>(session.dataset.classes.size());
  Rng rng = Rng(session.settings.seed).fork("speeds");
  std::vector<graph::Graph> graphs;
  std::vector<graph::Graph> larger;
  for (size_t i = 0; i < kDraws && graphs.size() < kNetworks; ++i) {
    graph::Graph graph = graph::build(random_micro_network(rng, input), input, classes);
    (work_of(graph).macs <= kMostMacs ? graphs : larger).push_back(std::move(graph));
  }
  // Of large images hardly any is small.
  std::ranges::stable_sort(larger, {}, [](const graph::Graph& graph) { return work_of(graph).macs; });
  for (size_t i = 0; graphs.size() < kNetworks; ++i) graphs.push_back(std::move(larger[i]));
  const std::vector<double> seconds = measure_epochs(session, graphs, kSeconds);
  std::vector<MeasuredWork> measured;
  for (size_t i = 0; i < graphs.size(); ++i)
    measured.push_back({.work = work_of(graphs[i]), .epoch_seconds = seconds[i]});
  return fit_speed(measured);
}

constexpr int kFewestCandidates = 2;
constexpr double kHeatShare = 0.4;  // of exploration's time

// Runs of the pipeline that the time after an exploration must have room for.
int later_runs(const SearchSettings& settings) {
  return std::min(settings.exploration.candidates, kFewestCandidates) + settings.finalist_seeds - 1;
}

Exploring decide(Session& session) {
  const SearchSettings& settings = session.settings;
  const Exploration& exploration = settings.exploration;
  if (const auto stored = session.folder.document(kExplorationKey)) return stored->get<Exploring>();
  Exploring exploring{.epochs = exploration.epochs};
  if (settings.seconds) {
    session.options.progress.message("Measuring the speed of a few networks.");
    exploring.speed = measure_speed_model(session);
    const double available = plannable_seconds(session);
    const double begun = *settings.seconds - session.seconds_left();
    const double share = exploration.share * (exploration.heats > 0 ? 1 - kHeatShare : 1);
    exploring.seconds = begun + share * available;
    exploring.heat_seconds = (exploration.share - share) * available;
    const double exploring_seconds = share * available * session.workers;
    const double later_seconds = (1 - exploration.share) * available * session.workers;
    // A structure must leave time for three generations of the first one's size, and for the runs of the whole
    // pipeline with the fewest epochs that make sense.
    exploring.most_epoch_seconds = std::min(
        exploring_seconds / (3.0 * exploration.first),
        later_seconds / (later_runs(settings) * candidate_seconds(1, fewest_epochs(session.pipeline))));
    // As many epochs as leave time for a hundred of the costliest.
    constexpr double kWanted = 100;
    exploring.epochs =
        static_cast<int>(std::clamp(std::floor(exploring_seconds / (kWanted * exploring.most_epoch_seconds)),
                                    1.0, static_cast<double>(exploration.epochs)));
    session.options.progress.message(fmt::format(
        "Plan: {} to explore structures of at most {} an epoch, {} each, then {} for up to {} candidates and "
        "the other seeds of the best.",
        format_duration(exploration.share * available), format_duration(exploring.most_epoch_seconds),
        exploring.epochs == 1 ? "one epoch" : fmt::format("{} epochs", exploring.epochs),
        format_duration((1 - exploration.share) * available), exploration.candidates));
  }
  session.folder.put_document(kExplorationKey, exploring);
  return exploring;
}

std::vector<TrialResult> trials_of(const Session& session, Effort effort) {
  std::vector<TrialResult> trials;
  std::ranges::copy_if(session.study.trials, std::back_inserter(trials),
                       [effort](const TrialResult& trial) { return trial.effort == effort; });
  return trials;
}
std::vector<TrialResult> explored(const Session& session) {
  return trials_of(session, Effort::Explore);
}

double seconds_used(const Session& session) {
  return *session.settings.seconds - session.seconds_left();
}

// An epoch as it went, with its share of what came beside.
double epoch_seconds(const TrialResult& trial) {
  double seconds = 0;
  double epochs = 0;
  for (const StageResult& stage : trial.stages) {
    seconds += stage.seconds;
    epochs += static_cast<double>(stage.history.epochs.size());
  }
  return seconds / std::max(epochs, 1.0);
}

// What a candidate starts with: nothing where it has no parent.
std::optional<graph::Parameters> inherited(const Session& session, const StoredProposal& stored) {
  if (!inherits(stored, session.settings)) return std::nullopt;
  const std::string parent = [&] {
    const std::lock_guard lock(session.mutex);
    return find_trial(session.study, stored.proposal.parent)->config;
  }();
  return inherited_weights(stored, parent,
                           session.folder.path() / trial_folder(stored.proposal.parent) / "weights.retort",
                           session.settings, session.dataset);
}

// "trial 12: 70.41% int8, 21.4 KB of flash, 9.8 KB of RAM, 1.1 M MACs: conv 8, res 12 s2, gap (from trial 3)"
std::string line(const TrialResult& trial) {
  if (trial.outcome != Outcome::Complete) return fmt::format("trial {}: {}", trial.number, trial.reason);
  std::string text =
      fmt::format("trial {}: {:.2f}% int8, {} of flash, {} of RAM, {} multiply-accumulates: {}", trial.number,
                  trial.accuracy_int8 * 100, format_bytes(trial.footprint.flash_bytes()),
                  format_bytes(trial.footprint.ram_bytes()), format_count(trial.macs), trial.config);
  if (trial.parent >= 0) text += fmt::format(" (from trial {})", trial.parent);
  return text;
}

void tell_progress(const Session& session, const Exploring& exploring) {
  const SearchSettings& settings = session.settings;
  const double done =
      settings.seconds ? seconds_used(session) : static_cast<double>(session.study.trials.size());
  const double total = settings.seconds ? exploring.seconds : settings.trials.value_or(0);
  session.options.progress.update("exploring", std::min(done, total), total, {});
}

// The most accurate, and for every third one a smaller structure of the front, evenly over its sizes.
std::vector<int> choose(const std::vector<TrialResult>& trials, int count) {
  const std::vector<int> ranked = rank_trials(trials, static_cast<int>(trials.size()));
  const size_t most_accurate = std::min(static_cast<size_t>(count - count / 3), ranked.size());
  std::vector<int> chosen(ranked.begin(), ranked.begin() + static_cast<ptrdiff_t>(most_accurate));
  const std::vector<int> front = pareto_front(trials);
  const auto wanted = static_cast<size_t>(count) - chosen.size();
  for (size_t i = 1; i <= wanted && !front.empty(); ++i) {
    const int number = front[std::min(i * front.size() / (wanted + 1), front.size() - 1)];
    if (std::ranges::find(chosen, number) == chosen.end()) chosen.push_back(number);
  }
  return chosen;
}

// Fewer candidates rather than ones that are hardly trained.
void drop_for_time(const Session& session, std::vector<int>& chosen) {
  const StageEpochs epochs = fewest_epochs(session.pipeline);
  const auto needed = [&] {
    std::vector<double> jobs;
    for (const int number : chosen)
      jobs.push_back(candidate_seconds(epoch_seconds(*find_trial(session.study, number)), epochs));
    const double longest = std::ranges::max(jobs);
    return makespan(jobs, session.workers) +
           makespan(std::vector<double>(static_cast<size_t>(session.settings.finalist_seeds - 1), longest),
                    session.workers);
  };
  while (chosen.size() > kFewestCandidates && needed() > plannable_seconds(session)) chosen.pop_back();
}

PipelineSettings exploring_pipeline(const Session& session, int epochs) {
  PipelineSettings pipeline = session.pipeline;
  pipeline.stages = {"distill", "export"};
  pipeline.distill_epochs = epochs;
  return pipeline;
}

// The waiting trials run; returns what they took as a share of what was predicted, 1 where nothing was.
double run_generation(Session& session, const Exploring& exploring) {
  const PipelineSettings pipeline = exploring_pipeline(session, exploring.epochs);
  double predicted = 0;
  double measured = 0;
  TrialLoop loop{.pipeline = pipeline};
  loop.weights = [&](const StoredProposal& stored) { return inherited(session, stored); };
  loop.finished = [&](const StoredProposal& stored, const TrialResult& result) {
    session.finish(result, line(result));
    const std::lock_guard lock(session.mutex);
    if (result.outcome == Outcome::Complete) {
      predicted += candidate_seconds(stored.epoch_seconds, stage_epochs(exploring));
      measured += result.seconds;
    }
    tell_progress(session, exploring);
  };
  run_trials(session, loop);
  return predicted > 0 ? measured / predicted : 1;
}

// Measures them, and leaves out what is too slow after all, then the slowest until the rest fits in the time.
// The quickest of the first generation is tried whatever it takes: a search has something to show.
void keep_what_time_has_room_for(Session& session, const Exploring& exploring, double correction,
                                 bool is_first, std::vector<StoredProposal>& generation) {
  constexpr double kSeconds = 0.1;
  std::vector<graph::Graph> graphs;
  for (const StoredProposal& proposal : generation) graphs.push_back(proposal.proposal.graph);
  const std::vector<double> seconds = measure_epochs(session, graphs, kSeconds);
  for (size_t i = 0; i < seconds.size(); ++i) generation[i].epoch_seconds = seconds[i];
  std::ranges::stable_sort(generation, {}, &StoredProposal::epoch_seconds);
  const double left = exploring.seconds - seconds_used(session);
  std::vector<double> jobs;
  for (const StoredProposal& proposal : generation) {
    jobs.push_back(correction * candidate_seconds(proposal.epoch_seconds, stage_epochs(exploring)));
    const bool too_slow = proposal.epoch_seconds > exploring.most_epoch_seconds;
    const bool must = is_first && jobs.size() == 1;
    if (!must && (too_slow || makespan(jobs, session.workers) > left)) {
      jobs.pop_back();
      break;
    }
  }
  generation.resize(jobs.size());
}

void add_waiting(Session& session, const std::vector<StoredProposal>& proposals) {
  std::vector<study::NewTrial> trials;
  for (const StoredProposal& proposal : proposals) trials.push_back(to_new_trial(proposal, session.settings));
  study::Storage& storage = session.folder.storage();
  keep([&] { storage.add_trials(static_cast<int>(storage.trials().size()), trials); });
}

// Adds the next generation; false when there is none, or no time for it.
bool add_generation(Session& session, const Exploring& exploring, double correction, Proposer& proposer) {
  const SearchSettings& settings = session.settings;
  const std::vector<TrialResult> known = explored(session);
  size_t count =
      static_cast<size_t>(known.empty() ? settings.exploration.first : settings.exploration.generation);
  if (settings.trials)
    count = std::min(count, static_cast<size_t>(*settings.trials) -
                                std::min(known.size(), static_cast<size_t>(*settings.trials)));
  std::vector<StoredProposal> generation = proposer.next(count, known);
  std::erase_if(generation, [](const StoredProposal& proposal) { return !proposal.infeasible.empty(); });
  for (StoredProposal& proposal : generation) proposal.effort = Effort::Explore;
  if (settings.seconds)
    keep_what_time_has_room_for(session, exploring, correction, known.empty(), generation);
  // The longest first, so that none begins when the others end.
  std::ranges::stable_sort(generation, std::greater<>(), [](const StoredProposal& proposal) {
    return std::pair{proposal.epoch_seconds, proposal.costs.macs};
  });
  if (generation.empty()) return false;
  add_waiting(session, generation);
  return true;
}

// The structures of these trials, in their order, to be trained with another effort.
std::vector<StoredProposal> again(Session& session, const std::vector<int>& numbers, Effort effort) {
  std::vector<StoredProposal> proposals(numbers.size());
  for (const study::TrialRecord& record : session.folder.storage().trials()) {
    const auto at = std::ranges::find(numbers, record.number);
    if (at == numbers.end()) continue;
    StoredProposal proposal = from_stored(json::parse(record.proposal));
    proposal.effort = effort;
    proposal.proposal.parent = record.number;
    proposal.epoch_seconds = epoch_seconds(*find_trial(session.study, record.number));
    proposals[static_cast<size_t>(at - numbers.begin())] = std::move(proposal);
  }
  return proposals;
}

// Half of them the most accurate, the other half the most accurate of those that compute more than most: these
// learn more slowly, and come further.
std::vector<int> choose_for_heats(const std::vector<TrialResult>& trials, int count) {
  const std::vector<int> ranked = rank_trials(trials, static_cast<int>(trials.size()));
  std::vector<int64_t> macs;
  for (const TrialResult& trial : trials) macs.push_back(trial.macs);
  if (macs.empty()) return {};
  const auto middle = macs.begin() + static_cast<std::ptrdiff_t>(macs.size() / 2);
  std::ranges::nth_element(macs, middle);
  std::vector<int> chosen;
  const auto take = [&](size_t most, int64_t least_macs) {
    for (const int number : ranked) {
      if (chosen.size() >= most) return;
      if (std::ranges::find(trials, number, &TrialResult::number)->macs >= least_macs &&
          std::ranges::find(chosen, number) == chosen.end())
        chosen.push_back(number);
    }
  };
  take(static_cast<size_t>(count - count / 2), 0);
  take(static_cast<size_t>(count), *middle);
  take(static_cast<size_t>(count), 0);
  return chosen;
}

void add_heats(Session& session, Exploring& exploring) {
  const Exploration& exploration = session.settings.exploration;
  std::vector<StoredProposal> heats =
      again(session, choose_for_heats(explored(session), exploration.heats), Effort::Heat);
  std::ranges::stable_sort(heats, std::greater<>(),
                           [](const StoredProposal& heat) { return heat.costs.macs; });
  if (exploring.heat_epochs == 0) {
    exploring.heat_epochs = exploration.heat_epochs;
    if (session.settings.seconds) {
      std::vector<double> jobs;
      for (const StoredProposal& heat : heats)
        jobs.push_back(
            candidate_seconds(heat.epoch_seconds, {.quick = 0, .distill = 1, .prune = 0, .qat = 0}));
      const double seconds = std::min(exploring.heat_seconds, plannable_seconds(session));
      exploring.heat_epochs =
          static_cast<int>(std::clamp(std::floor(seconds / std::max(makespan(jobs, session.workers), 1e-9)),
                                      1.0, static_cast<double>(exploration.heat_epochs)));
    }
    session.folder.put_document(kExplorationKey, exploring);
    session.options.progress.message(fmt::format(
        "Heats: {} of them again from fresh weights, {} epochs each.", heats.size(), exploring.heat_epochs));
  }
  // Workers on other machines need the pipeline before they can claim the first.
  publish_work(session, exploring_pipeline(session, exploring.heat_epochs));
  add_waiting(session, heats);
}

void run_heats(Session& session, Exploring& exploring) {
  if (session.settings.exploration.heats == 0) return;
  const auto is_heat = [](const study::TrialRecord& record) {
    return from_stored(json::parse(record.proposal)).effort == Effort::Heat;
  };
  if (std::ranges::any_of(session.folder.storage().trials(), is_heat))
    publish_work(session, exploring_pipeline(session, exploring.heat_epochs));
  else
    add_heats(session, exploring);
  TrialLoop loop{.pipeline = exploring_pipeline(session, exploring.heat_epochs)};
  loop.finished = [&](const StoredProposal&, const TrialResult& result) {
    session.finish(result, line(result));
  };
  run_trials(session, loop);
}

}  // namespace

bool inherits(const StoredProposal& stored, const SearchSettings& settings) {
  return stored.effort == Effort::Explore && stored.proposal.parent >= 0 &&
         settings.exploration.start != Start::Fresh;
}

graph::Parameters inherited_weights(const StoredProposal& stored, const std::string& parent_config,
                                    const std::filesystem::path& parent_weights,
                                    const SearchSettings& settings, const data::Dataset& dataset) {
  const engine::Model model = engine::load_model(parent_weights);
  const std::vector<int> node_of = graph::corresponding_nodes(
      graph::micro_network(parent_config), graph::micro_network(stored.proposal.config), input_shape(dataset),
      static_cast<int>(dataset.classes.size()));
  return compress::inherit(model.graph, model.parameters, stored.proposal.graph, node_of,
                           Rng(settings.seed).fork("inherit " + stored.proposal.hash));
}

void explore(Session& session) {
  Exploring exploring = decide(session);
  Proposer proposer(session.settings, session.dataset, [&](const graph::Graph& graph) {
    return exploring.most_epoch_seconds <= 0 ||
           exploring.speed.epoch_seconds(work_of(graph)) <= exploring.most_epoch_seconds;
  });
  if (!exploring.ended) {
    publish_work(session, exploring_pipeline(session, exploring.epochs));
    double correction = run_generation(session, exploring);  // of an earlier run
    while (add_generation(session, exploring, correction, proposer))
      correction = run_generation(session, exploring);
    exploring.ended = true;
    exploring.above_limits = proposer.above_limits();
    session.folder.put_document(kExplorationKey, exploring);
    session.options.progress.message(fmt::format("Explored {} structures; {} more were above the limits.",
                                                 explored(session).size(), exploring.above_limits));
  }
  if (!exploring.heats_ended) {
    run_heats(session, exploring);
    exploring.heats_ended = true;  // what waits from now on are candidates
    session.folder.put_document(kExplorationKey, exploring);
  }
}

std::vector<StoredProposal> candidates_of_exploration(Session& session) {
  std::vector<TrialResult> trials = trials_of(session, Effort::Heat);
  if (rank_trials(trials, 1).empty()) trials = explored(session);
  std::vector<int> chosen = choose(trials, session.settings.exploration.candidates);
  if (session.settings.seconds) drop_for_time(session, chosen);
  return again(session, chosen, Effort::Full);
}

}  // namespace retort::search
