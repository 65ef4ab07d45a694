#include "search/timed_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/units.h"
#include "search/plan.h"

namespace retort::search {
namespace {

using nlohmann::json;

// A timed search aims at this share of its time, and keeps some of the rest for its end.
constexpr double kAim = 0.97;
constexpr double kClosingShare = 0.02;
// Time for measuring one network's speed.
constexpr double kMeasureSeconds = 0.25;

void set_epochs(PipelineSettings& pipeline, const StageEpochs& epochs) {
  pipeline.quick_epochs = epochs.quick;
  pipeline.distill_epochs = epochs.distill;
  pipeline.prune_epochs = epochs.prune;
  pipeline.qat_epochs = epochs.qat;
}

}  // namespace

double closing_seconds(const SearchSettings& settings) {
  return kClosingShare * settings.seconds.value_or(0);
}

void measure(const Session& session, std::vector<StoredProposal>& proposals) {
  const RunOptions& options = session.options;
  options.progress.message(fmt::format("Measuring the speed of {} networks.", proposals.size()));
  // As many at once as will train at once: they share the machine's caches and memory.
  parallel_for(proposals.size(), 1, session.workers, [&](size_t i) {
    if (!proposals[i].infeasible.empty() || options.stop.stop_requested()) return;
    proposals[i].epoch_seconds =
        measure_speed(proposals[i].proposal.graph, options.backend, session.pipeline.batch_size, 1,
                      session.dataset, kMeasureSeconds)
            .epoch(session.split);
  });
  if (options.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
}

int decide_teacher_epochs(Session& session) {
  const TeacherSettings& teacher = session.settings.teacher;
  const RunOptions& options = session.options;
  if (teacher.kind != TeacherKind::Train) return 0;
  if (const auto stored = session.folder.document(kTeacherEpochsKey)) return stored->get<int>();
  const graph::Graph graph = teacher_network(teacher, session.dataset);
  const int threads = options.teacher_threads > 0 ? options.teacher_threads : available_cores();
  const double epoch =
      measure_speed(graph, options.backend, teacher.batch_size, threads, session.dataset, 2 * kMeasureSeconds)
          .epoch(session.split);
  const double total = *session.settings.seconds;
  const int epochs = plan_teacher_epochs(teacher, epoch, total);
  session.folder.put_document(kTeacherEpochsKey, epochs);
  if (epochs == 0)
    options.progress.message(fmt::format("Plan: no teacher, one epoch of it would take {} of {}.",
                                         format_duration(epoch), format_duration(total)));
  else
    options.progress.message(fmt::format("Plan: {} for the teacher ({} epochs of {}).",
                                         format_duration(epochs * epoch), epochs, format_duration(epoch)));
  return epochs;
}

double decide_candidates(Session& session, std::vector<StoredProposal>& proposals) {
  if (const auto stored = session.folder.document(kPlanKey); stored && proposals.empty()) {
    set_epochs(session.pipeline, {.quick = stored->at("quick"),
                                  .distill = stored->at("distill"),
                                  .prune = stored->at("prune"),
                                  .qat = stored->at("quantize")});
    return stored->at("confirmation_seconds");
  }
  std::vector<StoredProposal> fitting;
  std::vector<StoredProposal> chosen;
  std::vector<double> epoch_seconds;
  for (StoredProposal& proposal : proposals) {
    if (!proposal.infeasible.empty()) {
      chosen.push_back(std::move(proposal));
      continue;
    }
    epoch_seconds.push_back(proposal.epoch_seconds);
    fitting.push_back(std::move(proposal));
  }
  const double available = kAim * (session.seconds_left() - closing_seconds(session.settings));
  const CandidatePlan plan = plan_candidates(epoch_seconds, session.settings, available, session.workers);
  for (const size_t index : plan.chosen) chosen.push_back(std::move(fitting[index]));
  proposals = std::move(chosen);
  set_epochs(session.pipeline, plan.epochs);
  json document = by_stage(plan.epochs);
  document["confirmation_seconds"] = plan.confirmation_seconds;
  document["predicted_seconds"] = plan.seconds;
  session.folder.put_document(kPlanKey, document);
  session.options.progress.message(fmt::format(
      "Plan: {} of {} structures, {} epochs each (quick {}, distil {}, prune {}, quantise {}), and other "
      "seeds for the best: {} of the {} that are left.",
      plan.chosen.size(), fitting.size(), plan.epochs.total(), plan.epochs.quick, plan.epochs.distill,
      plan.epochs.prune, plan.epochs.qat, format_duration(plan.seconds),
      format_duration(std::max(session.seconds_left(), 0.0))));
  return plan.confirmation_seconds;
}

}  // namespace retort::search
