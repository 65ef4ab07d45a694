#include "search/trial_loop.h"

#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "search/candidates.h"
#include "search/crash_mark.h"
#include "search/keep.h"
#include "search/shared_work.h"
#include "search/trial_record.h"
#include "search/workers.h"

namespace retort::search {
namespace {

using nlohmann::json;

// False when it is to be tried once more.
bool store(const ClaimedWork& work, const study::Claim& claim, const StoredProposal& proposal,
           const TrialResult& result) {
  return keep([&] {
    const study::Ending ending = to_ending(result);
    if (result.outcome == Outcome::Failed)
      return study::is_finished(work.storage.crash(claim, ending.result, kMostCrashes));
    if (work.before_end) work.before_end(claim, proposal);
    work.storage.finish(claim, ending);
    return true;
  });
}

// On the way out with an error, which is the one to report; without this the lease is lost some day.
void give_back(study::Storage& storage, const study::Claim& claim) noexcept {
  try {
    storage.give_back(claim);
  } catch (const std::exception&) {
    return;
  }
}

class Loop {
 public:
  Loop(Session& session, const TrialLoop& loop)
      : session_(session),
        loop_(loop),
        storage_(session.folder.storage()),
        leases_(storage_, session.options.lease_seconds),
        work_{.storage = storage_,
              .leases = leases_,
              .folder = session.folder.path(),
              .seed = session.settings.seed,
              .target = session.settings.target,
              .weights = loop.weights,
              .before_end = {}} {
    // A child may be trained on another machine.
    if (is_shared())
      work_.before_end = [this](const study::Claim& claim, const StoredProposal& proposal) {
        if (proposal.effort == Effort::Explore)
          put_files(storage_, claim, session_.folder.path() / trial_folder(claim.trial));
      };
  }

  void run() {
    on_workers(session_.workers, session_.options.stop,
               [&](const std::stop_token& stop) { run_worker(stop); });
    if (is_shared()) take_up();
  }

 private:
  [[nodiscard]] bool is_shared() const { return !session_.options.storage.url.empty(); }

  void run_worker(const std::stop_token& stop) {
    Context context = session_.context(loop_.pipeline, stop);
    if (loop_.prepare) loop_.prepare(context);
    while (!stop.stop_requested()) {
      const auto claimed = keep([&] {
        return storage_.claim(session_.folder.worker(), session_.options.lease_seconds, loop_.below);
      });
      if (!claimed) {
        if (!is_shared() || !others_are_at_work()) break;
        take_up();
        wait_a_little(stop);
        continue;
      }
      const StoredProposal proposal = from_stored(json::parse(claimed->trial.proposal));
      if (loop_.has_room && !loop_.has_room(claimed->trial.number, proposal)) {
        const std::lock_guard lock(mutex_);
        without_room_.emplace_back(leases_, claimed->claim, stop);
        continue;
      }
      if (const auto result = run_claimed(*claimed, proposal, work_, context, stop))
        finished(proposal, *result);
    }
  }

  // Another thread may have seen it in the storage first.
  void finished(const StoredProposal& proposal, const TrialResult& result) {
    const std::lock_guard lock(mutex_);
    {
      const std::lock_guard study_lock(session_.mutex);
      if (find_trial(session_.study, result.number) != nullptr) return;
    }
    loop_.finished(proposal, result);
  }

  // What other machines have finished since.
  void take_up() {
    size_t stored = 0;
    for (const auto& [state, count] : storage_.counts())
      if (study::is_finished(state)) stored += static_cast<size_t>(count);
    {
      const std::lock_guard lock(session_.mutex);
      if (stored == session_.study.trials.size()) return;
    }
    for (const study::TrialRecord& record : storage_.trials()) {
      if (!study::is_finished(record.state)) continue;
      keep([&] { get_files(storage_, record, session_.folder.path() / trial_folder(record.number)); });
      finished(from_stored(json::parse(record.proposal)), json::parse(record.result).get<TrialResult>());
    }
  }

  // They may yet lose what they have.
  bool others_are_at_work() {
    auto counts = storage_.counts();
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(counts[study::TrialState::Running]) > without_room_.size();
  }

  Session& session_;
  const TrialLoop& loop_;
  study::Storage& storage_;
  study::LeaseKeeper leases_;
  ClaimedWork work_;
  std::mutex mutex_;
  std::list<study::LeaseKeeper::Hold> without_room_;  // held, or they would be claimed again: the next run's
};

}  // namespace

std::optional<TrialResult> run_claimed(const study::ClaimedTrial& claimed, const StoredProposal& proposal,
                                       const ClaimedWork& work, Context context,
                                       const std::stop_token& stop) {
  const study::LeaseKeeper::Hold hold(work.leases, claimed.claim, stop);
  const int number = claimed.trial.number;
  const CandidateRun run{.trial = number,
                         .seed = work.seed,
                         .name = trial_name(number),
                         .file = trial_folder(number),
                         .epochs = {},
                         .target = work.target,
                         .weights = work.weights ? work.weights(proposal) : std::nullopt};
  context.stop = hold.stop();
  context.stage_finished = [&, then = std::move(context.stage_finished)](const Candidate& candidate) {
    const StageResult& stage = candidate.stages.back();
    keep([&] {
      work.storage.put_stage(hold.claim(), {stage.name, dump_json(json(stage))},
                             intermediate_values(candidate.stages));
    });
    if (then) then(candidate);
  };
  const auto lost = [&] {
    context.progress.message(fmt::format(
        "{}: was silent for too long (stopped, or the computer asleep), and another worker has it now.",
        run.name));
    return std::nullopt;
  };
  if (claimed.losses >= kMostLosses) {
    TrialResult result =
        failed_result(proposal, number, work.seed,
                      fmt::format("{} workers in a row were lost while they had it, none finished a stage",
                                  claimed.losses));
    keep([&] { work.storage.crash(hold.claim(), to_ending(result).result, 1); });
    return result;
  }
  try {
    const CrashMark mark(work.folder / run.file, hold.claim().attempt);
    TrialResult result = run_candidate(proposal, run, work.folder, context);
    if (!store(work, hold.claim(), proposal, result)) {
      context.progress.message(fmt::format("{}: {}; it is tried once more.", run.name, result.reason));
      return std::nullopt;
    }
    tidy_up(work.folder / run.file);
    return result;
  } catch (const study::LostLease&) {
    return lost();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted && hold.lost()) return lost();
    give_back(work.storage, hold.claim());
    throw;
  }
}

void run_trials(Session& session, const TrialLoop& loop) {
  Loop(session, loop).run();
}

}  // namespace retort::search
