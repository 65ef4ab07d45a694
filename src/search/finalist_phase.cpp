#include "search/finalist_phase.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/units.h"
#include "data/image_files.h"
#include "search/analysis.h"
#include "search/answers.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/explored.h"
#include "search/finalists.h"
#include "search/keep.h"
#include "search/leadership.h"
#include "search/mistakes.h"
#include "search/plan.h"
#include "search/search.h"
#include "search/shared_work.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// One of the top trials from another seed.
struct Job {
  int trial = 0;
  int run = 0;  // from 1; the search's own run is 0
  bool operator==(const Job&) const = default;
};

const TrialResult& trial_of(const Session& session, int number) {
  return *find_trial(session.study, number);
}
uint64_t seed_of(const Session& session, const Job& job) {
  return session.settings.seed + static_cast<uint64_t>(job.run);
}
std::string key_of(const Job& job) {
  return finalist_key(job.trial, job.run);
}

// Which of the top are trained again, and how often: as often as the settings say, or as a timed search has
// time for. Decided once for the same top and the same limit of time; what was trained for another is kept.
std::vector<Job> decide_jobs(Session& session) {
  const SearchSettings& settings = session.settings;
  std::vector<Job> jobs;
  const Json conditions = {{"top", session.study.top},
                           {"limit_seconds", settings.seconds ? Json(*settings.seconds) : Json()}};
  const Json stored = session.folder.document(kFinalistPlanKey).value_or(Json());
  if (stored.is_object() && stored.value("conditions", Json()) == conditions) {
    for (const Json& job : stored.at("jobs")) jobs.push_back({job.at(0), job.at(1)});
    return jobs;
  }
  std::vector<double> seconds;
  // A search is rather a little late than without a spread.
  constexpr double kLateShare = 0.04;
  const double available =
      settings.seconds ? session.seconds_left() - closing_seconds(settings) + kLateShare * *settings.seconds
                       : 0;
  bool full = false;
  for (const int trial : session.study.top) {
    for (int run = 1; run < settings.finalist_seeds && !full; ++run) {
      const Job job{trial, run};
      if (!session.folder.document(key_of(job))) {  // no run of before has done it
        seconds.push_back(trial_of(session, trial).seconds);
        full = settings.seconds && makespan(seconds, session.workers) > available;
      }
      if (!full) jobs.push_back(job);
    }
  }
  // The longest first, so that none begins when the others end.
  std::ranges::stable_sort(jobs, std::greater<>(),
                           [&](const Job& job) { return trial_of(session, job.trial).seconds; });
  Json document = Json::array();
  for (const Job& job : jobs) document.push_back({job.trial, job.run});
  session.folder.put_document(kFinalistPlanKey, {{"conditions", conditions}, {"jobs", document}});
  return jobs;
}

Job job_of(const Session& session, const CandidateRun& run) {
  return {run.trial, static_cast<int>(run.seed - session.settings.seed)};
}
CandidateRun training_run(const Session& session, const StoredProposal& stored) {
  return candidate_run(stored, 0, 0, session.settings.target);
}

// Runs that an earlier plan had, that nobody has begun, and that this one lacks.
void skip_outdated(Session& session, const std::vector<Job>& jobs) {
  study::Storage& runs = session.folder.storage_of(Trials::Confirmations);
  std::vector<study::Claim> kept;
  while (const auto claimed = runs.claim(session.folder.worker(), session.options.lease_seconds)) {
    const StoredProposal stored = proposal_of(claimed->trial);
    const CandidateRun run = training_run(session, stored);
    if (std::ranges::find(jobs, job_of(session, run)) != jobs.end()) {
      kept.push_back(claimed->claim);
      continue;
    }
    TrialResult skipped = failed_result(stored, run, "it is not among the best any more");
    skipped.outcome = Outcome::Skipped;
    runs.finish(claimed->claim, to_ending(skipped));
  }
  for (const study::Claim& claim : kept) runs.give_back(claim);
}

