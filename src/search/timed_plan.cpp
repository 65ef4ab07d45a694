#include "search/timed_plan.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/units.h"
#include "search/exploration_plan.h"
#include "search/plan.h"

namespace retort::search {
namespace {

// A timed search aims at this share of its time, and keeps some of the rest for its end: seconds, but not of a very short one,
// and a share.
constexpr double kAim = 0.97;
constexpr double kClosingSeconds = 1.5;
constexpr double kMostClosingShare = 0.02;
constexpr double kClosingShare = 0.005;
// Time for measuring one network's speed, and the share of the search's time that all of it may take.
constexpr double kMeasureSeconds = 0.25;
constexpr double kMeasureShare = 0.03;
// All cores meet after each operation, so that other programs disturb a teacher more, and more unevenly.
constexpr double kTeacherMeasureSeconds = 3;

void set_epochs(PipelineSettings& pipeline, const StageEpochs& epochs) {
  pipeline.quick_epochs = epochs.quick;
  pipeline.distill_epochs = epochs.distill;
  pipeline.prune_epochs = epochs.prune;
  pipeline.qat_epochs = epochs.qat;
  pipeline.channels_epochs = epochs.channels;
}

// Of a search that has a limit.
double limit_seconds(const Session& session) {
  assert(session.settings.seconds);
  return session.settings.seconds.value_or(0);
}

std::string of_what_is_left(const Session& session, double needed) {
  const double left = session.seconds_left();
  return left >= needed ? fmt::format(" of the {} that are left", format_duration(left))
                        : std::string(", more than the time that is left");
}

// Over the stages that it goes through.
double mean_epoch_seconds(const Session& session, const StoredProposal& proposal) {
  return proposal.epoch_seconds *
         relative_epoch(with_recipe(session.pipeline, proposal.recipe), proposal.proposal.graph);
}

// Takes up a stored plan: with more time than it was made for, the next structures that wait.
double resume_plan(Session& session, Json plan) {
  const SearchSettings& settings = session.settings;
  const StageEpochs epochs{.quick = plan.at("quick"),
                           .distill = plan.at("distill"),
                           .prune = plan.at("prune"),
                           .qat = plan.at("quantize"),
                           .channels = plan.value("channels", 0)};
  set_epochs(session.pipeline, epochs);
  const double confirmation = plan.at("confirmation_seconds");
  const std::vector<study::TrialRecord> records =
      session.folder.storage().trials({.results = false, .stages = study::Stages::None});
  session.planned = plan.value("planned", records.size());
  if (!has_more_time(settings, plan.value("limit_seconds", Json()))) return confirmation;

  if (!settings.seconds) {
    session.planned = records.size();
    plan["limit_seconds"] = nullptr;
  } else {
    const double available = plannable_seconds(session) - confirmation;
    std::vector<double> jobs;
    for (const study::TrialRecord& record : records) {
      if (study::is_finished(record.state)) continue;
      const StoredProposal proposal = proposal_of(record);
      jobs.push_back(candidate_seconds(mean_epoch_seconds(session, proposal), epochs));
      const auto number = static_cast<size_t>(record.number);
      if (number < session.planned) continue;
      if (makespan(jobs, session.workers) > available) break;
      session.planned = number + 1;
    }
    plan["limit_seconds"] = *settings.seconds;
  }
  plan["planned"] = session.planned;
  session.folder.put_document(kPlanKey, plan);
  const auto waiting = [&](size_t end) {
    return std::ranges::count_if(std::span(records).first(end), [](const study::TrialRecord& record) {
      return !study::is_finished(record.state);
    });
  };
  if (waiting(records.size()) > 0)
    session.options.progress.message(
        fmt::format("Plan: {} of the {} structures that wait, {} each as before.", waiting(session.planned),
                    waiting(records.size()), format_counted(epochs.total(), "epoch")));
  return confirmation;
}

}  // namespace

double closing_seconds(const SearchSettings& settings) {
  const double seconds = settings.seconds.value_or(0);
  return std::min(kClosingSeconds, kMostClosingShare * seconds) + kClosingShare * seconds;
}

double plannable_seconds(const Session& session) {
  return kAim * std::max(session.seconds_left() - closing_seconds(session.settings), 0.0);
}

bool has_more_time(const SearchSettings& settings, const Json& stored) {
  return !stored.is_null() && (!settings.seconds || *settings.seconds > stored.get<double>());
}

std::optional<double> measured_epoch(Session& session, const graph::Graph& graph, double seconds) {
  const RunOptions& options = session.options;
  const int batch = session.pipeline.batch_size;
  const engine::CompileOptions compile{.batch_size = batch, .precision = session.pipeline.precision};
  std::optional<MemoryBudget::Share> share;
  try {
    share.emplace(
        session.memory,
        training_bytes(graph, compile, last_batch(session.split.train.size(), batch), options.backend),
        options.stop);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted) throw;
    return std::nullopt;
  }
  const Exploration& exploration = session.settings.exploration;
  return measure_speed(graph, options.backend, compile, session.dataset, seconds)
      .epoch(session.split,
             exploration.epochs > 0 ? exploration.epochs : session.settings.pipeline.distill_epochs);
}

