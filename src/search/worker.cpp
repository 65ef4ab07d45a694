#include "search/worker.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "compress/distillation.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/explore_phase.h"
#include "search/shared_work.h"
#include "search/study_folder.h"
#include "search/trial_loop.h"
#include "search/workers.h"
#include "study/lease_keeper.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

json description_of(const study::Storage& storage, const study::Place& place) {
  const auto text = storage.document(kDescriptionKey);
  if (!text) throw_usage("{}: study '{}' holds no search", place.url, place.study);
  return json::parse(*text);
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

// Where its unfinished candidates are. One of a name is locked, and its worker's name goes with it.
class Workplace {
 public:
  explicit Workplace(const fs::path& folder) {
    if (folder.empty()) {
      std::string pattern = (fs::temp_directory_path() / "retort-worker-XXXXXX").string();
      if (mkdtemp(pattern.data()) == nullptr)
        throw_failure("{}: no folder can be made there for unfinished candidates", pattern);
      path_ = pattern;
      is_temporary_ = true;
      name_ = fmt::format("{}:{}:{:08x}", host_name(), getpid(), std::random_device{}());
      return;
    }
    fs::create_directories(folder);
    path_ = fs::canonical(folder);
    lock_ = std::make_unique<FileLock>(path_ / ".lock");
    name_ = fmt::format("{}:{}", host_name(), path_.string());
  }
  ~Workplace() {
    std::error_code ignored;
    if (is_temporary_) fs::remove_all(path_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  fs::path path_;
  std::string name_;
  std::unique_ptr<FileLock> lock_;
  bool is_temporary_ = false;
};

}  // namespace

std::string data_spec(const WorkerOptions& options) {
  return wait_for(options, [&] {
    const auto storage = study::open_storage(options.storage, study::Access::Read);
    return description_of(*storage, options.storage).at("data").at("spec").get<std::string>();
  });
}

WorkerResult run_worker(const data::Dataset& dataset, const WorkerOptions& options) {
  const auto storage =
      wait_for(options, [&] { return study::open_storage(options.storage, study::Access::Write); });
  const json description = wait_for(options, [&] { return description_of(*storage, options.storage); });
  const std::string hash = description.at("data").at("content_hash");
  if (hash != dataset.content_hash)
    throw_usage("study '{}' is about other data: {} there (hash {:.12}…), {} here (hash {:.12}…)",
                options.storage.study, description.at("data").at("spec").get<std::string>(), hash,
                dataset.spec, dataset.content_hash);
  const SearchSettings settings = description.at("settings");
  const Workplace workplace(options.folder);
  // Of an earlier worker there, which is gone.
  count_crash_marks(*storage, workplace.path(), workplace.name(), settings.seed);
  storage->release(workplace.name());

  const SharedWork shared = wait_for(options, [&] {
    auto published = shared_work(*storage);
    if (!published)
      throw_failure(
          "{}: study '{}' has no candidates for other machines yet (its search needs the same --storage)",
          options.storage.url, options.storage.study);
    return *std::move(published);
  });
  const data::Split split = stored_split(json::parse(storage->document(kSplitKey).value_or("null")), dataset);
  std::optional<engine::TeacherLogits> logits;
  for (const auto& [name, artefact] : shared.teacher)
    write_file_atomic(workplace.path() / "teacher" / name, storage->artefact(artefact));
  if (!shared.teacher.empty())
    logits = compress::load_teacher_logits(workplace.path() / "teacher" / "logits.npy", dataset);

  study::LeaseKeeper leases(*storage, options.lease_seconds);
  const ClaimedWork work{.storage = *storage,
                         .leases = leases,
                         .folder = workplace.path(),
                         .seed = settings.seed,
                         .target = settings.target,
                         .weights = [&](const StoredProposal& stored) -> std::optional<graph::Parameters> {
                           if (!inherits(stored, settings)) return std::nullopt;
                           const study::TrialRecord parent = storage->trial(stored.proposal.parent);
                           const fs::path folder = workplace.path() / "parents" / trial_folder(parent.number);
                           get_files(*storage, parent, folder);
                           return inherited_weights(stored,
                                                    from_stored(json::parse(parent.proposal)).proposal.config,
                                                    folder / "weights.retort", settings, dataset);
                         },
                         .before_end =
                             [&](const study::Claim& claim, const StoredProposal&) {
                               put_files(*storage, claim, workplace.path() / trial_folder(claim.trial));
                             }};
  std::mutex mutex;
  WorkerResult result;
  on_workers(options.workers > 0 ? options.workers : available_cores(), options.stop,
             [&](const std::stop_token& stop) {
               SharedWork phase = shared;
               while (!stop.stop_requested()) {
                 const auto claimed = storage->claim(workplace.name(), options.lease_seconds, phase.planned);
                 // The search may be in another phase by now; what it needs is published before its trials are added.
                 if (auto now = shared_work(*storage)) phase = *std::move(now);
                 if (!claimed) {
                   // Candidates that run elsewhere may be lost by their workers, and others be added.
                   if (phase.over) break;
                   wait_a_little(stop);
                   continue;
                 }
                 const std::vector<uint32_t> curriculum = curriculum_order(
                     phase.pipeline.curriculum, split, logits ? &*logits : nullptr, Rng(settings.seed));
                 const Context context{.dataset = dataset,
                                       .split = split,
                                       .settings = phase.pipeline,
                                       .teacher = logits ? &*logits : nullptr,
                                       .curriculum = curriculum,
                                       .backend = options.backend,
                                       .progress = options.progress,
                                       .stop = stop};
                 const auto trial = run_claimed(*claimed, from_stored(json::parse(claimed->trial.proposal)),
                                                work, context, stop);
                 if (!trial) continue;
                 std::error_code ignored;
                 fs::remove_all(workplace.path() / trial_folder(trial->number), ignored);
                 const std::lock_guard lock(mutex);
                 options.progress.message(printed_block(*trial));
                 ++(trial->outcome == Outcome::Complete  ? result.complete
                    : trial->outcome == Outcome::Skipped ? result.skipped
                                                         : result.failed);
               }
             });
  return result;
}

}  // namespace retort::search
