#include "search/search.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "search/candidate_phase.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/explore_phase.h"
#include "search/explored.h"
#include "search/finalist_phase.h"
#include "search/heats.h"
#include "search/keep.h"
#include "search/leadership.h"
#include "search/pipeline.h"
#include "search/proposals.h"
#include "search/recipe_heats.h"
#include "search/run_status.h"
#include "search/session.h"
#include "search/shared_work.h"
#include "search/study_folder.h"
#include "search/teacher.h"
#include "search/timed_plan.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

enum class Phase { Measuring, Teacher, Exploring, Candidates, Finalists };

// For the sentence of a search that was stopped.
std::string where(Phase phase, const Session& session) {
  const auto count = [&](Effort effort) { return static_cast<int64_t>(count_trials(session, effort)); };
  switch (phase) {
    case Phase::Measuring:
      return "while speed was measured";
    case Phase::Teacher:
      return "while the teacher was prepared";
    case Phase::Exploring:
      return fmt::format("with {} explored", format_counted(count(Effort::Explore), "structure"));
    case Phase::Candidates:
      break;
    case Phase::Finalists:
      return "while the finalists were confirmed";
  }
  return fmt::format("with {} finished", format_counted(count(Effort::Full), "candidate"));
}

void say_teacher(const Teacher& teacher, ProgressSink& progress) {
  if (!teacher.logits) {
    progress.message("No teacher: students learn from the labels alone.");
    return;
  }
  const TeacherResult& result = teacher.result;
  progress.message(fmt::format(
      "Teacher ({}): {:.2f}% on validation{}.", result.source, result.validation_accuracy * 100,
      result.seconds > 0
          ? fmt::format(", {} in {}",
                        format_counted(static_cast<int64_t>(result.history.epochs.size()), "epoch"),
                        format_duration(result.seconds))
          : std::string()));
}

// Whether a finished search left out for lack of time what it has more time for now.
bool more_to_do(const Session& session) {
  const auto finalists = session.folder.document(kFinalistsKey);
  return finalists && has_more_time(session.settings, finalists->value("limit_seconds", Json())) &&
         (session.study.left_out > 0 || finalists->value("missing_runs", 0) > 0);
}

// Opens or begins the study in the folder. The proposals of a search that has none stored yet.
std::vector<StoredProposal> open_study(Session& session) {
  const SearchSettings& settings = session.settings;
  const data::Dataset& dataset = session.dataset;
  StudyFolder& folder = session.folder;
  // A folder that holds another search is left as it is; one where nothing fits is left without a search.
  if (folder.document(kDescriptionKey)) {
    folder.describe(settings, dataset, session.options.command);
  } else {
    check_teacher(settings, dataset);
    static_cast<void>(data::stratified_split(dataset, settings.split));  // it may be refused
  }
  std::vector<StoredProposal> proposals;
  if (folder.storage().trial_count() == 0) proposals = propose(settings, dataset, session.options.progress);
  folder.describe(settings, dataset, session.options.command);
  session.split = folder.split(settings, dataset);
  folder.put_document(kImagesKey, {{"train", session.split.train.size()},
                                   {"validation", session.split.validation.size()},
                                   {"test", session.test_indices().size()}});
  const RunOptions& run = session.options;
  folder.put_document(kLastRunKey, {{"workers", run.workers},
                                    {"teacher_threads", run.teacher_threads},
                                    {"memory_bytes", run.memory_bytes ? Json(*run.memory_bytes) : Json()}});
  folder.put_document(kRangeKey, {{"low", dataset.range.low}, {"high", dataset.range.high}});
  session.earlier_seconds = folder.document(kSecondsKey).value_or(Json(0.0)).get<double>();
  release_earlier(folder.storage(), Trials::Search, folder.path(), folder.worker(), settings.seed,
                  session.options.progress);
  session.study = collect(folder.storage());
  // Of candidates that other machines finished meanwhile, or all of them in a new folder.
  if (folder.is_shared())
    for (const TrialResult& trial : session.study.trials) {
      const fs::path place = folder.path() / trial_folder(trial.number);
      const bool is_whole =
          fs::exists(place / "result.json") && (trial.file.empty() || fs::exists(place / "weights.retort"));
      if (trial.outcome != Outcome::Infeasible && !is_whole)
        get_files(folder.storage(), folder.storage().trial(trial.number), folder.path(),
                  trial_folder(trial.number));
    }
  const std::vector<TrialResult> refused = refused_with_room(session);
  if (!refused.empty() || more_to_do(session)) {
    // First: a finished search would leave alone what waits.
    folder.put_document(kFinalistPlanKey, nullptr);
    folder.put_document(kFinalistsKey, nullptr);
    for (const TrialResult& trial : refused) {
      keep([&] { folder.storage().retry(trial.number, to_ending(trial)); });
      run.progress.message(fmt::format("{} is tried again: there is more memory.", trial_name(trial.number)));
    }
    session.study = collect(folder.storage());
  }
  return proposals;
}