// The plan's runs become trials of the study beside the search's, but for those that are there or were done before
// they were trials.
void add_runs(Session& session, const std::vector<Job>& jobs) {
  study::Storage& runs = session.folder.storage_of(Trials::Confirmations);
  std::vector<Job> there;
  bool outdated = false;
  for (const study::TrialRecord& record : runs.trials({.results = false, .stages = study::Stages::None})) {
    const Job job = job_of(session, training_run(session, proposal_of(record)));
    if (record.state != study::TrialState::Skipped) there.push_back(job);
    const bool waits = record.state == study::TrialState::Waiting;
    outdated = outdated || (waits && std::ranges::find(jobs, job) == jobs.end());
  }
  if (outdated) skip_outdated(session, jobs);
  const int boundary = runs.trial_count();
  std::vector<StoredProposal> added;
  for (const Job& job : jobs) {
    if (session.folder.document(key_of(job)) || std::ranges::find(there, job) != there.end()) continue;
    StoredProposal stored = proposal_of(session.folder.storage().trial(job.trial));
    Confirmation confirms{.trial = job.trial, .seed = seed_of(session, job), .epochs = {}};
    for (const StageResult& stage : trial_of(session, job.trial).stages)
      confirms.epochs[stage.name] = stage.epochs;
    stored.confirms = std::move(confirms);
    added.push_back(std::move(stored));
  }
  if (!added.empty()) session.add_trials(Trials::Confirmations, boundary, added);
}

void confirm_all(Session& session, const std::vector<Job>& jobs) {
  session.options.progress.message(fmt::format("Confirming: {} of the top {} with other seeds.",
                                               format_counted(static_cast<int64_t>(jobs.size()), "more run"),
                                               session.study.top.size()));
  // They have passed the gate already.
  PipelineSettings pipeline = session.pipeline;
  std::erase(pipeline.stages, "gate");
  const Leadership lead(session.folder.storage_of(Trials::Confirmations), session.folder.worker(),
                        session.options.lease_seconds, session.options.progress, session.options.stop);
  release_earlier(session.folder.storage_of(Trials::Confirmations), Trials::Confirmations,
                  session.folder.path(), session.folder.worker(), session.settings.seed,
                  session.options.progress);
  publish_work(session, pipeline, Trials::Confirmations);
  keep([&] { add_runs(session, jobs); });
  auto left =
      std::ranges::count_if(jobs, [&](const Job& job) { return !session.folder.document(key_of(job)); });
  const auto tell_time = [&] {
    if (!session.settings.seconds && left > 0)
      session.tell_time_left(finalist_seconds(session, static_cast<size_t>(left)));
  };
  tell_time();
  size_t done = jobs.size() - static_cast<size_t>(left);
  const auto tell = [&] {
    session.options.progress.update("finalists", static_cast<double>(done), static_cast<double>(jobs.size()),
                                    {});
  };
  tell();
  TrialLoop loop{.pipeline = pipeline, .trials = Trials::Confirmations};
  loop.finished = [&](const StoredProposal& stored, const TrialResult& result) {
    const CandidateRun run = training_run(session, stored);
    tidy_up(session.folder.path() / run.file);
    const Job job = job_of(session, run);
    if (session.folder.document(key_of(job)) || result.outcome == Outcome::Skipped) return;  // no news
    session.folder.put_document(key_of(job), result);
    --left;
    ++done;
    tell_time();
    tell();
    const std::lock_guard lock(session.mutex);
    session.study.seconds = session.seconds_spent();
    session.options.progress.message(
        result.outcome == Outcome::Complete
            ? fmt::format("{}: {:.4f} (int8, validation)", run.name, result.accuracy_int8)
            : fmt::format("{}: {}", run.name, result.reason));
  };
  run_trials(session, loop);
}

