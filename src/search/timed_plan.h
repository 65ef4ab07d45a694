// The decisions of a timed search, in the order in which they are made; plan.h has the arithmetic. Each is
// stored, so that a resumed search keeps to it, and told to the user. Private to this room.
#pragma once

#include <optional>
#include <vector>

#include "base/json_fwd.h"
#include "search/heats.h"
#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

// Seconds of an epoch of this network with its share of validation, exploring or else distilling, by training it for
// about `seconds` beside whatever else is trained now; nothing when it has no room in the session's memory. Throws
// Error(Interrupted) when stopped.
std::optional<double> measured_epoch(Session& session, const graph::Graph& graph, double seconds);

// Fills in epoch_seconds of every proposal that fits, in a small share of the search's time. What has no room to be
// measured has what the others' multiply-accumulates say. Throws Error(Interrupted) when stopped, Error(Failure) when
// nothing can be measured.
void measure(Session& session, std::vector<StoredProposal>& proposals);

// Epochs of the teacher; 0: there is no time for one, or none is trained here.
int decide_teacher_epochs(Session& session);

// Chooses among an exploration's best as many as there is time for, each with its own epochs: `proposals`. Returns the
// seconds that are set aside for the finalists' other seeds.
double decide_runs(Session& session, Contenders contenders, std::vector<StoredProposal>& proposals);

// Sets the epochs of session.pipeline and the proposals' order: those that do not fit, those that there is
// time for (session.planned of both), and those that wait for a longer time. Without proposals (they are
// stored already) takes up the plan of an earlier run, and with more time than that had the next ones that
// wait. Returns the seconds that are set aside for the finalists' other seeds.
double decide_candidates(Session& session, std::vector<StoredProposal>& proposals);

// Whether this run's time limit is longer than `stored`, a limit in seconds or null for none.
bool has_more_time(const SearchSettings& settings, const Json& stored);

// What is left of a timed search's time for anything but its end.
double plannable_seconds(const Session& session);

// Seconds kept for reading the test set and reporting; 0 without a time limit.
double closing_seconds(const SearchSettings& settings);

}  // namespace retort::search
