#include "search/search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/units.h"
#include "graph/notebook.h"
#include "search/candidates.h"
#include "search/finalists.h"
#include "search/keep.h"
#include "search/pipeline.h"
#include "search/plan.h"
#include "search/sampler.h"
#include "search/study_folder.h"
#include "search/teacher.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

// A timed search aims at this share of its time, and keeps some of the rest for reading the test set and
// reporting.
constexpr double kAim = 0.97;
constexpr double kClosingShare = 0.02;
// Time for measuring one network's speed.
constexpr double kMeasureSeconds = 0.25;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

study::TrialState state_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Complete:
      return study::TrialState::Complete;
    case Outcome::Skipped:
      return study::TrialState::Skipped;
    case Outcome::Infeasible:
      return study::TrialState::Infeasible;
    case Outcome::Failed:
      break;
  }
  return study::TrialState::Failed;
}

// How far a structure is above its limits: the largest ratio, and every limit that it breaks in words.
struct Excess {
  double ratio = 0;
  std::string reason;
};
Excess excess(const TrialResult& costs, const Limits& limits) {
  Excess result;
  const auto compare = [&result](std::string_view what, int64_t value, const std::optional<int64_t>& limit) {
    if (!limit || value <= *limit) return;
    result.ratio = std::max(result.ratio, static_cast<double>(value) / static_cast<double>(*limit));
    if (!result.reason.empty()) result.reason += ", ";
    result.reason +=
        fmt::format("{} {} where {} are allowed", format_integer(value), what, format_integer(*limit));
  };
  compare("bytes of flash", costs.flash_bytes, limits.flash_bytes);
  compare("bytes of arena", costs.arena_bytes_cortex_m4, limits.arena_bytes);
  compare("multiply-accumulates", costs.macs, limits.macs);
  return result;
}

std::map<std::string, int, std::less<>> stage_epochs(const StageEpochs& epochs) {
  return {{"quick", epochs.quick},
          {"distill", epochs.distill},
          {"prune", epochs.prune},
          {"quantize", epochs.qat}};
}

std::map<std::string, int, std::less<>> stage_epochs(const std::vector<StageResult>& stages) {
  std::map<std::string, int, std::less<>> epochs;
  for (const StageResult& stage : stages) epochs[stage.name] = stage.epochs;
  return epochs;
}

class Search {
 public:
  Search(const SearchSettings& settings, const data::Dataset& dataset, const RunOptions& options)
      : settings_(settings),
        pipeline_(settings.pipeline),
        dataset_(dataset),
        options_(options),
        workers_(options.workers > 0 ? options.workers : available_cores()),
        folder_(options.folder) {}

  StudyResult run() {
    // A folder that holds another search is left as it is; one where nothing fits is left without a search.
    if (folder_.document(kDescriptionKey))
      folder_.describe(settings_, dataset_, options_.command);
    else
      check_teacher(settings_, dataset_);
    std::vector<StoredProposal> proposals;
    if (folder_.storage().trials().empty()) proposals = propose();
    folder_.describe(settings_, dataset_, options_.command);
    split_ = folder_.split(settings_, dataset_);
    folder_.put_document(kImagesKey, {{"train", split_.train.size()},
                                      {"validation", split_.validation.size()},
                                      {"test", test_indices().size()}});
    folder_.put_document(kRangeKey, {{"low", dataset_.range.low}, {"high", dataset_.range.high}});
    earlier_seconds_ = folder_.document(kSecondsKey).value_or(json(0.0)).get<double>();
    folder_.storage().release_running();
    study_ = collect(folder_.storage());
    if (folder_.document(kFinalistsKey)) {
      options_.progress.message(
          settings_.seconds
              ? "This search is finished: more time changes nothing, another folder begins a new one."
              : "This search is finished: nothing is left to do.");
    } else {
      try {
        search(proposals);
      } catch (const Error& error) {
        store_seconds_if_possible();
        if (error.code() != ErrorCode::Interrupted) throw;
        throw Error(ErrorCode::Interrupted,
                    fmt::format("stopped {}; the same command goes on from here", where()));
      } catch (...) {
        store_seconds_if_possible();
        throw;
      }
    }
    return study_;
  }