// Of an exploration's candidates those that no other of them beats, the top apart: smaller ones. They are finalists by the
// run that they have.
std::vector<Finalist> rest_of_front(const Session& session) {
  std::vector<Finalist> finalists;
  if (session.settings.exploration.epochs == 0) return finalists;
  for (const int number : pareto_front(trials_of(session, Effort::Full)))
    if (std::ranges::find(session.study.top, number) == session.study.top.end())
      finalists.push_back({.trial = number, .runs = {run_of(trial_of(session, number))}});
  return finalists;
}

// The top trials with all their runs that have a model.
std::vector<Finalist> gather(const Session& session, const std::vector<Job>& jobs) {
  std::vector<Finalist> finalists;
  for (const int number : session.study.top) {
    Finalist finalist;
    finalist.trial = number;
    finalist.runs.push_back(run_of(trial_of(session, number)));
    for (int run = 1; run < session.settings.finalist_seeds; ++run)
      for (const Job& job : jobs)
        if (job.trial == number && job.run == run)
          if (const auto stored = session.folder.document(key_of(job));
              stored && !stored->at("file").get<std::string>().empty())
            finalist.runs.push_back(run_of(*stored));
    finalists.push_back(std::move(finalist));
  }
  std::ranges::move(rest_of_front(session), std::back_inserter(finalists));
  return finalists;
}

// Of the teacher, for some of the training set's images as they are.
Answers teacher_answers(const engine::TeacherLogits& logits, std::span<const uint32_t> indices) {
  Answers answers{.classes = logits.classes, .indices = {indices.begin(), indices.end()}};
  for (const uint32_t index : indices) {
    const std::vector<float> row = softmax(logits.row(index));
    answers.guesses.push_back(static_cast<int>(std::ranges::max_element(row) - row.begin()));
    answers.probabilities.insert(answers.probabilities.end(), row.begin(), row.end());
  }
  return answers;
}

// What is chosen follows from validation alone; nothing is trained after this. The first finalist's best run is
// the model that is exported: its answers are kept in the folder for the report.
void read_test_set(Session& session, std::vector<Finalist>& finalists) {
  const data::ImageSet& images = session.split.test.empty() ? session.dataset.test : session.dataset.train;
  const std::vector<uint32_t> indices = session.test_indices();
  std::vector<FinalistRun*> runs;
  for (Finalist& finalist : finalists)
    for (FinalistRun& run : finalist.runs) runs.push_back(&run);
  const FinalistRun* exported =
      finalists.empty() ? nullptr : &finalists[0].runs.at(static_cast<size_t>(finalists[0].best_run));
  Analysis analysis;
  parallel_for(runs.size(), 1, session.workers, [&](size_t i) {
    const Answers answers =
        int8_answers(read_file(session.folder.path() / runs[i]->file), images, indices, session.options.stop);
    runs[i]->test_accuracy = answers.accuracy;
    if (runs[i] == exported) analysis.mistakes = find_mistakes(answers, images);
  });
  session.study.teacher.test_accuracy =
      teacher_test_accuracy(session.folder, images, indices, session.options);
  if (exported == nullptr) return;
  analysis.trial = finalists[0].trial;
  analysis.seed = exported->seed;
  const data::ImageFiles files = data::image_files(session.dataset);
  name_files(analysis.mistakes.most_confident, session.split.test.empty() ? files.test : files.train);
  if (session.teacher.logits) {
    const data::ImageSet& labelled = session.dataset.train;
    const auto doubt = [&](std::span<const uint32_t> part) {
      DoubtedLabels doubted = doubt_labels(teacher_answers(*session.teacher.logits, part), labelled);
      name_files(doubted.most, files.train);
      return doubted;
    };
    analysis.labels = {.validation = doubt(session.split.validation), .train = doubt(session.split.train)};
  }
  keep([&] { save_analysis(session.folder.path(), analysis); });
}

