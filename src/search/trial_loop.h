// How trials get from the study to their ends: claimed, run under a lease that is kept alive, stored. Private to
// this room.
#pragma once

#include <climits>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "cost/target.h"
#include "graph/parameters.h"
#include "search/pipeline.h"
#include "search/results.h"
#include "search/session.h"
#include "search/shared_work.h"
#include "search/study_folder.h"
#include "study/lease_keeper.h"
#include "study/storage.h"

namespace retort::search {

// Attempts of a trial that ends with errors of its own: memory may have been short the first time.
inline constexpr int kMostCrashes = 2;
// Workers that a trial may cost, one after the other, without an epoch. Each of them may have been killed or have
// lost its machine, and then it is no attempt; but a trial that ends its worker where nobody sees it (no memory left, say)
// looks just so, and would be tried for ever.
inline constexpr int kMostLosses = 10;

struct ClaimedWork {
  study::Storage& storage;
  study::LeaseKeeper& leases;
  std::filesystem::path folder;  // where trials/<number> is
  uint64_t seed = 0;
  cost::Target target;
  std::function<std::optional<graph::Parameters>(const StoredProposal&)> weights{};  // CandidateRun's
  // With the result, before it is stored as the trial's end: for its files.
  std::function<void(const study::Claim&, const StoredProposal&)> before_end{};
  // How often a trial's checkpoint goes to the storage for another machine's worker, and when it is given back; none:
  // never.
  std::optional<double> checkpoint_seconds{};
  // Whether want of memory is the trial's end: the search's own says that, a worker's that it has less than others may have.
  bool decides_on_memory = true;
};

// Runs it, stores its stages (then context.stage_finished is called) and its result. Nothing when it is not
// finished after all: its lease was lost to another worker, or an error of its own ended it and it waits for a
// second attempt, which takes up where this one was (memory may have been short); context.progress is told. One
// that another worker had goes on from the checkpoint that it left.
// One that has cost too many workers is Failed at once. Throws as run_candidate; the trial waits again then.
std::optional<TrialResult> run_claimed(const study::ClaimedTrial& claimed, const StoredProposal& proposal,
                                       const ClaimedWork& work, Context context, const std::stop_token& stop);

// A phase of a search.
struct TrialLoop {
  PipelineSettings pipeline;
  Trials trials = Trials::Search;
  int below = INT_MAX;                      // trials below this number
  std::function<void(Context&)> prepare{};  // each worker's context
  // Whether there is time for it; else it stays unfinished in this run. Empty: always.
  std::function<bool(int number, const StoredProposal&)> has_room{};
  std::function<std::optional<graph::Parameters>(const StoredProposal&)> weights{};
  // Each trial that is finished and stored and not in the session's study yet, once, from one thread at a time; also
  // those that other machines' workers finished, whose files are in the folder by then.
  std::function<void(const StoredProposal&, const TrialResult&)> finished;
};

// Runs all that wait on the session's workers, and waits for those that run on other machines. Throws
// Error(Interrupted) when stopped.
void run_trials(Session& session, const TrialLoop& loop);

}  // namespace retort::search
