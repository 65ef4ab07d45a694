#include "search/explore_phase.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "base/units.h"
#include "compress/inheritance.h"
#include "engine/checkpoint.h"
#include "engine/work.h"
#include "graph/micro.h"
#include "search/candidates.h"
#include "search/exploration_plan.h"
#include "search/explored.h"
#include "search/heats.h"
#include "search/keep.h"
#include "search/micro_sampler.h"
#include "search/plan.h"
#include "search/recipe_heats.h"
#include "search/shared_work.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

// What is decided once, stored, and kept to by a run that goes on.
struct Exploring {
  int epochs = 1;
  double seconds = 0;             // of the search when exploration ends; 0: no limit
  double heat_seconds = 0;        // for the heats
  double most_epoch_seconds = 0;  // of a structure; 0: no limit
  SpeedModel speed;
  int64_t above_limits = 0;             // structures that were not explored for that
  Json nearest_misses = Json::array();  // Miss, of them
  bool ended = false;                   // what is left are heats
  bool heats_ended = false;
};
void to_json(Json& out, const Exploring& exploring) {
  out = {{"epochs", exploring.epochs},
         {"seconds", exploring.seconds},
         {"heat_seconds", exploring.heat_seconds},
         {"most_epoch_seconds", exploring.most_epoch_seconds},
         {"seconds_a_mac", exploring.speed.seconds_a_mac},
         {"seconds_an_activation", exploring.speed.seconds_an_activation},
         {"above_limits", exploring.above_limits},
         {"nearest_misses", exploring.nearest_misses},
         {"ended", exploring.ended},
         {"heats_ended", exploring.heats_ended}};
}
void from_json(const Json& in, Exploring& exploring) {
  exploring = {.epochs = in.at("epochs"),
               .seconds = in.at("seconds"),
               .heat_seconds = in.at("heat_seconds"),
               .most_epoch_seconds = in.at("most_epoch_seconds"),
               .speed = {.seconds_a_mac = in.at("seconds_a_mac"),
                         .seconds_an_activation = in.at("seconds_an_activation")},
               .above_limits = in.at("above_limits"),
               .nearest_misses = in.value("nearest_misses", Json::array()),
               .ended = in.at("ended"),
               .heats_ended = in.at("heats_ended")};
}

StageEpochs stage_epochs(const Exploring& exploring) {
  return {.quick = 0, .distill = exploring.epochs, .prune = 0, .qat = 0};
}

// Seconds of an epoch of each, as many at once as will train at once; 0 of what has no room, which its trial says.
std::vector<double> measure_epochs(Session& session, const std::vector<graph::Graph>& graphs,
                                   double seconds_each) {
  std::vector<double> epochs(graphs.size());
  parallel_for(graphs.size(), 1, session.workers, [&](size_t i) {
    if (session.options.stop.stop_requested()) return;
    epochs[i] = measured_epoch(session, graphs[i], seconds_each).value_or(0);
  });
  if (session.options.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  return epochs;
}

// For measuring one structure; in a time of seconds no more than a share of it.
double measuring_seconds(const Session& session, double usual) {
  constexpr double kShare = 0.005;
  return std::min(usual, kShare * session.settings.seconds.value_or(0));
}

struct MeasuredSpeeds {
  SpeedModel model;
  double quickest_epoch = 0;  // seconds; 0: nothing was measured
};
// Of structures of all sizes that time quickly, whose speed tells that of the others. Flat data have no such
// structures; what is proposed for them is measured alone.
MeasuredSpeeds measure_speeds(Session& session) {
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
    (engine::work_of(graph).macs <= kMostMacs ? graphs : larger).push_back(std::move(graph));
  }
  // Of large images hardly any is small.
  std::ranges::stable_sort(larger, {}, [](const graph::Graph& graph) { return engine::work_of(graph).macs; });
  for (size_t i = 0; graphs.size() < kNetworks; ++i) graphs.push_back(std::move(larger[i]));
  const std::vector<double> seconds = measure_epochs(session, graphs, measuring_seconds(session, kSeconds));
  std::vector<MeasuredWork> measured;
  for (size_t i = 0; i < graphs.size(); ++i)
    measured.push_back(
        {.work = engine::work_of(graphs[i], session.pipeline.precision), .epoch_seconds = seconds[i]});
  std::erase_if(measured, [](const MeasuredWork& each) { return !(each.epoch_seconds > 0); });
  const auto quickest = std::ranges::min_element(measured, {}, &MeasuredWork::epoch_seconds);
  return {fit_speed(measured), quickest == measured.end() ? 0 : quickest->epoch_seconds};
}

