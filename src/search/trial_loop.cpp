#include "search/trial_loop.h"

#include <chrono>
#include <list>
#include <mutex>
#include <new>
#include <set>
#include <span>
#include <string>
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

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// False when it is to be tried once more.
bool store(const ClaimedWork& work, const study::Claim& claim, const StoredProposal& proposal,
           const TrialResult& result) {
  return keep([&] {
    const study::Ending ending = to_ending(result);
    if (result.outcome == Outcome::Failed) {
      const int attempts = result.is_hopeless ? 1 : kMostCrashes;
      return study::is_finished(work.storage.crash(claim, ending, attempts));
    }
    if (work.before_end) work.before_end(claim, proposal);
    work.storage.finish(claim, ending);
    return true;
  });
}

// What another machine's worker needs to go on with a trial that this one loses or gives up.
class Checkpoints {
 public:
  Checkpoints(const ClaimedWork& work, const study::Claim& claim, const fs::path& folder)
      : work_(work), claim_(claim), folder_(folder) {}

  // Those of before are better than none.
  void begin_anew() { has_own_ = false; }
  void now_and_then() {
    has_own_ = true;
    const auto now = Clock::now();
    if (!work_.checkpoint_seconds ||
        std::chrono::duration<double>(now - last_).count() < *work_.checkpoint_seconds)
      return;
    put();
    last_ = now;
  }
  void put() const {
    if (!has_own_) return;
    keep([&] { work_.storage.put_checkpoint(claim_, pack(folder_, claim_)); });
  }

 private:
  using Clock = std::chrono::steady_clock;
  const ClaimedWork& work_;
  const study::Claim& claim_;
  const fs::path& folder_;
  Clock::time_point last_ = Clock::now();
  bool has_own_ = true;
};

// One's own is in the folder, and at least as new. One that is damaged or cannot be had is no loss but of time.
void take_up_checkpoint(const study::ClaimedTrial& claimed, const ClaimedWork& work, const CandidateRun& run,
                        Checkpoints& checkpoints, ProgressSink& progress) {
  if (!claimed.checkpoint ||
      study::identity_of(claimed.checkpoint->worker) == study::identity_of(claimed.claim.worker))
    return;
  try {
    unpack(work.storage.artefact(claimed.checkpoint->sha256), without_links(work.folder, run.file));
    progress.message(fmt::format("{}: goes on from where {} was.", run.name,
                                 study::display_of(claimed.checkpoint->worker)));
  } catch (const FolderError&) {
    throw;
  } catch (const std::exception& error) {
    checkpoints.begin_anew();
    progress.message(fmt::format("{}: begins anew: {}", run.name, error.what()));
  }
}

// On the way out with an error, which is the one to report; without this the lease is lost some day.
void give_back(const ClaimedWork& work, const study::Claim& claim, const Checkpoints& checkpoints) noexcept {
  try {
    if (work.checkpoint_seconds) checkpoints.put();
    work.storage.give_back(claim);
  } catch (const std::exception&) {
    return;
  }
}

// The weights that it starts with. What is wrong with them is the trial's own error, which it ends with: the others of its
// worker go on.
std::optional<TrialResult> prepare(CandidateRun& run, const StoredProposal& proposal,
                                   const ClaimedWork& work) {
  try {
    if (work.weights) run.weights = work.weights(proposal);
    return std::nullopt;
  } catch (const FolderError&) {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted) throw;
    return failed_result(proposal, run, error.what());
  } catch (const std::bad_alloc&) {
    return failed_result(proposal, run, "out of memory as its parent's weights were read");
  }
}

class Loop {
 public:
  Loop(Session& session, const TrialLoop& loop)
      : session_(session),
        loop_(loop),
        storage_(session.folder.storage_of(loop.trials)),
        leases_(storage_, session.options.lease_seconds),
        work_{.storage = storage_,
              .leases = leases_,
              .folder = session.folder.path(),
              .seed = session.settings.seed,
              .target = session.settings.target,
              .weights = loop.weights,
              .before_end = {}} {
    if (loop.trials == Trials::Search)
      for (const TrialResult& trial : session.study.trials) known_.insert(trial.number);
    if (!is_shared()) return;
    work_.checkpoint_seconds = session.options.lease_seconds;
    // A child may be trained on another machine, and the search go on in another folder.
    work_.before_end = [this](const study::Claim& claim, const StoredProposal& proposal) {
      const CandidateRun run = candidate_run(proposal, claim.trial, work_.seed, work_.target);
      put_files(storage_, claim, session_.folder.path() / run.file);
    };
  }