 private:
  // ---- what is tried
  // -----------------------------------------------------------------------------------------------

  // Every structure of the space with its costs. Error(Infeasible) when none fits.
  std::vector<StoredProposal> propose() {
    const auto sampler =
        make_sampler(settings_, input_shape(dataset_), static_cast<int>(dataset_.classes.size()));
    std::vector<StoredProposal> proposals;
    // A timed search chooses among all of them; else the first ones that fit are taken.
    const size_t most =
        settings_.trials && !settings_.seconds ? static_cast<size_t>(*settings_.trials) : SIZE_MAX;
    size_t fitting = 0;
    double nearest_ratio = 0;
    std::string nearest;
    while (fitting < most) {
      auto proposal = sampler->propose({});
      if (!proposal) break;
      StoredProposal stored;
      stored.proposal = std::move(*proposal);
      set_costs(stored.costs,
                cost::analyze(stored.proposal.graph, {.ends = pipeline_.ends, .classes = dataset_.classes}));
      const Excess over = excess(stored.costs, settings_.limits);
      stored.infeasible = over.reason;
      if (over.reason.empty()) {
        ++fitting;
      } else if (nearest.empty() || over.ratio < nearest_ratio) {
        nearest_ratio = over.ratio;
        nearest = fmt::format("{}: {}", stored.proposal.config, over.reason);
      }
      proposals.push_back(std::move(stored));
    }
    if (proposals.empty())
      throw_usage("images of {}×{} are too small for every structure of this search",
                  dataset_.train.shape.height, dataset_.train.shape.width);
    if (fitting == 0)
      throw Error(ErrorCode::Infeasible,
                  fmt::format("none of {} structures fits the limits; the nearest miss is {}",
                              proposals.size(), nearest));
    std::string words = fmt::format("{} different structures", proposals.size());
    if (fitting < proposals.size()) words += fmt::format(", {} of them within the limits", fitting);
    if (sampler->duplicates() > 0)
      words += fmt::format(" ({} more configurations make one of these networks)", sampler->duplicates());
    if (sampler->unbuildable() > 0) words += fmt::format(" ({} can't be built)", sampler->unbuildable());
    options_.progress.message(words + ".");
    return proposals;
  }

  // ---- the order of things
  // -----------------------------------------------------------------------------------------

