#include "search/finalist_phase.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "base/parallel.h"
#include "base/units.h"
#include "search/candidates.h"
#include "search/finalists.h"
#include "search/keep.h"
#include "search/plan.h"
#include "search/search.h"
#include "search/timed_plan.h"
#include "search/workers.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// One of the top trials from another seed.
struct Job {
  int trial = 0;
  int run = 0;  // from 1; the search's own run is 0
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
  const json conditions = {{"top", session.study.top},
                           {"limit_seconds", settings.seconds ? json(*settings.seconds) : json()}};
  const json stored = session.folder.document(kFinalistPlanKey).value_or(json());
  if (stored.is_object() && stored.value("conditions", json()) == conditions) {
    for (const json& job : stored.at("jobs")) jobs.push_back({job.at(0), job.at(1)});
    return jobs;
  }
  std::vector<double> seconds;
  const double available = settings.seconds ? session.seconds_left() - closing_seconds(settings) : 0;
  bool full = false;
  for (const int trial : session.study.top) {
    for (int run = 1; run < settings.finalist_seeds && !full; ++run) {
      const Job job{trial, run};
      if (!session.folder.document(key_of(job))) {  // no run of before has done it
        seconds.push_back(1.03 * trial_of(session, trial).seconds);
        full = settings.seconds && makespan(seconds, session.workers) > available;
      }
      if (!full) jobs.push_back(job);
    }
  }
  // The longest first, so that none begins when the others end.
  std::ranges::stable_sort(jobs, std::greater<>(),
                           [&](const Job& job) { return trial_of(session, job.trial).seconds; });
  json document = json::array();
  for (const Job& job : jobs) document.push_back({job.trial, job.run});
  session.folder.put_document(kFinalistPlanKey, {{"conditions", conditions}, {"jobs", document}});
  return jobs;
}

// Where a job's files are, relative to the study's folder.
fs::path folder_of(const Session& session, const Job& job) {
  return trial_folder(job.trial) / fmt::format("seed-{}", seed_of(session, job));
}

// Trains one of them and stores what came of it.
void confirm(Session& session, const Job& job, const StoredProposal& proposal, const Context& context) {
  const uint64_t seed = seed_of(session, job);
  CandidateRun run{.trial = job.trial,
                   .seed = seed,
                   .name = fmt::format("trial {}, seed {}", job.trial, seed),
                   .file = folder_of(session, job),
                   .epochs = {},
                   .target = session.settings.target};
  for (const StageResult& stage : trial_of(session, job.trial).stages) run.epochs[stage.name] = stage.epochs;
  const TrialResult result = run_candidate(proposal, run, session.folder.path(), context);
  session.folder.put_document(key_of(job), result);
  tidy_up(session.folder.path() / run.file);
  const std::lock_guard lock(session.mutex);
  session.store_seconds();
  session.options.progress.message(
      result.outcome == Outcome::Complete
          ? fmt::format("{}: {:.4f} (int8, validation)", run.name, result.accuracy_int8)
          : fmt::format("{}: {}", run.name, result.reason));
}

void confirm_all(Session& session, const std::vector<Job>& jobs) {
  const std::vector<int>& top = session.study.top;
  std::map<int, StoredProposal> proposals;
  for (const study::TrialRecord& record : session.folder.storage().trials())
    if (std::ranges::find(top, record.number) != top.end())
      proposals.emplace(record.number, from_stored(json::parse(record.proposal)));
  if (!jobs.empty())
    session.options.progress.message(
        fmt::format("Confirming: {} more runs of the top {} with other seeds.", jobs.size(), top.size()));
  // They have passed the gate already.
  PipelineSettings pipeline = session.pipeline;
  std::erase(pipeline.stages, "gate");
  std::atomic<size_t> next = 0;
  on_workers(session.workers, session.options.stop, [&](const std::stop_token& stop) {
    const Context context = session.context(pipeline, stop);
    while (!stop.stop_requested()) {
      const size_t number = next++;
      if (number >= jobs.size()) break;
      const Job& job = jobs[number];
      if (session.folder.document(key_of(job))) {  // of an earlier run
        tidy_up(session.folder.path() / folder_of(session, job));
        continue;
      }
      if (!session.settings.seconds) session.tell_time_left(finalist_seconds(session, jobs.size() - number));
      confirm(session, job, proposals.at(job.trial), context);
    }
  });
}

FinalistRun run_of(const TrialResult& result) {
  return {.seed = result.seed,
          .validation_accuracy = result.accuracy_int8,
          .file = result.file,
          .accuracy_float = result.accuracy_float,
          .sparsity = result.sparsity};
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
  return finalists;
}

// What is chosen follows from validation alone; nothing is trained after this.
void read_test_set(Session& session, std::vector<Finalist>& finalists) {
  const data::ImageSet& images = session.split.test.empty() ? session.dataset.test : session.dataset.train;
  const std::vector<uint32_t> indices = session.test_indices();
  std::vector<FinalistRun*> runs;
  for (Finalist& finalist : finalists)
    for (FinalistRun& run : finalist.runs) runs.push_back(&run);
  parallel_for(runs.size(), 1, session.workers, [&](size_t i) {
    runs[i]->test_accuracy = int8_accuracy(read_file(session.folder.path() / runs[i]->file), images, indices,
                                           session.options.stop);
  });
  session.study.teacher.test_accuracy =
      teacher_test_accuracy(session.folder, images, indices, session.options);
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

}  // namespace

void run_finalists(Session& session) {
  const std::vector<Job> jobs = decide_jobs(session);
  confirm_all(session, jobs);

  StudyResult& study = session.study;
  std::vector<Finalist> finalists = gather(session, jobs);
  read_test_set(session, finalists);
  for (Finalist& finalist : finalists) summarise(finalist);
  rank(finalists);
  study.finalists = std::move(finalists);
  study.best = study.finalists.empty() ? -1 : study.finalists.front().trial;
  take_best_runs(study, session.folder.storage());
  write_best(session);
  session.folder.put_document(kTeacherKey, study.teacher);
  session.store_seconds();
  const size_t runs = study.top.size() * static_cast<size_t>(session.settings.finalist_seeds - 1);
  session.folder.put_document(
      kFinalistsKey, {{"finalists", study.finalists},
                      {"best", study.best},
                      {"limit_seconds", session.settings.seconds ? json(*session.settings.seconds) : json()},
                      {"missing_runs", runs - jobs.size()}});
  if (session.settings.seconds)
    session.options.progress.message(
        fmt::format("Took {} of {}: teacher {}, {} candidates, {} runs with other seeds.",
                    format_duration(study.seconds), format_duration(*session.settings.seconds),
                    format_duration(study.teacher.seconds + study.teacher.logits_seconds),
                    study.trials.size(), jobs.size()));
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