  // What the time had no room for waits again, whatever the loop ends with: a later run may have more time.
  ~Loop() {
    for (const study::LeaseKeeper::Hold& hold : without_room_) {
      try {
        storage_.give_back(hold.claim());
      } catch (const std::exception&) {
        return;  // the lease will end
      }
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run() {
    take_up();
    on_workers(session_.workers, session_.options.stop,
               [&](const std::stop_token& stop) { run_worker(stop); });
    if (is_shared()) take_up();
  }

 private:
  [[nodiscard]] bool is_shared() const { return session_.folder.is_shared(); }

  void run_worker(const std::stop_token& stop) {
    Context context = session_.context(loop_.pipeline, stop);
    if (loop_.prepare) loop_.prepare(context);
    while (!stop.stop_requested()) {
      const auto claimed = keep([&] {
        return storage_.claim(session_.folder.worker(), session_.options.lease_seconds, loop_.below);
      });
      if (!claimed) {
        if (!is_shared() || !something_is_left()) break;
        constexpr double kMostSeconds = 1;
        waiting_.until(
            [this] {
              take_up();
              return !something_is_left() || storage_.may_claim(loop_.below);
            },
            kMostSeconds, stop);
        continue;
      }
      const int number = claimed->trial.number;
      const StoredProposal proposal = proposal_of(claimed->trial);
      forget_without_room(number);
      if (loop_.has_room && !loop_.has_room(number, proposal)) {
        std::list<study::LeaseKeeper::Hold> held;
        held.emplace_back(leases_, claimed->claim, stop);
        const std::lock_guard lock(mutex_);
        without_room_.splice(without_room_.end(), held);
        continue;
      }
      if (const auto result = run_claimed(*claimed, proposal, work_, context, stop))
        finished(number, proposal, *result);
    }
  }

  // Its lease ended while this process slept, or it could not have been claimed again.
  void forget_without_room(int number) {
    const std::lock_guard lock(mutex_);
    without_room_.remove_if(
        [&](const study::LeaseKeeper::Hold& hold) { return hold.claim().trial == number; });
  }

  // Another thread may have seen it in the storage first.
  void finished(int number, const StoredProposal& proposal, const TrialResult& result) {
    const std::lock_guard lock(mutex_);
    if (known_.insert(number).second) loop_.finished(proposal, result);
  }

  // What others have finished since, or an earlier run that was cut before it was told.
  void take_up() {
    size_t stored = 0;
    for (const auto& [state, count] : storage_.counts())
      if (study::is_finished(state)) stored += static_cast<size_t>(count);
    {
      const std::lock_guard lock(mutex_);
      if (stored == known_.size()) return;
    }
    for (const study::TrialRecord& record :
         storage_.trials({.proposals = false, .results = false, .stages = study::Stages::None})) {
      if (!study::is_finished(record.state) || is_known(record.number)) continue;
      const study::TrialRecord whole = storage_.trial(record.number);
      const StoredProposal proposal = proposal_of(whole);
      const CandidateRun run = candidate_run(proposal, whole.number, work_.seed, work_.target);
      keep([&] { get_files(storage_, whole, session_.folder.path(), run.file); });
      finished(whole.number, proposal, stored_result(whole));
    }
  }

  bool is_known(int number) {
    const std::lock_guard lock(mutex_);
    return known_.contains(number);
  }

  // What others run they may yet lose, and what waits was lost or crashed a moment ago.
  bool something_is_left() {
    const int unfinished = storage_.unfinished(loop_.below);
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(unfinished) > without_room_.size();
  }

  Session& session_;
  const TrialLoop& loop_;
  study::Storage& storage_;
  study::LeaseKeeper leases_;
  ClaimedWork work_;
  Waiting waiting_;
  std::mutex mutex_;
  std::set<int> known_;
  std::list<study::LeaseKeeper::Hold> without_room_;  // held until the end, or they would be claimed again
};

}  // namespace

std::optional<TrialResult> run_claimed(const study::ClaimedTrial& claimed, const StoredProposal& proposal,
                                       const ClaimedWork& work, Context context,
                                       const std::stop_token& stop) {
  const study::LeaseKeeper::Hold hold(work.leases, claimed.claim, stop);
  CandidateRun run = candidate_run(proposal, claimed.trial.number, work.seed, work.target);
  const fs::path folder = work.folder / run.file;
  Checkpoints checkpoints(work, hold.claim(), folder);
  context.stop = hold.stop();
  // For those who watch, and no more often: a thousand workers share a database.
  // One that workers were lost with says its first at once: that is progress, whatever follows.
  context.epoch_finished = [&, said = claimed.losses > 0 ? Clock::time_point() : Clock::now()](
                               const Candidate& candidate, const engine::History& stage) mutable {
    constexpr auto kShortest = std::chrono::seconds(5);
    const Clock::time_point now = Clock::now();
    if (now - said < kShortest) return;
    said = now;
    keep([&] { work.storage.put_values(hold.claim(), intermediate_values(candidate.stages, stage)); });
  };
  if (!proposal.epochs.empty())
    context.epochs = [&, then = std::move(context.epochs)](const Candidate& candidate, std::string_view stage,
                                                           int epochs) {
      const auto planned = proposal.epochs.find(stage);
      if (planned != proposal.epochs.end()) epochs = planned->second;
      return then ? then(candidate, stage, epochs) : epochs;
    };
  context.epoch_kept = [&] { checkpoints.now_and_then(); };
  std::set<std::string> stored;
  for (const study::StageRecord& stage : claimed.trial.stages) stored.insert(stage.name);
  const auto store_last = [&](std::span<const StageResult> stages) {
    stored.insert(stages.back().name);
    keep([&] {
      work.storage.put_stage(hold.claim(), {stages.back().name, dump_json(Json(stages.back()))},
                             intermediate_values(stages.first(stages.size() - 1), stages.back().history));
    });
  };
  context.stage_finished = [&, then = std::move(context.stage_finished)](const Candidate& candidate) {
    store_last(candidate.stages);
    checkpoints.now_and_then();
    if (then) then(candidate);
  };
  const auto lost = [&] {
    context.progress.message(fmt::format(
        "{}: was silent for too long (stopped, or the computer asleep), and another worker has it now.",
        run.name));
    return std::nullopt;
  };
  try {
    if (claimed.losses >= kMostLosses) {
      TrialResult result =
          failed_result(proposal, run,
                        fmt::format("{} workers in a row were lost while they had it, none finished an epoch",
                                    claimed.losses));
      keep([&] { work.storage.crash(hold.claim(), to_ending(result), 1); });
      return result;
    }
    const CrashMark mark(folder, hold.claim());
    take_up_checkpoint(claimed, work, run, checkpoints, context.progress);
    const auto unprepared = prepare(run, proposal, work);
    TrialResult result = unprepared ? *unprepared : run_candidate(proposal, run, work.folder, context);
    if (result.refused_memory_bytes > 0 && !work.decides_on_memory)
      throw_failure("{}: {}. It waits again for a worker that has more", run.name, result.reason);
    // An earlier attempt may have ended between a stage's files and its entry.
    for (size_t i = 0; i < result.stages.size(); ++i)
      if (!stored.contains(result.stages[i].name)) store_last(std::span(result.stages).first(i + 1));
    if (!store(work, hold.claim(), proposal, result)) {
      context.progress.message(fmt::format("{}: {}; it is tried once more.", run.name, result.reason));
      return std::nullopt;
    }
    tidy_up(folder);
    return result;
  } catch (const study::LostLease&) {
    return lost();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted && hold.lost()) return lost();
    give_back(work, hold.claim(), checkpoints);
    throw;
  } catch (...) {
    give_back(work, hold.claim(), checkpoints);
    throw;
  }
}

void run_trials(Session& session, const TrialLoop& loop) {
  Loop(session, loop).run();
}

}  // namespace retort::search