  void search(std::vector<StoredProposal>& proposals) {
    if (settings_.seconds) {
      const double left = std::max(*settings_.seconds - earlier_seconds_, 0.0);
      deadline_ = start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left));
      tell_time_left(left);
    }
    int teacher_epochs = settings_.teacher.epochs;
    if (settings_.seconds) {
      if (!proposals.empty()) measure(proposals);
      teacher_epochs = timed_teacher_epochs();
    }
    phase_ = Phase::Teacher;
    teacher_ = prepare_teacher(folder_, settings_, teacher_epochs, dataset_, split_, options_);
    study_.teacher = teacher_.result;
    say_teacher();
    store_seconds();

    if (settings_.seconds) plan(proposals);
    if (!proposals.empty()) {
      std::vector<std::string> texts;
      for (const StoredProposal& proposal : proposals) texts.push_back(to_stored(proposal).dump());
      keep([&] { folder_.storage().add_trials(texts); });
    }
    if (!teacher_.logits && pipeline_.curriculum == compress::Curriculum::Entropy)
      pipeline_.curriculum = compress::Curriculum::None;  // the time was too short for a teacher
    curriculum_ = curriculum_order(pipeline_.curriculum, split_,
                                   teacher_.logits ? &*teacher_.logits : nullptr, Rng(settings_.seed));
    study_.plan_json = plan_json(folder_.storage());
    announce();
    phase_ = Phase::Candidates;
    run_candidates();
    phase_ = Phase::Finalists;
    run_finalists();
  }

  // For the sentence of a search that was stopped.
  [[nodiscard]] std::string where() const {
    switch (phase_) {
      case Phase::Measuring:
        return "while speed was measured";
      case Phase::Teacher:
        return "while the teacher was prepared";
      case Phase::Candidates:
        break;
      case Phase::Finalists:
        return "while the finalists were confirmed";
    }
    return fmt::format("with {} candidates finished", study_.trials.size());
  }

  void say_teacher() {
    if (!teacher_.logits) {
      options_.progress.message("No teacher: students learn from the labels alone.");
      return;
    }
    options_.progress.message(fmt::format(
        "Teacher ({}): {:.2f}% on validation{}.", teacher_.result.source,
        teacher_.result.validation_accuracy * 100,
        teacher_.result.seconds > 0 ? fmt::format(", {} epochs in {}", teacher_.result.history.epochs.size(),
                                                  format_duration(teacher_.result.seconds))
                                    : std::string()));
  }

  // ---- time
  // --------------------------------------------------------------------------------------------------------

  [[nodiscard]] double seconds_left() const {
    return std::chrono::duration<double>(deadline_ - Clock::now()).count();
  }

  void measure(std::vector<StoredProposal>& proposals) {
    options_.progress.message(fmt::format("Measuring the speed of {} networks.", proposals.size()));
    // As many at once as will train at once: they share the machine's caches and memory.
    parallel_for(proposals.size(), 1, workers_, [&](size_t i) {
      if (!proposals[i].infeasible.empty() || options_.stop.stop_requested()) return;
      proposals[i].epoch_seconds = measure_speed(proposals[i].proposal.graph, options_.backend,
                                                 pipeline_.batch_size, 1, dataset_, kMeasureSeconds)
                                       .epoch(split_);
    });
    if (options_.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  }

  // Decided once for the study, so that a resumed teacher's schedule is the same.
  int timed_teacher_epochs() {
    if (settings_.teacher.kind != TeacherKind::Train) return 0;
    if (const auto stored = folder_.document(kTeacherEpochsKey)) return stored->get<int>();
    const graph::Graph graph = teacher_network(settings_.teacher, dataset_);
    const int threads = options_.teacher_threads > 0 ? options_.teacher_threads : available_cores();
    const double epoch = measure_speed(graph, options_.backend, settings_.teacher.batch_size, threads,
                                       dataset_, 2 * kMeasureSeconds)
                             .epoch(split_);
    const int epochs = plan_teacher_epochs(settings_.teacher, epoch, *settings_.seconds);
    folder_.put_document(kTeacherEpochsKey, epochs);
    if (epochs == 0)
      options_.progress.message(fmt::format("Plan: no teacher, one epoch of it would take {} of {}.",
                                            format_duration(epoch), format_duration(*settings_.seconds)));
    else
      options_.progress.message(fmt::format("Plan: {} for the teacher ({} epochs of {}).",
                                            format_duration(epochs * epoch), epochs, format_duration(epoch)));
    return epochs;
  }

  // Chooses among the proposals, or takes up the plan of an earlier run.
  void plan(std::vector<StoredProposal>& proposals) {
    CandidatePlan plan;
    if (const auto stored = folder_.document(kPlanKey); stored && proposals.empty()) {
      plan.epochs = {.quick = stored->at("quick"),
                     .distill = stored->at("distill"),
                     .prune = stored->at("prune"),
                     .qat = stored->at("quantize")};
      reserve_seconds_ = stored->at("confirmation_seconds");
    } else {
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
      const double closing = kClosingShare * *settings_.seconds;
      const double available = kAim * (seconds_left() - closing);
      plan = plan_candidates(epoch_seconds, settings_, available, workers_);
      for (const size_t index : plan.chosen) chosen.push_back(std::move(fitting[index]));
      proposals = std::move(chosen);
      reserve_seconds_ = plan.confirmation_seconds;
      json document = stage_epochs(plan.epochs);
      document["confirmation_seconds"] = reserve_seconds_;
      document["predicted_seconds"] = plan.seconds;
      folder_.put_document(kPlanKey, document);
      options_.progress.message(fmt::format(
          "Plan: {} of {} structures, {} epochs each (quick {}, distil {}, prune {}, quantise {}), and other "
          "seeds for the best: {} of the {} that are left.",
          plan.chosen.size(), fitting.size(), plan.epochs.total(), plan.epochs.quick, plan.epochs.distill,
          plan.epochs.prune, plan.epochs.qat, format_duration(plan.seconds),
          format_duration(std::max(seconds_left(), 0.0))));
    }
    pipeline_.quick_epochs = plan.epochs.quick;
    pipeline_.distill_epochs = plan.epochs.distill;
    pipeline_.prune_epochs = plan.epochs.prune;
    pipeline_.qat_epochs = plan.epochs.qat;
  }

  // ---- candidates
  // --------------------------------------------------------------------------------------------------

  [[nodiscard]] Context context(const PipelineSettings& settings, std::stop_token stop) {
    return {.dataset = dataset_,
            .split = split_,
            .settings = settings,
            .teacher = teacher_.logits ? &*teacher_.logits : nullptr,
            .curriculum = curriculum_,
            .backend = options_.backend,
            .progress = options_.progress,
            .stop = std::move(stop)};
  }

  // Calls job(stop) on `workers_` threads. The first error stops the others and is rethrown; a stop by the
  // user becomes Error(Interrupted).
  template <typename Job>
  void on_workers(const Job& job) {
    std::stop_source stop;
    const std::stop_callback forward(options_.stop, [&stop] { stop.request_stop(); });
    std::mutex mutex;
    std::exception_ptr first;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < workers_; ++i)
        threads.emplace_back([&] {
          try {
            job(stop.get_token());
          } catch (const Error& error) {
            const std::lock_guard lock(mutex);
            if (error.code() != ErrorCode::Interrupted && !first) first = std::current_exception();
            stop.request_stop();
          } catch (...) {
            const std::lock_guard lock(mutex);
            if (!first) first = std::current_exception();
            stop.request_stop();
          }
        });
    }
    if (first) std::rethrow_exception(first);
    if (options_.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  }

  void run_candidates() {
    study::Storage& storage = folder_.storage();
    const std::vector<study::TrialRecord> records = storage.trials();
    const double reserve = reserve_seconds_ + kClosingShare * settings_.seconds.value_or(0);
    Pacer pacer(deadline_, reserve, workers_);  // without a time limit it only estimates what is left
    for (const study::TrialRecord& record : records) {
      // A run that died after storing the result left what only an unfinished candidate needs.
      if (study::is_finished(record.state)) {
        tidy_up(folder_.path() / trial_folder(record.number));
        continue;
      }
      const StoredProposal stored = from_stored(json::parse(record.proposal));
      if (!stored.infeasible.empty()) continue;
      auto epochs = stage_epochs(scaled_epochs(pipeline_, 1));
      for (const study::StageRecord& stage : record.stages) epochs.erase(stage.name);
      std::erase_if(epochs, [](const auto& stage) { return stage.second == 0; });  // what the pipeline lacks
      const double epoch = settings_.seconds ? stored.epoch_seconds : static_cast<double>(stored.costs.macs);
      pacer.add(trial_name(record.number), epoch, epochs);
    }
    const size_t total = records.size();
    const auto estimate = [&] {
      if (settings_.seconds) return;
      if (const auto needed = pacer.seconds_needed())
        tell_time_left(*needed + finalist_seconds(std::min(static_cast<size_t>(settings_.top), total) *
                                                  static_cast<size_t>(settings_.finalist_seeds - 1)));
    };
    if (study_.trials.size() < total) tell_finished_candidates(total);
    on_workers([&](const std::stop_token& stop) {
      Context context = this->context(pipeline_, stop);
      if (settings_.seconds) {
        context.epochs = [&](const Candidate& candidate, std::string_view stage, int epochs) {
          return pacer.begin(candidate.name, stage, epochs);
        };
      }
      while (!stop.stop_requested()) {
        const auto record = keep([&] { return storage.claim(); });
        if (!record) break;
        context.stage_finished = [&](const Candidate& candidate) {
          const StageResult& stage = candidate.stages.back();
          keep([&] { storage.put_stage(record->number, {stage.name, json(stage).dump()}); });
          pacer.end(candidate.name, stage.name, static_cast<int>(stage.history.epochs.size()), stage.seconds);
          estimate();
        };
        const CandidateRun run{.trial = record->number,
                               .seed = settings_.seed,
                               .name = trial_name(record->number),
                               .file = trial_folder(record->number),
                               .epochs = {}};
        const TrialResult result =
            run_candidate(from_stored(json::parse(record->proposal)), run, folder_.path(), context);
        keep([&] { storage.finish(record->number, state_of(result.outcome), json(result).dump()); });
        tidy_up(folder_.path() / run.file);
        pacer.remove(run.name);
        finished(result, total);
        estimate();
      }
    });
  }

  // What so many runs of finalists take, by the completed candidates' mean.
  [[nodiscard]] double finalist_seconds(size_t runs) {
    const std::lock_guard lock(mutex_);
    double total = 0;
    size_t complete = 0;
    for (const TrialResult& trial : study_.trials) {
      if (trial.outcome != Outcome::Complete) continue;
      total += trial.seconds;
      ++complete;
    }
    if (complete == 0) return 0;
    return makespan(std::vector<double>(runs, total / static_cast<double>(complete)), workers_);
  }

  void tell_time_left(double seconds) {
    if (options_.time_left) options_.time_left(seconds);
  }

  // A stored trial is announced.
  void finished(const TrialResult& result, size_t total) {
    const std::lock_guard lock(mutex_);
    study_.trials.push_back(result);
    std::ranges::sort(study_.trials, {}, &TrialResult::number);
    study_.top = rank_trials(study_.trials, settings_.top);
    store_seconds();
    options_.progress.message(printed_block(result));
    tell_finished_candidates(total);
    announce();
  }

  void tell_finished_candidates(size_t total) {
    options_.progress.update("candidates", static_cast<double>(study_.trials.size()),
                             static_cast<double>(total), {});
  }

  // ---- finalists
  // ---------------------------------------------------------------------------------------------------

  struct FinalistJob {
    int trial = 0;
    int run = 0;
  };

  // Which of the top are trained again, and how often; decided once.
  std::vector<FinalistJob> finalist_jobs() {
    std::vector<FinalistJob> jobs;
    if (const auto stored = folder_.document(kFinalistPlanKey)) {
      for (const json& job : *stored) jobs.push_back({job.at(0), job.at(1)});
      return jobs;
    }
    std::vector<double> seconds;
    const double available = settings_.seconds ? seconds_left() - kClosingShare * *settings_.seconds : 0;
    bool full = false;
    for (const int trial : study_.top) {
      for (int run = 1; run < settings_.finalist_seeds && !full; ++run) {
        seconds.push_back(1.03 * find_trial(trial).seconds);
        full = settings_.seconds && makespan(seconds, workers_) > available;
        if (!full) jobs.push_back({trial, run});
      }
    }
    // The longest first, so that none begins when the others end.
    std::ranges::stable_sort(jobs, std::greater<>(),
                             [&](const FinalistJob& job) { return find_trial(job.trial).seconds; });
    json document = json::array();
    for (const FinalistJob& job : jobs) document.push_back({job.trial, job.run});
    folder_.put_document(kFinalistPlanKey, document);
    return jobs;
  }

  [[nodiscard]] uint64_t seed_of(const FinalistJob& job) const {
    return settings_.seed + static_cast<uint64_t>(job.run);
  }
  [[nodiscard]] fs::path finalist_folder(const FinalistJob& job) const {
    return trial_folder(job.trial) / fmt::format("seed-{}", seed_of(job));
  }
  static std::string run_key(const FinalistJob& job) {
    return fmt::format("finalist/{}/{}", job.trial, job.run);
  }

  void run_finalists() {
    const std::vector<FinalistJob> jobs = finalist_jobs();
    std::map<int, StoredProposal> proposals;
    for (const study::TrialRecord& record : folder_.storage().trials())
      if (std::ranges::find(study_.top, record.number) != study_.top.end())
        proposals.emplace(record.number, from_stored(json::parse(record.proposal)));
    if (!jobs.empty())
      options_.progress.message(fmt::format("Confirming: {} more runs of the top {} with other seeds.",
                                            jobs.size(), study_.top.size()));
    // They have passed the gate already.
    PipelineSettings pipeline = pipeline_;
    std::erase(pipeline.stages, "gate");
    size_t next = 0;
    on_workers([&](const std::stop_token& stop) {
      const Context context = this->context(pipeline, stop);
      while (!stop.stop_requested()) {
        FinalistJob job;
        size_t job_number = 0;
        {
          const std::lock_guard lock(mutex_);
          if (next == jobs.size()) break;
          job_number = next;
          job = jobs[next++];
        }
        if (folder_.document(run_key(job))) {
          tidy_up(folder_.path() / finalist_folder(job));
          continue;
        }
        if (!settings_.seconds) tell_time_left(finalist_seconds(jobs.size() - job_number));
        const uint64_t seed = seed_of(job);
        const CandidateRun run{.trial = job.trial,
                               .seed = seed,
                               .name = fmt::format("trial {}, seed {}", job.trial, seed),
                               .file = finalist_folder(job),
                               .epochs = stage_epochs(find_trial(job.trial).stages)};
        const TrialResult result = run_candidate(proposals.at(job.trial), run, folder_.path(), context);
        const FinalistRun stored{.seed = seed,
                                 .validation_accuracy = result.accuracy_int8,
                                 .file = result.file,
                                 .accuracy_float = result.accuracy_float,
                                 .sparsity = result.sparsity};
        folder_.put_document(run_key(job), stored);
        tidy_up(folder_.path() / run.file);
        const std::lock_guard lock(mutex_);
        store_seconds();
        options_.progress.message(
            result.outcome == Outcome::Complete
                ? fmt::format("{}: {:.4f} (int8, validation)", run.name, result.accuracy_int8)
                : fmt::format("{}: {}", run.name, result.reason));
      }
    });
    conclude(jobs);
  }

  // Every choice is made: the test set is read, the best model written.
  void conclude(const std::vector<FinalistJob>& jobs) {
    std::vector<Finalist> finalists;
    for (const int number : study_.top) {
      const TrialResult& trial = find_trial(number);
      Finalist finalist;
      finalist.trial = number;
      finalist.runs.push_back({.seed = trial.seed,
                               .validation_accuracy = trial.accuracy_int8,
                               .file = trial.file,
                               .accuracy_float = trial.accuracy_float,
                               .sparsity = trial.sparsity});
      for (int run = 1; run < settings_.finalist_seeds; ++run)
        for (const FinalistJob& job : jobs)
          if (job.trial == number && job.run == run)
            if (const auto stored = folder_.document(run_key(job));
                stored && !stored->at("file").get<std::string>().empty())
              finalist.runs.push_back(*stored);
      finalists.push_back(std::move(finalist));
    }
    const data::ImageSet& images = split_.test.empty() ? dataset_.test : dataset_.train;
    const std::vector<uint32_t> indices = test_indices();
    std::vector<FinalistRun*> runs;
    for (Finalist& finalist : finalists)
      for (FinalistRun& run : finalist.runs) runs.push_back(&run);
    parallel_for(runs.size(), 1, workers_, [&](size_t i) {
      runs[i]->test_accuracy =
          int8_accuracy(read_file(folder_.path() / runs[i]->file), images, indices, options_.stop);
    });
    for (Finalist& finalist : finalists) summarise(finalist);
    study_.teacher.test_accuracy = teacher_test_accuracy(folder_, images, indices, options_);

    study_.finalists = std::move(finalists);
    study_.best = choose_best(study_.finalists);
    if (const BestModel best = best_model(study_); best.run != nullptr) {
      const fs::path file = folder_.path() / best.run->file;
      keep([&] {
        write_file_atomic(folder_.path() / "best" / "model.tflite", read_file(file));
        write_text_atomic(folder_.path() / "best" / "model.json", model_card(study_, folder_.path()));
      });
    }
    folder_.put_document(kTeacherKey, study_.teacher);
    store_seconds();
    folder_.put_document(kFinalistsKey, {{"finalists", study_.finalists}, {"best", study_.best}});
    if (settings_.seconds)
      options_.progress.message(
          fmt::format("Took {} of {}: teacher {}, {} candidates, {} runs with other seeds.",
                      format_duration(study_.seconds), format_duration(*settings_.seconds),
                      format_duration(study_.teacher.seconds + study_.teacher.logits_seconds),
                      study_.trials.size(), jobs.size()));
    announce();
  }

  // ---- small things
  // ------------------------------------------------------------------------------------------------

  static std::string trial_name(int number) { return fmt::format("trial {}", number); }
  static fs::path trial_folder(int number) { return fs::path("trials") / fmt::format("{}", number); }

  // Takes away what only an unfinished candidate needs.
  static void tidy_up(const fs::path& folder) {
    std::error_code ignored;
    for (const std::string& name : stage_names())
      for (const char* ending : {".retort", ".checkpoint", ".best"})
        fs::remove(folder / (name + ending), ignored);
    fs::remove(folder / "stages.json", ignored);
  }

  [[nodiscard]] const TrialResult& find_trial(int number) const {
    return *search::find_trial(study_, number);
  }

  [[nodiscard]] std::vector<uint32_t> test_indices() const {
    if (!split_.test.empty()) return split_.test;
    std::vector<uint32_t> all(dataset_.test.count());
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    return all;
  }

  void store_seconds() {
    study_.seconds = earlier_seconds_ + seconds_since(start_);
    folder_.put_document(kSecondsKey, study_.seconds);
  }

  // On the way out with another error, which is the one to report.
  void store_seconds_if_possible() noexcept {
    try {
      store_seconds();
    } catch (const std::exception&) {
      return;
    }
  }

  void announce() {
    if (options_.changed) options_.changed(study_);
  }

  const SearchSettings& settings_;
  PipelineSettings pipeline_;  // with a timed search's epochs
  const data::Dataset& dataset_;
  const RunOptions& options_;
  int workers_;
  StudyFolder folder_;

  enum class Phase { Measuring, Teacher, Candidates, Finalists };
  Phase phase_ = Phase::Measuring;
  Clock::time_point start_ = Clock::now();
  Clock::time_point deadline_;
  double earlier_seconds_ = 0;
  double reserve_seconds_ = 0;  // for the finalists' other seeds
  data::Split split_;
  Teacher teacher_;
  std::vector<uint32_t> curriculum_;

  std::mutex mutex_;  // for what follows, while workers run
  StudyResult study_;
};

}  // namespace

StudyResult run_search(const SearchSettings& settings, const data::Dataset& dataset,
                       const RunOptions& options) {
  validate(settings);
  try {
    return Search(settings, dataset, options).run();
  } catch (const json::exception& error) {
    throw_failure("{}: the study is damaged: {}", options.folder.string(), error.what());
  }
}

}  // namespace retort::search