Exploring decide(Session& session) {
  const SearchSettings& settings = session.settings;
  const Exploration& exploration = settings.exploration;
  if (const auto stored = session.folder.document(kExplorationKey)) return stored->get<Exploring>();
  Exploring exploring{.epochs = exploration.epochs};
  if (settings.seconds) {
    session.options.progress.message("Measuring the speed of a few networks.");
    const MeasuredSpeeds speeds = measure_speeds(session);
    exploring.speed = speeds.model;
    const double available = plannable_seconds(session);
    const double begun = *settings.seconds - session.seconds_left();
    const Shares shares = plan_shares(settings, available, session.workers);
    exploring.seconds = begun + shares.exploring_seconds;
    exploring.heat_seconds = shares.heat_seconds;
    // In a time that is too short for anything at least such networks.
    exploring.most_epoch_seconds = std::max(shares.most_epoch_seconds, speeds.quickest_epoch);
    session.options.progress.message(fmt::format(
        "Plan: {} to explore structures of at most {} an epoch, then {} for the best and other seeds of it.",
        format_duration(exploration.share * available), format_duration(exploring.most_epoch_seconds),
        format_duration((1 - exploration.share) * available)));
  }
  session.folder.put_document(kExplorationKey, exploring);
  return exploring;
}

double seconds_used(const Session& session) {
  return session.settings.seconds.value_or(0) - session.seconds_left();
}

// What a candidate starts with: nothing where it has no parent.
std::optional<graph::Parameters> inherited(const Session& session, const StoredProposal& stored) {
  if (!inherits(stored, session.settings)) return std::nullopt;
  const std::string parent = [&] {
    const std::lock_guard lock(session.mutex);
    const TrialResult* trial = find_trial(session.study, stored.proposal.parent);
    if (trial == nullptr)
      throw_failure("the study is damaged: the trial {} that another comes from is not there",
                    stored.proposal.parent);
    return trial->config;
  }();
  return inherited_weights(stored, parent,
                           session.folder.path() / trial_folder(stored.proposal.parent) / "weights.retort",
                           session.settings, session.dataset);
}

void tell_progress(const Session& session, const Exploring& exploring) {
  const SearchSettings& settings = session.settings;
  const double done =
      settings.seconds ? seconds_used(session) : static_cast<double>(session.study.trials.size());
  const double total = settings.seconds ? exploring.seconds : settings.trials.value_or(0);
  session.options.progress.update("exploring", std::min(done, total), total, {});
}