// `phase` tells the caller how far it came when it throws.
void run_phases(Session& session, std::vector<StoredProposal>& proposals, Phase& phase) {
  const SearchSettings& settings = session.settings;
  const bool explores = settings.exploration.epochs > 0;
  int boundary = session.folder.storage().trial_count();
  int teacher_epochs =
      session.folder.document(kTeacherEpochsKey).value_or(settings.teacher.epochs).get<int>();
  if (settings.seconds) {
    session.tell_time_left(std::max(session.seconds_left(), 0.0));
    if (!proposals.empty() && !explores) measure(session, proposals);
    teacher_epochs = decide_teacher_epochs(session);
  }
  if (!needs_teacher(settings)) teacher_epochs = 0;
  phase = Phase::Teacher;
  get_teacher(session.folder);
  session.teacher = prepare_teacher(session.folder, settings, teacher_epochs, session.dataset, session.split,
                                    session.memory, session.options);
  put_teacher(session);
  session.study.teacher = session.teacher.result;
  say_teacher(session.teacher, session.options.progress);
  session.study.seconds = session.seconds_spent();
  session.announce();

  compress::Curriculum& curriculum = session.pipeline.curriculum;
  if (!session.teacher.logits && curriculum == compress::Curriculum::Entropy)
    curriculum = compress::Curriculum::None;  // the time was too short for a teacher
  session.curriculum =
      curriculum_order(curriculum, session.split, session.teacher.logits ? &*session.teacher.logits : nullptr,
                       Rng(settings.seed));
  if (explores) {
    phase = Phase::Exploring;
    explore(session);
    boundary = session.folder.storage().trial_count();
    proposals.clear();
  }
  const bool chooses = explores && session.added(Effort::Full).empty();
  double confirmation_seconds = 0;
  if (chooses) {
    Contenders found = contenders(session);
    set_recipe(session, found.best);
    set_recipe(session, found.smaller);
    if (settings.seconds) {
      confirmation_seconds = decide_runs(session, std::move(found), proposals);
    } else {
      proposals = std::move(found.best);
      std::ranges::move(found.smaller, std::back_inserter(proposals));
    }
  }
  session.planned = static_cast<size_t>(boundary) + proposals.size();
  // A search that was freed of its time limit keeps to the epochs that it began with; one that was cut before its
  // structures were stored has begun nothing.
  const bool follows_plan = settings.seconds || (proposals.empty() && session.folder.document(kPlanKey));
  if (follows_plan && !chooses) confirmation_seconds = decide_candidates(session, proposals);
  publish_work(session, session.pipeline);
  if (!proposals.empty()) session.add_trials(Trials::Search, boundary, proposals);
  session.study.plan_json = plan_json(session.folder.storage());
  session.study.left_out = session.folder.storage().trial_count() - static_cast<int>(session.planned);
  session.announce();
  phase = Phase::Candidates;
  run_candidates(session, confirmation_seconds);
  phase = Phase::Finalists;
  run_finalists(session);
}

// On the way out with another error, which is the one to report.
void store_seconds_if_possible(Session& session) noexcept {
  try {
    session.store_seconds();
  } catch (const std::exception&) {
    return;
  }
}

StudyResult run(Session& session, RunStatus& status) {
  const Leadership lead(session.folder.storage(), session.folder.worker(), session.options.lease_seconds,
                        session.options.progress, session.options.stop);
  std::vector<StoredProposal> proposals = open_study(session);
  const bool is_finished = session.folder.document(kFinalistsKey).has_value();
  std::function<void()> note_seconds;  // a finished search takes no more
  if (!is_finished) note_seconds = [&session] { session.note_seconds(); };
  RunStatus::Publication publication(status, session.folder.storage(), std::move(note_seconds));
  if (is_finished) {
    if (session.folder.is_shared()) {
      get_teacher(session.folder);
      restore_finalists(session);
    }
    session.options.progress.message(
        session.settings.seconds
            ? session.study.left_out > 0
                  ? fmt::format("This search is finished: {} left out for lack of time; a longer --time "
                                "takes them up.",
                                format_counted(session.study.left_out, "structure was", "structures were"))
                  : "This search is finished: more time changes nothing, another folder begins a new one."
            : "This search is finished: nothing is left to do.");
    publication.set_end("done");
    return std::move(session.study);
  }
  Phase phase = Phase::Measuring;
  try {
    run_phases(session, proposals, phase);
  } catch (const Error& error) {
    store_seconds_if_possible(session);
    if (error.code() != ErrorCode::Interrupted) throw;
    publication.set_end("stopped");
    if (session.options.stopped) session.options.stopped(session.study);
    throw Error(ErrorCode::Interrupted,
                fmt::format("stopped {}; the same command goes on from here", where(phase, session)));
  } catch (...) {
    store_seconds_if_possible(session);
    throw;
  }
  publication.set_end("done");
  return std::move(session.study);
}

}  // namespace

StudyResult run_search(const SearchSettings& settings, const data::Dataset& dataset,
                       const RunOptions& options) {
  validate(settings);
  try {
    RunStatus status(options);
    const RunOptions watched = status.options();
    Session session(settings, dataset, watched);
    return run(session, status);
  } catch (const Json::exception& error) {
    throw_failure("{}: the study is damaged: {}", options.folder.string(), error.what());
  }
}

}  // namespace retort::search