void measure(Session& session, std::vector<StoredProposal>& proposals) {
  const RunOptions& options = session.options;
  std::vector<StoredProposal*> fitting;
  std::vector<double> macs;
  for (StoredProposal& proposal : proposals) {
    if (!proposal.infeasible.empty()) continue;
    fitting.push_back(&proposal);
    macs.push_back(static_cast<double>(proposal.costs.macs));
  }
  Json speeds = session.folder.document(kSpeedsKey).value_or(Json::object());
  if (speeds.empty()) {
    const double seconds = kMeasureShare * limit_seconds(session);
    const double each =
        std::min(seconds * session.workers / static_cast<double>(macs.size()), kMeasureSeconds);
    options.progress.message(fmt::format("Measuring the speed of up to {}.",
                                         format_counted(static_cast<int64_t>(macs.size()), "network")));
    // As many at once as will train at once: they share the machine's caches and memory.
    const Measured measured = measure_spread(macs, seconds, session.workers, [&](size_t i) {
      if (options.stop.stop_requested()) return 0.0;
      return measured_epoch(session, fitting[i]->proposal.graph, each).value_or(0);
    });
    if (options.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
    if (measured.measured == 0 && !fitting.empty())
      throw_failure(
          "even the smallest network has no room to be trained in the {} that this process may have: allow "
          "more (--memory) or train on smaller batches (--batch)",
          format_bytes(session.memory.limit()));
    for (size_t i = 0; i < fitting.size(); ++i) speeds[fitting[i]->proposal.hash] = measured.epoch_seconds[i];
    session.folder.put_document(kSpeedsKey, speeds);
    if (measured.measured < fitting.size())
      options.progress.message(fmt::format(
          "Measured {} of them; the others follow from their multiply-accumulates.", measured.measured));
  }
  for (StoredProposal* proposal : fitting)
    proposal->epoch_seconds = speeds.at(proposal->proposal.hash).get<double>();
}

double decide_runs(Session& session, Contenders contenders, std::vector<StoredProposal>& proposals) {
  // All of it: their epochs were measured by training them, so that hardly anything is left to chance.
  const double available = std::max(session.seconds_left() - closing_seconds(session.settings), 0.0);
  std::vector<double> epoch_seconds;
  for (const StoredProposal& structure : contenders.best)
    epoch_seconds.push_back(mean_epoch_seconds(session, structure));
  const auto plan = [&](const Contenders& all) {
    return plan_runs(epoch_seconds, all.smaller.size(), session.settings, available, session.workers);
  };
  Contenders fewer = contenders;  // without the smaller ones that are among the best anyway
  fewer.keep(plan(contenders).candidates);
  const Runs runs = plan(fewer);
  contenders.keep(runs.candidates);
  std::vector<int> totals;
  const auto take = [&](std::vector<StoredProposal>& structures, double seconds) {
    for (StoredProposal& structure : structures) {
      const StageEpochs epochs = epochs_within(with_recipe(session.pipeline, structure.recipe),
                                               mean_epoch_seconds(session, structure), seconds, runs.most);
      structure.epochs = by_stage(epochs);
      totals.push_back(epochs.total());
      proposals.push_back(std::move(structure));
    }
  };
  proposals.clear();
  take(contenders.best, runs.seconds);
  take(contenders.smaller, runs.smaller_seconds);
  session.planned = static_cast<size_t>(session.folder.storage().trial_count()) + proposals.size();
  Json document = by_stage(scaled_epochs(session.pipeline, 1));
  document["limit_seconds"] = limit_seconds(session);
  document["planned"] = session.planned;
  document["confirmation_seconds"] = runs.confirmation_seconds;
  session.folder.put_document(kPlanKey, document);
  session.options.progress.message(fmt::format(
      "Plan: {} of up to {} each{} ({} epochs){}{}.",
      format_counted(static_cast<int64_t>(runs.candidates), "candidate"), format_duration(runs.seconds),
      contenders.smaller.empty()
          ? std::string()
          : fmt::format(", {} of the front of up to {}",
                        format_counted(static_cast<int64_t>(contenders.smaller.size()), "smaller one"),
                        format_duration(runs.smaller_seconds)),
      fmt::join(totals, ", "),
      runs.confirmation_seconds > 0 ? ", and as long for each other seed of the best" : "",
      of_what_is_left(session, available)));
  return runs.confirmation_seconds;
}

int decide_teacher_epochs(Session& session) {
  const TeacherSettings& teacher = session.settings.teacher;
  const RunOptions& options = session.options;
  if (teacher.kind != TeacherKind::Train || !needs_teacher(session.settings)) return 0;
  if (const auto stored = session.folder.document(kTeacherEpochsKey)) return stored->get<int>();
  const graph::Graph graph = teacher_network(teacher, session.dataset);
  const double total = limit_seconds(session);
  const engine::CompileOptions compile = teacher_compile_options(session.settings, options);
  // Of processor time each of its threads takes as much as it computes, of which `workers` are an hour's worth.
  const double share_of_cores =
      session.settings.clock == WorkTime::Cpu ? static_cast<double>(compile.threads) / session.workers : 1.0;
  const double epoch = [&] {
    const MemoryBudget::Share share =
        share_of_teacher(session.memory, graph, session.settings, session.split.train.size(), options);
    return share_of_cores * measure_speed(graph, options.backend, compile, session.dataset,
                                          std::min(kTeacherMeasureSeconds, kMeasureShare * total))
                                .epoch(session.split, teacher.epochs);
  }();
  const int epochs = plan_teacher_epochs(teacher, epoch, total, session.settings.exploration.epochs > 0);
  const std::string why_none = epochs == 0 ? why_no_teacher(teacher, epoch, total) : std::string();
  session.folder.put_document(kNoTeacherKey, epochs == 0 ? Json(why_none) : Json());
  session.folder.put_document(kTeacherEpochsKey, epochs);
  options.progress.message(
      epochs == 0 ? why_none
                  : fmt::format("Plan: {} for the teacher ({} of {}).", format_duration(epochs * epoch),
                                format_counted(epochs, "epoch"), format_duration(epoch)));
  return epochs;
}

double decide_candidates(Session& session, std::vector<StoredProposal>& proposals) {
  if (auto stored = session.folder.document(kPlanKey); stored && proposals.empty())
    return resume_plan(session, std::move(*stored));
  std::vector<StoredProposal> fitting;
  std::vector<StoredProposal> chosen;
  std::vector<double> epoch_seconds;
  for (StoredProposal& proposal : proposals) {
    if (!proposal.infeasible.empty()) {
      chosen.push_back(std::move(proposal));
      continue;
    }
    epoch_seconds.push_back(mean_epoch_seconds(session, proposal));
    fitting.push_back(std::move(proposal));
  }
  const double available = plannable_seconds(session);
  const CandidatePlan plan = plan_candidates(epoch_seconds, session.settings, available, session.workers);
  for (const size_t index : plan.chosen) chosen.push_back(std::move(fitting[index]));
  const auto earlier = static_cast<size_t>(session.folder.storage().trial_count());  // of an exploration
  session.planned = earlier + chosen.size();
  for (const size_t index : plan.left_out) chosen.push_back(std::move(fitting[index]));
  proposals = std::move(chosen);
  set_epochs(session.pipeline, plan.epochs);
  Json document = by_stage(plan.epochs);
  document["limit_seconds"] = limit_seconds(session);
  document["planned"] = session.planned;
  document["confirmation_seconds"] = plan.confirmation_seconds;
  document["predicted_seconds"] = plan.seconds;
  session.folder.put_document(kPlanKey, document);
  session.options.progress.message(fmt::format(
      "Plan: {} of {}, {} each (quick {}, {}distil {}, prune {}, quantise {}), and other "
      "seeds for the best: {}{}.{}",
      plan.chosen.size(), format_counted(static_cast<int64_t>(fitting.size()), "structure"),
      format_counted(plan.epochs.total(), "epoch"), plan.epochs.quick,
      plan.epochs.channels > 0 ? fmt::format("channels {}, ", plan.epochs.channels) : std::string(),
      plan.epochs.distill, plan.epochs.prune, plan.epochs.qat, format_duration(plan.seconds),
      of_what_is_left(session, plan.seconds),
      plan.left_out.empty()
          ? std::string()
          : fmt::format(" {} left for a longer --time.",
                        format_counted(static_cast<int64_t>(plan.left_out.size()), "more is", "more are"))));
  return plan.confirmation_seconds;
}

}  // namespace retort::search