// The waiting trials run; returns what they took as a share of what was predicted, 1 where nothing was.
double run_generation(Session& session, const Exploring& exploring) {
  const PipelineSettings pipeline = short_pipeline(session, exploring.epochs);
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
  const std::vector<double> seconds = measure_epochs(session, graphs, measuring_seconds(session, kSeconds));
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

// From the first generation's seconds.
void decide_epochs(Session& session, Exploring& exploring, const std::vector<StoredProposal>& generation) {
  std::vector<double> seconds;
  for (const StoredProposal& proposal : generation) seconds.push_back(proposal.epoch_seconds);
  std::ranges::sort(seconds);
  const double left = exploring.seconds - seconds_used(session);
  exploring.epochs =
      plan_explore_epochs(session.settings.exploration, seconds[seconds.size() / 2], left * session.workers,
                          growth(session.settings.seconds.value_or(0) * session.workers));
  session.folder.put_document(kExplorationKey, exploring);
  session.options.progress.message(
      fmt::format("Exploring: {} of each structure.", format_counted(exploring.epochs, "epoch")));
}

// What was refused is stored in parts, so that no generation writes anew what those before it have found.
std::string refused_key(size_t part) {
  return fmt::format("refused.{}", part);
}

// Those that are there; takes them up.
size_t take_refused(const Session& session, Refused& refused) {
  size_t parts = 0;
  for (; const auto part = session.folder.document(refused_key(parts)); ++parts) refused.take(*part);
  return parts;
}

// Adds the next generation; false when there is none, or no time for it.
bool add_generation(Session& session, Exploring& exploring, double correction, Proposer& proposer,
                    size_t& refused_parts) {
  const SearchSettings& settings = session.settings;
  const int boundary = session.folder.storage().trial_count();
  const std::vector<TrialResult> known = trials_of(session, Effort::Explore);
  size_t count =
      static_cast<size_t>(known.empty() ? settings.exploration.first : settings.exploration.generation);
  if (settings.trials)
    count = std::min(count, static_cast<size_t>(*settings.trials) -
                                std::min(known.size(), static_cast<size_t>(*settings.trials)));
  std::vector<StoredProposal> generation = proposer.next(count, known);
  std::erase_if(generation, [](const StoredProposal& proposal) { return !proposal.infeasible.empty(); });
  for (StoredProposal& proposal : generation) proposal.effort = Effort::Explore;
  if (known.empty() && settings.seconds) exploring.epochs = 1;  // until their speed is known
  if (settings.seconds)
    keep_what_time_has_room_for(session, exploring, correction, known.empty(), generation);
  // The longest first, so that none begins when the others end.
  std::ranges::stable_sort(generation, std::greater<>(), [](const StoredProposal& proposal) {
    return std::pair{proposal.epoch_seconds, proposal.costs.macs};
  });
  if (generation.empty()) return false;
  if (known.empty() && settings.seconds) {
    decide_epochs(session, exploring, generation);
    // Workers on other machines need the pipeline before they can claim the first.
    publish_work(session, short_pipeline(session, exploring.epochs));
  }
  // Before: what is cut between proposes this generation again.
  session.folder.put_document(refused_key(refused_parts++), proposer.refused().news());
  session.add_trials(Trials::Search, boundary, generation);
  return true;
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
  const graph::Shape input = input_shape(dataset);
  const auto classes = static_cast<int>(dataset.classes.size());
  const graph::MicroNetwork parent = graph::micro_network(parent_config);
  const graph::MicroNetwork child = graph::micro_network(stored.proposal.config);
  // Their nodes are told from the texts, and the networks come from whoever may write to the study's database.
  if (graph::build(parent, input, classes) != model.graph ||
      graph::build(child, input, classes) != stored.proposal.graph)
    throw_failure("the study is damaged: a network is not what its text \"{}\" or \"{}\" says", parent_config,
                  stored.proposal.config);
  const int64_t parameters = graph::parameter_count(stored.proposal.graph);
  require_memory(static_cast<uint64_t>(parameters) * sizeof(float), "a network's weights");
  const Rng rng = Rng(settings.seed).fork("inherit " + stored.proposal.hash);
  if (settings.exploration.start == Start::Grow && parameters < graph::parameter_count(model.graph))
    return graph::initialize(stored.proposal.graph, rng);
  return compress::inherit(model.graph, model.parameters, stored.proposal.graph,
                           graph::corresponding_nodes(parent, child, input, classes), rng);
}

void explore(Session& session) {
  Exploring exploring = decide(session);
  if (!exploring.ended) {
    const auto quick_enough = [&](const graph::Graph& graph) {
      return exploring.most_epoch_seconds <= 0 ||
             exploring.speed.epoch_seconds(engine::work_of(graph, session.pipeline.precision)) <=
                 exploring.most_epoch_seconds;
    };
    Refused refused;
    size_t refused_parts = take_refused(session, refused);
    Proposer proposer(session.settings, session.dataset, quick_enough, std::move(refused));
    tell_progress(session, exploring);
    publish_work(session, short_pipeline(session, exploring.epochs));
    double correction = run_generation(session, exploring);  // of an earlier run
    while (add_generation(session, exploring, correction, proposer, refused_parts))
      correction = run_generation(session, exploring);
    session.options.progress.update("exploring", 1, 1, {});  // it may end before its time
    exploring.ended = true;
    exploring.above_limits = proposer.refused().count();
    exploring.nearest_misses = proposer.refused().nearest();
    session.folder.put_document(kExplorationKey, exploring);
    for (size_t part = 0; part < refused_parts; ++part)
      session.folder.put_document(refused_key(part), nullptr);
    session.options.progress.message(fmt::format(
        "Explored {}; {} above the limits{}.",
        format_counted(std::ranges::count(session.study.trials, Effort::Explore, &TrialResult::effort),
                       "structure"),
        format_counted(exploring.above_limits, "more was", "more were"),
        exploring.most_epoch_seconds > 0
            ? fmt::format(" or took more than {} an epoch", format_duration(exploring.most_epoch_seconds))
            : std::string()));
  }
  const double recipe_seconds = seconds_for_recipes(session, exploring.heat_seconds);
  if (!exploring.heats_ended) {
    run_heats(session, exploring.heat_seconds - recipe_seconds);
    exploring.heats_ended = true;  // what waits from now on are recipes and candidates
    session.folder.put_document(kExplorationKey, exploring);
  }
  run_recipe_heats(session, recipe_seconds);
}

}  // namespace retort::search