// With validation images as golden inputs of the C code.
void write_best(const Session& session) {
  if (session.study.best < 0) return;
  const data::ImageSet& images = session.dataset.train;
  const auto take = [&](uint32_t index) {
    const auto image = images.image(index);
    return deploy::ExampleImage{{image.begin(), image.end()}, images.labels[index]};
  };
  keep([&] {
    const fs::path& folder = session.folder.path();
    write_model(session.study, folder, session.study.best, folder / "best",
                deploy::example_images(session.split.validation, take));
  });
}

// "20 structures explored, 6 heats, 2 candidates, 1 finalist": how far how many came; what did not fit was not trained.
std::string trained_text(const StudyResult& study) {
  const auto count = [&](Effort effort) {
    return std::ranges::count_if(study.trials, [&](const TrialResult& trial) {
      return trial.effort == effort && trial.outcome != Outcome::Infeasible;
    });
  };
  std::string text;
  const auto add = [&](Effort effort, std::string_view one, std::string_view more) {
    if (const auto number = count(effort); number > 0) text += format_counted(number, one, more) + ", ";
  };
  add(Effort::Explore, "structure explored", "structures explored");
  add(Effort::Heat, "heat", "heats");
  add(Effort::Recipe, "recipe", "recipes");
  return text + fmt::format("{}, {}", format_counted(count(Effort::Full), "candidate"),
                            format_counted(static_cast<int64_t>(study.finalists.size()), "finalist"));
}

}  // namespace

void restore_finalists(Session& session) {
  const study::Storage& runs = session.folder.storage_of(Trials::Confirmations);
  for (const study::TrialRecord& record : runs.trials({.results = false}))
    if (study::is_finished(record.state))
      keep([&] {
        get_files(runs, record, session.folder.path(), training_run(session, proposal_of(record)).file);
      });
  if (!fs::exists(session.folder.path() / "best" / "model.json")) write_best(session);
}

void run_finalists(Session& session) {
  const std::vector<Job> jobs = decide_jobs(session);
  if (jobs.empty())
    session.options.progress.update("finalists", 1, 1, {});  // the phase has come, with nothing to train
  else
    confirm_all(session, jobs);
  publish_end(session);

  StudyResult& study = session.study;
  const size_t wanted = study.top.size() * static_cast<size_t>(session.settings.finalist_seeds - 1);
  std::vector<Finalist> finalists = gather(session, jobs);
  for (Finalist& finalist : finalists) summarise(finalist);
  rank(finalists);
  read_test_set(session, finalists);
  for (Finalist& finalist : finalists) summarise(finalist);  // the test set's figures, too
  study.finalists = std::move(finalists);
  study.best = study.finalists.empty() ? -1 : study.finalists.front().trial;
  take_best_runs(study, session.folder.storage());
  write_best(session);
  session.folder.put_document(kTeacherKey, study.teacher);
  session.store_seconds();
  session.folder.put_document(
      kFinalistsKey, {{"finalists", study.finalists},
                      {"best", study.best},
                      {"limit_seconds", session.settings.seconds ? Json(*session.settings.seconds) : Json()},
                      {"missing_runs", wanted - jobs.size()}});
  if (session.settings.seconds)
    session.options.progress.message(
        fmt::format("Took {} of {}: teacher {}, {}, {} with other seeds.", format_duration(study.seconds),
                    format_duration(*session.settings.seconds),
                    format_duration(study.teacher.seconds + study.teacher.logits_seconds),
                    trained_text(study), format_counted(static_cast<int64_t>(jobs.size()), "run")));
  session.announce();
}

double finalist_seconds(Session& session, size_t runs) {
  const std::lock_guard lock(session.mutex);
  double total = 0;
  size_t complete = 0;
  for (const TrialResult& trial : session.study.trials) {
    if (trial.outcome != Outcome::Complete) continue;
    total += trial.seconds;
    ++complete;
  }
  if (complete == 0) return 0;
  return makespan(std::vector<double>(runs, total / static_cast<double>(complete)), session.workers);
}

}  // namespace retort::search
