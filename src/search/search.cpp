#include "search/search.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "search/candidate_phase.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/explore_phase.h"
#include "search/finalist_phase.h"
#include "search/keep.h"
#include "search/pipeline.h"
#include "search/proposals.h"
#include "search/session.h"
#include "search/shared_work.h"
#include "search/study_folder.h"
#include "search/teacher.h"
#include "search/timed_plan.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

using nlohmann::json;

enum class Phase { Measuring, Teacher, Exploring, Candidates, Finalists };

// For the sentence of a search that was stopped.
std::string where(Phase phase, const StudyResult& study) {
  switch (phase) {
    case Phase::Measuring:
      return "while speed was measured";
    case Phase::Teacher:
      return "while the teacher was prepared";
    case Phase::Exploring:
      return fmt::format("with {} structures explored", study.trials.size());
    case Phase::Candidates:
      break;
    case Phase::Finalists:
      return "while the finalists were confirmed";
  }
  return fmt::format("with {} candidates finished", study.trials.size());
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
          ? fmt::format(", {} epochs in {}", result.history.epochs.size(), format_duration(result.seconds))
          : std::string()));
}

// Whether an exploration's candidates are stored already.
bool has_candidates(const study::Storage& storage) {
  return std::ranges::any_of(storage.trials(), [](const study::TrialRecord& record) {
    return from_stored(json::parse(record.proposal)).effort == Effort::Full;
  });
}

// Whether a finished search left out for lack of time what it has more time for now.
bool more_to_do(const Session& session) {
  const auto finalists = session.folder.document(kFinalistsKey);
  return finalists && has_more_time(session.settings, finalists->value("limit_seconds", json())) &&
         (session.study.left_out > 0 || finalists->value("missing_runs", 0) > 0);
}

// Opens or begins the study in the folder. The proposals of a search that has none stored yet.
std::vector<StoredProposal> open_study(Session& session) {
  const SearchSettings& settings = session.settings;
  const data::Dataset& dataset = session.dataset;
  StudyFolder& folder = session.folder;
  // A folder that holds another search is left as it is; one where nothing fits is left without a search.
  if (folder.document(kDescriptionKey))
    folder.describe(settings, dataset, session.options.command);
  else
    check_teacher(settings, dataset);
  std::vector<StoredProposal> proposals;
  if (folder.storage().trials().empty()) proposals = propose(settings, dataset, session.options.progress);
  folder.describe(settings, dataset, session.options.command);
  session.split = folder.split(settings, dataset);
  folder.put_document(kImagesKey, {{"train", session.split.train.size()},
                                   {"validation", session.split.validation.size()},
                                   {"test", session.test_indices().size()}});
  folder.put_document(kRangeKey, {{"low", dataset.range.low}, {"high", dataset.range.high}});
  session.earlier_seconds = folder.document(kSecondsKey).value_or(json(0.0)).get<double>();
  // Of an earlier run, which is gone.
  count_crash_marks(folder.storage(), folder.path(), folder.worker(), settings.seed);
  folder.storage().release(folder.worker());
  session.study = collect(folder.storage());
  // Of candidates that other machines finished meanwhile.
  if (!session.options.storage.url.empty())
    for (const study::TrialRecord& record : folder.storage().trials())
      if (study::is_finished(record.state))
        get_files(folder.storage(), record, folder.path() / trial_folder(record.number));
  if (more_to_do(session)) {
    folder.put_document(kFinalistPlanKey, nullptr);
    folder.put_document(kFinalistsKey, nullptr);
    session.study = collect(folder.storage());
  }
  return proposals;
}

// `phase` tells the caller how far it came when it throws.
void run_phases(Session& session, std::vector<StoredProposal>& proposals, Phase& phase) {
  const SearchSettings& settings = session.settings;
  const bool explores = settings.exploration.epochs > 0;
  int teacher_epochs =
      session.folder.document(kTeacherEpochsKey).value_or(settings.teacher.epochs).get<int>();
  if (settings.seconds) {
    session.tell_time_left(std::max(session.seconds_left(), 0.0));
    if (!proposals.empty() && !explores) measure(session, proposals);
    teacher_epochs = decide_teacher_epochs(session);
  }
  phase = Phase::Teacher;
  session.teacher = prepare_teacher(session.folder, settings, teacher_epochs, session.dataset, session.split,
                                    session.options);
  session.study.teacher = session.teacher.result;
  say_teacher(session.teacher, session.options.progress);
  session.store_seconds();

  compress::Curriculum& curriculum = session.pipeline.curriculum;
  if (!session.teacher.logits && curriculum == compress::Curriculum::Entropy)
    curriculum = compress::Curriculum::None;  // the time was too short for a teacher
  session.curriculum =
      curriculum_order(curriculum, session.split, session.teacher.logits ? &*session.teacher.logits : nullptr,
                       Rng(settings.seed));
  if (explores) {
    phase = Phase::Exploring;
    explore(session);
    proposals.clear();
    if (!has_candidates(session.folder.storage())) proposals = candidates_of_exploration(session);
  }
  session.planned = session.folder.storage().trials().size() + proposals.size();
  // A search that was freed of its time limit keeps to the epochs that it began with; one that was cut before its
  // structures were stored has begun nothing.
  const bool follows_plan = settings.seconds || (proposals.empty() && session.folder.document(kPlanKey));
  const double confirmation_seconds = follows_plan ? decide_candidates(session, proposals) : 0;
  publish_work(session, session.pipeline);
  if (!proposals.empty()) {
    study::Storage& storage = session.folder.storage();
    std::vector<study::NewTrial> trials;
    for (const StoredProposal& proposal : proposals) trials.push_back(to_new_trial(proposal, settings));
    keep([&] { storage.add_trials(static_cast<int>(storage.trials().size()), trials); });
  }
  session.study.plan_json = plan_json(session.folder.storage());
  session.study.left_out = static_cast<int>(session.folder.storage().trials().size() - session.planned);
  session.announce();
  phase = Phase::Candidates;
  run_candidates(session, confirmation_seconds);
  publish_end(session);
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

StudyResult run(Session& session) {
  std::vector<StoredProposal> proposals = open_study(session);
  if (session.folder.document(kFinalistsKey)) {
    session.options.progress.message(
        session.settings.seconds
            ? session.study.left_out > 0
                  ? fmt::format("This search is finished: {} structures were left out for lack of time; a "
                                "longer --time takes them up.",
                                session.study.left_out)
                  : "This search is finished: more time changes nothing, another folder begins a new one."
            : "This search is finished: nothing is left to do.");
    return session.study;
  }
  Phase phase = Phase::Measuring;
  try {
    run_phases(session, proposals, phase);
  } catch (const Error& error) {
    store_seconds_if_possible(session);
    if (error.code() != ErrorCode::Interrupted) throw;
    throw Error(ErrorCode::Interrupted,
                fmt::format("stopped {}; the same command goes on from here", where(phase, session.study)));
  } catch (...) {
    store_seconds_if_possible(session);
    throw;
  }
  return session.study;
}

}  // namespace

StudyResult run_search(const SearchSettings& settings, const data::Dataset& dataset,
                       const RunOptions& options) {
  validate(settings);
  try {
    Session session(settings, dataset, options);
    return run(session);
  } catch (const json::exception& error) {
    throw_failure("{}: the study is damaged: {}", options.folder.string(), error.what());
  }
}

}  // namespace retort::search
