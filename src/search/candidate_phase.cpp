#include "search/candidate_phase.h"

#include <algorithm>
#include <atomic>

#include "base/json.h"
#include "search/candidates.h"
#include "search/finalist_phase.h"
#include "search/plan.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// Of `total` trials; what was explored before is none of the candidates. `also` have ended and are not in the study yet.
void tell_progress(const Session& session, size_t total, int64_t also = 0) {
  const std::vector<TrialResult>& trials = session.study.trials;
  const auto done = std::ranges::count(trials, Effort::Full, &TrialResult::effort);
  const auto others = static_cast<int64_t>(trials.size()) - done;
  session.options.progress.update("candidates", static_cast<double>(done + also),
                                  static_cast<double>(static_cast<int64_t>(total) - others), {});
}

// The candidates that are left, with the stages before them, and what those that are finished took. Without a
// time limit the pacer only estimates what is left, and any unit of cost will do.
void fill(Pacer& pacer, const Session& session, const std::vector<study::TrialRecord>& records) {
  const auto wide_epoch = [&](const StoredProposal& stored) {
    return relative_wide_epoch(with_recipe(session.pipeline, stored.recipe), stored.proposal.graph);
  };
  for (const study::TrialRecord& record : records) {
    if (static_cast<size_t>(record.number) >= session.planned) break;
    if (study::is_finished(record.state)) {
      const std::string name = trial_name(record.number);
      const TrialResult* found = find_trial(session.study, record.number);
      if (found == nullptr) continue;  // another machine finished it a moment ago, and the loop will tell
      const TrialResult& trial = *found;
      const bool counts = trial.outcome == Outcome::Complete && trial.effort == Effort::Full;
      if (!counts || !session.settings.seconds) continue;
      const StoredProposal stored = proposal_of(record);
      pacer.add(name, stored.epoch_seconds, {}, wide_epoch(stored));
      for (const StageResult& stage : trial.stages) pacer.end(name, stage.name, stage.trained, stage.seconds);
      pacer.finish(name, trial.seconds - training_seconds(trial.stages));
      continue;
    }
    const StoredProposal stored = proposal_of(record);
    if (!stored.infeasible.empty() || stored.effort != Effort::Full) continue;
    auto epochs = stored.epochs.empty()
                      ? by_stage(scaled_epochs(with_recipe(session.pipeline, stored.recipe), 1))
                      : stored.epochs;
    for (const study::StageRecord& stage : record.stages) epochs.erase(stage.name);
    std::erase_if(epochs, [](const auto& stage) { return stage.second == 0; });  // what the pipeline lacks
    const double epoch =
        session.settings.seconds ? stored.epoch_seconds : static_cast<double>(stored.costs.macs);
    pacer.add(trial_name(record.number), epoch, epochs, wide_epoch(stored));
  }
}

// A search without a time limit tells when it will be done, as soon as that can be said.
void estimate(Session& session, const Pacer& pacer) {
  const SearchSettings& settings = session.settings;
  if (settings.seconds) return;
  const auto needed = pacer.seconds_needed();
  if (!needed) return;
  const size_t finalists = std::min(static_cast<size_t>(settings.top), session.planned);
  session.tell_time_left(
      *needed + finalist_seconds(session, finalists * static_cast<size_t>(settings.finalist_seeds - 1)));
}

// There is no time for a candidate that was to begin now.
void left_out(Session& session, const StoredProposal& proposal, size_t& total) {
  const std::lock_guard lock(session.mutex);
  ++session.study.left_out;
  --total;
  session.options.progress.message(
      fmt::format("Left out for lack of time: {}. A longer --time takes it up.", proposal.proposal.config));
  tell_progress(session, total);
  session.announce();
}

// A teacher that knows less than its students makes them worse; said once a run.
void say_when_poor(const TeacherResult& teacher, const StageResult& quick, const Session& session,
                   std::atomic_flag& said) {
  if (quick.name != "quick" || !session.teacher.logits || !teaches(session.pipeline)) return;
  if (!(quick.validation_accuracy > teacher.validation_accuracy) || said.test_and_set()) return;
  session.options.progress.message(fmt::format(
      "The teacher has {:.2f}% on validation and a student {:.2f}% without it: so poor a teacher makes "
      "students worse. Train it longer (--teacher-epochs) or do without (--teacher none).",
      teacher.validation_accuracy * 100, quick.validation_accuracy * 100));
}

}  // namespace

std::vector<TrialResult> refused_with_room(Session& session) {
  // What is free by chance reopens no search, and neither does memory where no time is left.
  if (!session.options.memory_bytes) return {};
  if (session.settings.seconds && plannable_seconds(session) <= 0) return {};
  const Context context = session.context(session.pipeline, session.options.stop);
  std::vector<TrialResult> refused;
  for (const TrialResult& trial : session.study.trials)
    if (trial.outcome == Outcome::Failed && trial.effort == Effort::Full && trial.refused_memory_bytes > 0 &&
        trial.refused_memory_bytes < session.memory.limit() &&
        has_room(proposal_of(session.folder.storage().trial(trial.number)), context))
      refused.push_back(trial);
  return refused;
}

void run_candidates(Session& session, double confirmation_seconds) {
  // Finished ones are in the session's study.
  const std::vector<study::TrialRecord> records =
      session.folder.storage().trials({.results = false, .stages = study::Stages::Names});
  size_t total = session.planned;
  // A run that died after storing the result left what only an unfinished candidate needs.
  for (const study::TrialRecord& record : records)
    if (const fs::path trial = session.folder.path() / trial_folder(record.number);
        study::is_finished(record.state) && is_untidy(trial))
      tidy_up(trial);
  Pacer pacer(session.deadline(), confirmation_seconds + closing_seconds(session.settings), session.workers);
  fill(pacer, session, records);
  std::atomic_flag poor_teacher_said;
  if (session.study.trials.size() < total) tell_progress(session, total);

  TrialLoop loop{.pipeline = session.pipeline, .below = static_cast<int>(session.planned)};
  loop.prepare = [&](Context& context) {
    if (session.settings.seconds)
      context.epochs = [&](const Candidate& candidate, std::string_view stage, int epochs) {
        return pacer.begin(candidate.name, stage, epochs);
      };
    context.stage_finished = [&](const Candidate& candidate) {
      const StageResult& stage = candidate.stages.back();
      say_when_poor(session.teacher.result, stage, session, poor_teacher_said);
      pacer.end(candidate.name, stage.name, stage.trained, stage.seconds);
      estimate(session, pacer);
    };
  };
  if (session.settings.seconds)
    loop.has_room = [&](int number, const StoredProposal& proposal) {
      if (pacer.has_room(trial_name(number))) return true;
      left_out(session, proposal, total);
      return false;
    };
  loop.finished = [&](const StoredProposal&, const TrialResult& result) {
    if (result.outcome == Outcome::Complete)
      pacer.finish(trial_name(result.number), result.seconds - training_seconds(result.stages));
    else
      pacer.remove(trial_name(result.number));
    {
      // First: the report is drawn before finish() returns.
      const std::lock_guard lock(session.mutex);
      tell_progress(session, total, 1);
    }
    session.finish(result, ending_text(session.settings.preset, result));
    estimate(session, pacer);
  };
  run_trials(session, loop);
}

}  // namespace retort::search
