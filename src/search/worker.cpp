#include "search/worker.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/work_clock.h"
#include "compress/distillation.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/explore_phase.h"
#include "search/memory_budget.h"
#include "search/shared_work.h"
#include "search/stored_json.h"
#include "search/study_folder.h"
#include "search/study_place.h"
#include "search/trial_loop.h"
#include "search/trial_record.h"
#include "search/workers.h"
#include "study/lease_keeper.h"
#include "study/secrets.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// What a worker needs of it.
struct Description {
  std::string spec;
  std::string content_hash;
  SearchSettings settings;
  std::string identity;
};

Description description_of(const study::Storage& storage, const study::Place& place) {
  const auto description = read_document(storage, kDescriptionKey);
  if (!description)
    throw_usage("{}: study '{}' holds no search", study::hide_passwords(place.url), place.study);
  return read_stored("'description'", [&] {
    const Json& data = description->at("data");
    return Description{.spec = data.at("spec"),
                       .content_hash = data.at("content_hash"),
                       .settings = description->at("settings"),
                       .identity = search_identity(*description)};
  });
}

// Asks `find` until it does not throw: workers may be started before the search. Says once what it waits for.
template <typename Find>
auto wait_for(const WorkerOptions& options, const Find& find) {
  const Clock::time_point start = Clock::now();
  for (bool said = false;; said = true) {
    try {
      return find();
    } catch (const Error& error) {
      if (std::chrono::duration<double>(Clock::now() - start).count() > options.patience_seconds) throw;
      if (!said) options.progress.message(fmt::format("Waiting for the search: {}.", error.what()));
    }
    if (options.stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
    wait_a_little(options.stop);
  }
}

// Where its unfinished candidates are, of one search: a folder of its own in the one that it was given, which may hold a
// search, or anything. It is locked, and the worker's name goes with it.
class Workplace {
 public:
  Workplace(const fs::path& folder, const std::string& search) {
    if (folder.empty()) throw_usage("the worker's folder has no name: give one for unfinished candidates");
    fs::create_directories(folder / kName);
    path_ = fs::canonical(folder / kName);
    lock_ = std::make_unique<FileLock>(path_ / ".lock");
    for (const char* part : {"", "teacher"}) remove_temporaries(path_ / part);
    const fs::path file = path_ / "search";
    if (!fs::exists(file) || read_text(file) != search) {
      // With the name: under the old one the checkpoints of what was here would pass for one's own, and those are gone.
      for (const char* part : {"trials", "parents", "teacher"}) fs::remove_all(path_ / part);
      fs::remove(path_ / kWorkerFile);
      write_text_atomic(file, search);
    }
    name_ = worker_name(path_, true);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  static constexpr const char* kName = "retort-worker";
  fs::path path_;
  std::string name_;
  std::unique_ptr<FileLock> lock_;
};

// Trials of one study, and how they are run here.
class Source {
 public:
  Source(Trials trials, study::Storage& storage, const Workplace& workplace, const SearchSettings& settings,
         const WorkerOptions& options, decltype(ClaimedWork::weights) weights)
      : leases_(storage, options.lease_seconds),
        work_{.storage = storage,
              .leases = leases_,
              .folder = workplace.path(),
              .seed = settings.seed,
              .target = settings.target,
              .weights = std::move(weights),
              .before_end =
                  [this](const study::Claim& claim, const StoredProposal& proposal) {
                    put_files(work_.storage, claim, folder_of(claim.trial, proposal));
                  },
              .checkpoint_seconds = options.lease_seconds,
              .decides_on_memory = false} {
    release_earlier(storage, trials, workplace.path(), workplace.name(), settings.seed, options.progress);
  }

  [[nodiscard]] study::Storage& storage() { return work_.storage; }

  std::optional<TrialResult> run(const study::ClaimedTrial& claimed, const Context& context,
                                 const std::stop_token& stop) {
    const StoredProposal proposal = proposal_of(claimed.trial);
    auto result = run_claimed(claimed, proposal, work_, context, stop);
    std::error_code ignored;
    if (result) fs::remove_all(folder_of(claimed.trial.number, proposal), ignored);
    return result;
  }

 private:
  [[nodiscard]] fs::path folder_of(int number, const StoredProposal& proposal) const {
    return work_.folder / candidate_run(proposal, number, work_.seed, work_.target).file;
  }

  study::LeaseKeeper leases_;
  ClaimedWork work_;
};

}  // namespace

std::string data_spec(const WorkerOptions& options) {
  return wait_for(options, [&] {
    const auto storage = study::open_storage(until(options.stop, options.storage), study::Access::Read);
    return description_of(*storage, options.storage).spec;
  });
}

WorkerResult run_worker(const data::Dataset& dataset, const WorkerOptions& options) {
  const auto storage = wait_for(options, [&] {
    return study::open_storage(until(options.stop, options.storage), study::Access::Write);
  });
  const Description description =
      wait_for(options, [&] { return description_of(*storage, options.storage); });
  if (description.content_hash != dataset.content_hash)
    throw_usage("study '{}' is about other data: {} there (hash {:.12}…), {} here (hash {:.12}…)",
                options.storage.study, description.spec, description.content_hash, dataset.spec,
                dataset.content_hash);
  const SearchSettings& settings = description.settings;
  const int workers = options.workers > 0 ? options.workers : available_cores();
  set_work_time(settings.clock, workers);
  const Workplace workplace(options.folder, options.storage.study + " " + description.identity);
  const SharedWork shared = wait_for(options, [&] {
    auto published = shared_work(*storage);
    if (!published)
      throw_failure(
          "{}: study '{}' has no candidates for other machines yet (its search needs the same --storage)",
          study::hide_passwords(options.storage.url), options.storage.study);
    return *std::move(published);
  });
  check_artefacts(*storage, shared);
  if (const std::string here = cpu_class(); shared.cpu != here)
    options.progress.message(fmt::format(
        "The search is on a CPU with {} and this one has {}, which rounds differently: what is trained here "
        "is not, to the last bit, what the search alone would find.",
        shared.cpu, here));
  const data::Split split = stored_split(read_document(*storage, kSplitKey).value_or(Json()), dataset);
  std::optional<engine::TeacherLogits> logits;
  get_logits(*storage, shared, workplace.path());
  if (!shared.teacher.empty())
    logits = compress::load_teacher_logits(workplace.path() / "teacher" / "logits.npy", dataset);

  const auto weights = [&](const StoredProposal& stored) -> std::optional<graph::Parameters> {
    if (!inherits(stored, settings)) return std::nullopt;
    const study::TrialRecord parent = storage->trial(stored.proposal.parent);
    const fs::path folder = fs::path("parents") / trial_folder(parent.number);
    // Its files can be had elsewhere, at least where the search is: what this machine lacks ends its worker, not the trial.
    keep([&] { get_files(*storage, parent, workplace.path(), folder); });
    return inherited_weights(stored, proposal_of(parent).proposal.config,
                             workplace.path() / folder / "weights.retort", settings, dataset);
  };
  Source trials(Trials::Search, *storage, workplace, settings, options, weights);
  std::unique_ptr<study::Storage> confirmations;
  std::optional<Source> runs;
  std::mutex mutex;
  // The search makes their study when it comes to them.
  const auto confirmation_runs = [&]() -> Source& {
    const std::lock_guard lock(mutex);
    if (!runs) {
      confirmations = storage->beside(confirmations_of(options.storage).study, objectives());
      runs.emplace(Trials::Confirmations, *confirmations, workplace, settings, options, nullptr);
    }
    return *runs;
  };
  WorkerResult result;
  MemoryBudget memory(options.memory_bytes);
  Waiting waiting;
  on_workers(workers, options.stop, [&](const std::stop_token& stop) {
    SharedWork phase = shared;
    while (!stop.stop_requested()) {
      Source& source = phase.trials == Trials::Search ? trials : confirmation_runs();
      const auto claimed = source.storage().claim(workplace.name(), options.lease_seconds, phase.planned);
      // The search may be in another phase by now, or another process's with other options; what it needs is published before
      // its trials are added.
      try {
        if (auto now = shared_work(*storage)) phase = *std::move(now);
        check_artefacts(*storage, phase);
      } catch (const Error&) {
        if (claimed) source.storage().give_back(claimed->claim);
        throw;
      }
      if (!claimed) {
        // Candidates that run elsewhere may be lost by their workers, and others be added.
        if (phase.over) break;
        constexpr double kMostSeconds = 2;
        waiting.until(
            [&] {
              const auto now = shared_work(*storage);
              return (now && !(*now == phase)) || source.storage().may_claim(phase.planned);
            },
            kMostSeconds, stop);
        continue;
      }
      const std::vector<uint32_t> curriculum =
          curriculum_order(phase.pipeline.curriculum, split, logits ? &*logits : nullptr, Rng(settings.seed));
      const Context context{.dataset = dataset,
                            .split = split,
                            .split_record = data::record_of(settings.split, split),
                            .settings = phase.pipeline,
                            .teacher = logits ? &*logits : nullptr,
                            .curriculum = curriculum,
                            .backend = options.backend,
                            .memory = &memory,
                            .progress = options.progress,
                            .stop = stop};
      const auto trial = source.run(*claimed, context, stop);
      if (!trial) continue;
      const std::lock_guard lock(mutex);
      options.progress.message(ending_text(settings.preset, *trial));
      ++(trial->outcome == Outcome::Complete  ? result.complete
         : trial->outcome == Outcome::Skipped ? result.skipped
                                              : result.failed);
    }
  });
  return result;
}

}  // namespace retort::search
